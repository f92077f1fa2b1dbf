"""Checks of the callbacks that a skorch net was given, and what its scoring callbacks see."""

from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from typing import Any

from sklearn.base import clone, is_classifier, is_regressor
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    ParamMapper,
)
from torch import Tensor

from sklearn_gkd._common.targets import has_target

Scoring = (BatchScoring, EpochScoring)


def check_callbacks(net: NeuralNet, parameter: str, n_valid: int) -> None:
    """Raise a ValueError where a callback that a net was given cannot do its work.

    Parameters
    ----------
    net : NeuralNet
        As `resolve_net` returns it.
    parameter : str
        The estimator's name of it.
    n_valid : int
        Number of validation rows.
    """
    for callback in _given_callbacks(net):
        given = f"{parameter} has the callback {type(callback).__name__}"
        if isinstance(callback, InputShapeSetter):
            raise ValueError(
                f"{given}, but networks are called with the shapes of their views. Leave it out."
            )
        if isinstance(callback, LoadInitState):
            raise ValueError(
                f"{given}, but every fit starts anew. Leave it out; checkpoint lets a fit that was "
                "killed go on."
            )
        predicts = is_classifier(net) or is_regressor(net)
        if isinstance(callback, Scoring) and not (predicts or _is_own(callback)):
            raise ValueError(
                f"{given} with scoring={callback.scoring!r}, which needs a net that predicts "
                "classes or numbers. Give a SeriesNet or a NeuralNetClassifier (of numbers, a "
                f"NeuralNetRegressor) in place of the {type(net).__name__}."
            )
        if n_valid == 0 and _looks_at_validation_rows(callback):
            raise ValueError(
                f"{given}, which looks at validation rows, but there are none. Set "
                "validation_fraction or give X_val and y_val; or let it score or monitor the "
                "training."
            )


def check_patterns(net: NeuralNet, parameter: str, names: Sequence[str]) -> None:
    """Raise a ValueError where a pattern matches none of a network's parameters, of these names."""
    if net.compile:
        names = [f"_orig_mod.network.{name}" for name in names]
    patterns = [pattern for pattern, _ in net.get_params_for("optimizer").get("param_groups", ())]
    for callback in _given_callbacks(net):
        if isinstance(callback, ParamMapper):
            patterns += callback.patterns
    for pattern in patterns:
        matches: Any = pattern if callable(pattern) else partial(fnmatch, pat=pattern)
        if not any(map(matches, names)):
            raise ValueError(
                f"{parameter} has the pattern {pattern!r} (of optimizer__param_groups or of a "
                f"callback), which matches none of its network's parameters: {list(names)}."
            )


def score_labelled_rows(net: NeuralNet) -> None:
    """Let the scoring callbacks of an initialized net see labelled rows, and labels alone."""
    for _, callback in net.callbacks_:
        if isinstance(callback, Scoring):
            callback.on_batch_end = partial(_on_labelled_rows, callback)


def _on_labelled_rows(
    callback: Callback,
    net: NeuralNet,
    batch: tuple[Sequence[Tensor], Sequence[Tensor]],
    y_pred: tuple[Tensor, Tensor],
    **kwargs: Any,
) -> None:
    views, (labels, *_) = batch
    rows = has_target(labels)
    if rows.any():
        type(callback).on_batch_end(
            callback,
            net,
            batch=([view[rows] for view in views], labels[rows]),
            y_pred=tuple(output[rows] for output in y_pred),
            **kwargs,
        )


def _given_callbacks(net: NeuralNet) -> list[Callback]:
    """Return the callbacks that were given, initialized, and not those that every net has."""
    if net.callbacks == "disable":
        return []
    defaults = dict(net.get_default_callbacks())
    initialized = clone(net).initialize_callbacks().callbacks_
    return [callback for name, callback in initialized if name not in defaults]


def _is_own(callback: Any) -> bool:
    """Return whether the score is a function of the net, not scikit-learn's of its predictions."""
    return callable(callback.scoring) and not hasattr(callback.scoring, "_score_func")


def _looks_at_validation_rows(callback: Any) -> bool:
    if isinstance(callback, Scoring):
        return not callback.on_train
    monitor = getattr(callback, "monitor", None)
    return isinstance(monitor, str) and monitor.startswith("valid_")
