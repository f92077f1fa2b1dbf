"""Resolve teacher, student and device parameters to skorch nets and torch devices."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import signature
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import nn

from sklearn_gkd._common.checks import naming, warn
from sklearn_gkd._common.compat import Interval, Options, validate_parameter_constraints
from sklearn_gkd._common.series import Shape
from sklearn_gkd._training.callbacks import check_patterns
from sklearn_gkd._training.predicting import logits_and_features, takes_present
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd.networks._architectures import NETWORKS
from sklearn_gkd.networks._net import SeriesNet, is_alike

SET_BY_THE_ESTIMATOR = {
    "criterion": "the loss is that of the method",
    "dataset": "the estimator reads X itself",
    "device": "set the estimator's device",
    "iterator_train": "batches are made of rows in memory; batch_size is their size",
    "iterator_valid": "batches are made of rows in memory",
    "predict_nonlinearity": "what the network returns are logits",
    "train_split": "set the estimator's validation_fraction, or give X_val and y_val",
    "warm_start": "every fit starts anew",
}


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that a name stands for here; "auto" is a GPU where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not one of torch's: {error}") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r}, but PyTorch finds no GPU here. Give 'auto', which takes one "
            "where there is one, or 'cpu'."
        )
    return resolved


BUDGET = {
    "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
    "batch_size": [Interval(Integral, 2, None, closed="left"), Options(Integral, {-1}), None],
    "lr": [Interval(Real, 0, None, closed="neither"), None],
}

OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss)
OF_NUMBERS = (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss)


def resolve_net(
    network: Any, parameter: str, criteria: tuple[type[nn.Module], ...] = OF_CLASSES, **budget: Any
) -> NeuralNet:
    """Return the skorch net that a name, a network class or a skorch net stands for.

    A skorch net cannot be made without a criterion; one of these is no cause for a warning.

    Raises
    ------
    ValueError
        Where a name is unknown, or a net comes with what only fit can set.
    """
    net = clone(network) if isinstance(network, NeuralNet) else SeriesNet(network, **budget)
    if isinstance(net.module, str):
        if net.module not in NETWORKS:
            raise ValueError(
                f"{parameter}={net.module!r} is not the name of a network. Give one of "
                f"{sorted(NETWORKS)}, an nn.Module class or a skorch net."
            )
        net.module = NETWORKS[net.module]
    if isinstance(net.module, type) and not issubclass(net.module, nn.Module):
        raise ValueError(
            f"{parameter} is the class {net.module.__name__}, which is no network. Give an "
            "nn.Module class; or, of an estimator that teaches, an instance."
        )
    if isinstance(net.module, nn.Module):
        raise ValueError(
            f"{parameter} is an instance of {type(net.module).__name__}, but shapes and classes "
            "are known only in fit. Give the class, and its parameters as "
            "SeriesNet(<class>, module__<name>=<value>)."
        )
    ours = [
        name
        for name in net.get_params()
        if re.match("criterion__|iterator_(train|valid)__(?!batch_size)", name)
    ]
    if ours:
        raise ValueError(
            f"{parameter} has {ours}, but loss and batches are those of the method. Leave them out."
        )
    _warn_of_unused(net, parameter, criteria)
    validate_parameter_constraints(BUDGET, {name: getattr(net, name) for name in BUDGET}, parameter)
    _check_optimizer(net, parameter)
    return net


def _check_optimizer(net: NeuralNet, parameter: str) -> None:
    """Raise an error where a net's optimizer does not take what it is given."""
    weights = [("weight", nn.Parameter(torch.zeros(2, 2)))]
    args, kwargs = net.get_params_for_optimizer("optimizer", weights)
    if kwargs["lr"] is None:
        del kwargs["lr"]
    with naming(parameter):
        net.optimizer(*args, **kwargs)


def with_sources(net: NeuralNet, n_sources: int) -> NeuralNet:
    """Tell a net how many of its views are sources, where they are several and it asks."""
    if n_sources > 1 and "n_sources" in signature(net.module).parameters:
        net.set_params(module__n_sources=n_sources)
    return net


def _warn_of_unused(net: NeuralNet, parameter: str, criteria: tuple[type[nn.Module], ...]) -> None:
    """Warn of what a net was given and the estimator sets in its place."""
    for name, remedy in SET_BY_THE_ESTIMATOR.items():
        value, default = getattr(net, name), _default(type(net), name)
        is_usual = name == "criterion" and value in (None, *criteria)
        if not (is_usual or is_alike(value, default)):
            warn(f"{parameter} has {name}={value!r}, which does nothing here: {remedy}.")


def _default(cls: type, name: str) -> Any:
    """Return a parameter's default, by the nearest class that has it in its signature."""
    signatures = (signature(vars(base).get("__init__", object)).parameters for base in cls.__mro__)
    return next(params[name].default for params in signatures if name in params)


def feature_width(net: NeuralNet, parameter: str, shapes: Sequence[Shape], n_classes: int) -> int:
    """Build a net's network once, check what it gives and is asked, and return its features."""
    params = tuple(net.get_params_for("module").items())
    args = net.module, params, tuple(map(tuple, shapes)), n_classes
    try:
        hash(params)
    except TypeError:
        logits, features, names = _trial.__wrapped__(*args)
    else:
        logits, features, names = _trial(*args)
    if logits != (2, n_classes) or len(features) != 2 or features[0] != 2:
        raise ValueError(
            f"{parameter}'s network returned logits of shape {logits} and features of "
            f"shape {features} for 2 rows and {n_classes} classes. Return logits "
            "(n, n_classes) and features (n, n_features), or logits alone."
        )
    check_patterns(net, parameter, names)
    return features[1]


@lru_cache(maxsize=16)  # the fits of a search ask again and again
def _trial(
    module: Callable[..., nn.Module],
    params: tuple[tuple[str, Any], ...],
    shapes: tuple[Shape, ...],
    n_classes: int,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the shapes of a network's logits and features for two rows, and its parameters."""

    def on(device: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
        with seeded(0, torch.device("cpu")), torch.inference_mode(), torch.device(device):
            network = module(shapes, n_classes, **dict(params)).eval()
            views = [torch.zeros(2, *shape) for shape in shapes]
            present = None
            if takes_present(network, len(views)):
                present = torch.ones(2, len(views), dtype=torch.bool)
            logits, features = logits_and_features(network, views, present)
        names = tuple(name for name, _ in network.named_parameters())
        return tuple(logits.shape), tuple(features.shape), names

    try:
        return on("meta")
    except Exception:  # not every network can do without values
        return on("cpu")
