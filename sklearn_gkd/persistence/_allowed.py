"""What a file may name: estimators, networks and activations."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from torch import nn

from sklearn_gkd._estimators._base import NetEstimator
from sklearn_gkd._estimators._baselines import SeriesClassifier, SeriesRegressor
from sklearn_gkd._estimators._classifier import GKDClassifier
from sklearn_gkd._estimators._regressor import GKDRegressor
from sklearn_gkd.eo._optical import CloudMask, SpectralIndices
from sklearn_gkd.eo._time import GapFiller, Resample
from sklearn_gkd.networks._architectures import NETWORKS

Networks = Mapping[str, type[nn.Module]]

ESTIMATORS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        GKDClassifier,
        GKDRegressor,
        SeriesClassifier,
        SeriesRegressor,
        CloudMask,
        GapFiller,
        Resample,
        SpectralIndices,
        Pipeline,
    )
}

_ACTIVATIONS = {
    cls.__name__: cls
    for cls in (nn.ELU, nn.GELU, nn.Identity, nn.LeakyReLU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Tanh)
}

OF_THE_MACHINE = {"checkpoint", "device", "memory"}

PLAIN = "biufU"  # kinds of dtype that are JSON's numbers, booleans and strings


class Unsaved:
    """Stands for a parameter that `save_model` could not write; `fit` refuses it by name.

    Parameters
    ----------
    description : str
        What the parameter was.
    """

    def __init__(self, description: str):
        self.description = description

    def __repr__(self) -> str:
        return f"<not saved: {self.description}>"


def needs_parameters(cls: type) -> bool:
    """Return whether fitted objects of a class work by their parameters: nets work by weights."""
    return not issubclass(cls, NetEstimator)


def fitted_steps(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """Return the names and the estimators of a Pipeline, without "passthrough"."""
    return [(name, step) for name, step in pipeline.steps if step not in (None, "passthrough")]


def named_classes(networks: Networks | None) -> dict[str, type[nn.Module]]:
    """Return the classes that a net may be made of, with those that the user names."""
    return {**_ACTIVATIONS, **NETWORKS, **(networks or {})}


def is_net_parameter(name: str) -> bool:
    """Return whether a parameter of a SeriesNet may stand in a file."""
    return name in signature(NeuralNet).parameters or name.startswith(("module__", "optimizer__"))
