"""A fitted classifier, and the steps before it, as one ONNX graph; see `persistence.to_onnx`."""

import os
import warnings
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_gkd._common.files import missing_extra, write_whole
from sklearn_gkd._estimators._base import NetClassifier
from sklearn_gkd.eo._time import GapFiller

_SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def onnx_bytes(estimator: Any) -> bytes:
    """Return the ONNX model that `persistence.to_onnx` writes."""
    with missing_extra("onnx", "to_onnx"):
        import onnx
        import onnxscript  # noqa: F401
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("the estimator", estimator)]
    steps = [(name, step) for name, step in steps if step not in (None, "passthrough")]
    *before, (name, classifier) = steps
    if not isinstance(classifier, NetClassifier):
        raise TypeError(
            f"{name} is a {type(classifier).__name__}; to_onnx exports GKDClassifier, "
            "SeriesClassifier, and a Pipeline that ends in one."
        )
    for _, step in steps:
        check_is_fitted(step)
    graph = nn.Sequential(*(_as_module(name, step) for name, step in before), _Decide(classifier))
    with warnings.catch_warnings():
        # The exporter copies a class that torch itself deprecates.
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec", FutureWarning)
        program: Any = torch.onnx.export(
            graph.eval(),
            (torch.zeros(2, *_input_shape([step for _, step in before], classifier)),),
            input_names=["X"],
            output_names=["code", "probabilities"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(_labels(classifier.classes_), "classes")
    )
    model.graph.node.append(onnx.helper.make_node("Gather", ["classes", "code"], ["label"]))
    label = onnx.helper.make_tensor_value_info(
        "label", model.graph.initializer[-1].data_type, ["n"]
    )
    model.graph.output[0].CopyFrom(label)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Decide(nn.Module):
    """The net that a classifier predicts with, up to class codes and probabilities."""

    def __init__(self, classifier: NetClassifier):
        super().__init__()
        self.shape = classifier.series_shape_
        self.net = getattr(classifier, classifier._predicts_with).module_

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = self.net([X.float().reshape(-1, *self.shape)])
        return logits.argmax(dim=1), logits.softmax(dim=1)


class _Affine(nn.Module):
    """A scaler of scikit-learn, in double precision as there."""

    factor: Tensor
    offset: Tensor

    def __init__(self, factor: Any, offset: Any):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        return (X.double() * self.factor + self.offset).float()


class _FillGaps(nn.Module):
    """`eo.GapFiller`, date by date: ONNX has no running maximum."""

    medians: Tensor

    def __init__(self, filler: GapFiller):
        super().__init__()
        self.shape = filler.series_shape_
        self.register_buffer("medians", torch.tensor(filler.medians_, dtype=torch.float64))
        self.days = filler.days_.tolist()

    def forward(self, X: Tensor) -> Tensor:
        series = X.double().reshape(-1, *self.shape)
        gap = series.isnan()
        series = torch.where(gap.all(dim=1, keepdim=True), self.medians, series)
        before, day_before = self._nearest(series, range(len(self.medians)))
        after, day_after = self._nearest(series, range(len(self.medians) - 1, -1, -1))
        day = torch.tensor(self.days, dtype=torch.float64)[:, None]
        before, day_before = (
            torch.where(before.isnan(), after, before),
            torch.where(before.isnan(), day_after, day_before),
        )
        after, day_after = (
            torch.where(after.isnan(), before, after),
            torch.where(after.isnan(), day_before, day_after),
        )
        span = day_after - day_before
        weight = (day - day_before) / torch.where(span > 0, span, torch.inf)
        filled = torch.where(series.isnan(), before + weight * (after - before), series)
        return filled.float().reshape(X.shape)

    def _nearest(self, series: Tensor, steps: range) -> tuple[Tensor, Tensor]:
        """Return the last observed value, NaN if none, and its day, going through these steps."""
        value = torch.full_like(series[:, 0], torch.nan)
        at = torch.zeros_like(value)
        found = {}
        for step in steps:
            observed = ~series[:, step].isnan()
            value = torch.where(observed, series[:, step], value)
            at = torch.where(observed, self.days[step], at)
            found[step] = value, at
        values, ats = zip(*(found[step] for step in sorted(found)), strict=True)
        return torch.stack(values, dim=1), torch.stack(ats, dim=1)


def _as_module(name: str, step: Any) -> nn.Module:
    """Return what a step before the classifier does, or raise a TypeError that names it."""
    if type(step) is GapFiller:
        return _FillGaps(step)
    if type(step) in _SCALERS and not getattr(step, "clip", False):
        return _Affine(*_affine(step))
    if (shape := _reshape(step)) is not None:
        return nn.Unflatten(1, shape) if len(shape) == 2 else nn.Flatten()
    raise TypeError(
        f"Step {name!r} is {step!r}, which to_onnx does not export. It exports eo.GapFiller, "
        "StandardScaler, MinMaxScaler, MaxAbsScaler and RobustScaler without clip, and "
        'FunctionTransformer(np.reshape, kw_args={"shape": (-1, ...)}).'
    )


def _affine(scaler: Any) -> tuple[Any, Any]:
    """Return the factor and the offset of each column."""
    if type(scaler) is MinMaxScaler:
        return scaler.scale_, scaler.min_
    centre: Any = None
    if type(scaler) is RobustScaler:
        centre = scaler.center_
    if type(scaler) is StandardScaler and scaler.with_mean:
        centre = scaler.mean_
    factor = 1.0 if scaler.scale_ is None else 1 / scaler.scale_
    return factor, 0.0 if centre is None else -centre * factor


def _reshape(step: Any) -> tuple[int, ...] | None:
    """Return the shape of a row that a step reshapes to, None where it does something else."""
    if not (isinstance(step, FunctionTransformer) and step.func is np.reshape):
        return None
    kw_args = step.kw_args or {}
    if kw_args.keys() not in ({"shape"}, {"newshape"}):  # the name before numpy 2.1
        return None
    [(n_rows, *shape)] = kw_args.values()
    return tuple(shape) if n_rows == -1 else None


def _input_shape(before: list, classifier: NetClassifier) -> tuple[int, ...]:
    """Return the shape of a row of X: a table where fit saw one, or where a step reshapes one."""
    shape = classifier.series_shape_
    mean = getattr(classifier, classifier._predicts_with).module_.mean_0
    is_table = classifier.n_channels is not None or mean.shape == shape
    if is_table or any(_reshape(step) for step in before):
        return (prod(shape),)
    return shape


def _labels(classes: np.ndarray) -> np.ndarray:
    """Return the classes as ONNX has them: strings, int64, or numbers as they are."""
    if classes.dtype.kind in "iu":
        return classes.astype(np.int64)
    if classes.dtype.kind in "OU":
        if not all(isinstance(label, str) for label in classes):
            raise ValueError(
                f"classes_ are of several types: {classes.tolist()}. ONNX has labels of one: fit "
                "on strings, or on numbers."
            )
        return classes.astype(object)
    return classes


def to_onnx(estimator: BaseEstimator, path: str | os.PathLike) -> None:
    """Write the student, with its scaling and the steps before it, as an ONNX model.

    The model has one input, ``X``, float32 of any number of rows: a table (n, T * C) where the
    classifier was fitted on a table or a step reshapes one, otherwise series (n, T, C). It has two
    outputs, named as sklearn-onnx names them: ``label`` (n,), of the type of the classes, and
    ``probabilities`` (n, n_classes), float32, in the order of ``classes_``.

    Parameters
    ----------
    estimator : GKDClassifier, SeriesClassifier, or a Pipeline that ends in one
        Fitted. Steps before it may be `eo.GapFiller`, scikit-learn's StandardScaler,
        MinMaxScaler, MaxAbsScaler and RobustScaler (without clip), "passthrough", and
        ``FunctionTransformer(np.reshape, kw_args={"shape": (-1, ...)})``.
    path : str or path-like
        The file.

    Raises
    ------
    TypeError
        If the estimator, or a step of the Pipeline, is another; the message names the step.
    ValueError
        If it is not fitted, or its classes are of several types.
    ModuleNotFoundError
        Without the extra ``onnx``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> from sklearn_gkd import SeriesClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.persistence import to_onnx
    >>> sits = make_sits(200, random_state=0)
    >>> clf = SeriesClassifier(max_epochs=1, random_state=0).fit(sits.X_s1, sits.y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(clf, Path(folder) / "radar.onnx")
    ...     session = onnxruntime.InferenceSession(Path(folder) / "radar.onnx")
    >>> label, probabilities = session.run(None, {"X": sits.X_s1.astype("float32")})
    >>> bool((abs(probabilities - clf.predict_proba(sits.X_s1)) < 1e-5).all())
    True
    """
    write_whole(path, onnx_bytes(estimator))
