"""A fitted estimator as plain JSON and tensors, and back, by an allow-list of classes."""

from collections.abc import Mapping
from inspect import signature
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.compat import validate_parameter_constraints
from sklearn_gkd._common.series import Scaling, Shape
from sklearn_gkd._estimators._baselines import SeriesClassifier
from sklearn_gkd._estimators._classifier import GKDClassifier
from sklearn_gkd._estimators._privileged import PrivilegedReader
from sklearn_gkd._training.predicting import Standardized
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd.eo._time import GapFiller
from sklearn_gkd.networks._architectures import NETWORKS
from sklearn_gkd.networks._net import SeriesNet

Networks = Mapping[str, type[nn.Module]]

_ESTIMATORS = {cls.__name__: cls for cls in (GKDClassifier, SeriesClassifier, GapFiller)}

_ACTIVATIONS = {
    cls.__name__: cls
    for cls in (nn.ELU, nn.GELU, nn.Identity, nn.LeakyReLU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Tanh)
}

_OF_THE_MACHINE = {"checkpoint", "device", "memory"}

_LABELS = "biufUO"  # kinds of dtype

_SET_IN_FIT = {"network", "scalings", "shapes", "n_classes", "output_bias"}


class Unsaved:
    """Stands for a parameter that `save_model` could not write; `fit` refuses it by name.

    Parameters
    ----------
    description : str
        What the parameter was.
    """

    def __init__(self, description: str):
        self.description = description

    def __repr__(self):
        return f"<not saved: {self.description}>"


class Packer:
    """Turns a fitted estimator into what JSON can say, and tensors."""

    def __init__(self, tensors: dict[str, Tensor], networks: Networks | None, with_teacher: bool):
        self.tensors = tensors
        self.name_of = {cls: name for name, cls in _names(networks).items()}
        self.with_teacher = with_teacher

    def estimator(self, estimator: Any, prefix: str = "") -> dict:
        """Return class, parameters and what was fitted; tensors are named by the prefix."""
        if isinstance(estimator, Pipeline):
            steps = [
                (name, self.estimator(step, f"{prefix}{name}."))
                for name, step in estimator.steps
                if step not in (None, "passthrough")
            ]
            return {"class": "Pipeline", "steps": steps}
        if type(estimator) not in _ESTIMATORS.values():
            raise TypeError(
                f"save_model was given a {type(estimator).__name__}; it writes "
                f"{', '.join(_ESTIMATORS)} and Pipelines of them. Save the rest by joblib, for "
                "readers who trust you."
            )
        check_is_fitted(estimator)
        packed = {
            "class": type(estimator).__name__,
            "params": self._params(estimator),
            "series_shape": estimator.series_shape_,
        }
        if hasattr(estimator, "feature_names_in_"):
            packed["feature_names"] = estimator.feature_names_in_.tolist()
        if isinstance(estimator, GapFiller):
            self.tensors[f"{prefix}medians_"] = torch.tensor(estimator.medians_)
            self.tensors[f"{prefix}days_"] = torch.tensor(estimator.days_)
            return packed
        packed["classes"] = self._classes(estimator.classes_)
        packed["priv_shape"] = getattr(estimator, "priv_shape_", None)
        net = estimator._predicts_with
        packed[net] = self._net(getattr(estimator, net), f"{prefix}{net}.")
        if self.with_teacher:
            packed |= self._teacher(estimator, prefix)
        return packed

    def plain(self, value: Any) -> Any:
        """Return a value as JSON; raise a TypeError where it is no plain value."""
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, tuple):
            return {"tuple": self.plain(list(value))}
        if isinstance(value, dict):
            return {"dict": [[self.plain(key), self.plain(item)] for key, item in value.items()]}
        if isinstance(value, type) and value in self.name_of:
            return {"module": self.name_of[value]}
        if isinstance(value, Unsaved):
            return {"unsaved": value.description}
        if type(value) is GapFiller:
            return {"GapFiller": self._params(value)}
        if type(value) is SeriesNet:
            default = signature(SeriesNet).parameters
            params = {
                name: param
                for name, param in value.get_params(deep=False).items()
                if name not in default or param is not default[name].default
            }
            if all(_is_net_parameter(name) for name in params):
                return {"SeriesNet": {name: self.plain(param) for name, param in params.items()}}
        raise TypeError(f"{value!r} is no plain value")

    def _plain_or_described(self, value: Any) -> Any:
        try:
            return self.plain(value)
        except TypeError:
            return {"unsaved": repr(value)}

    def _params(self, estimator: Any) -> dict:
        return {
            name: self._plain_or_described(value)
            for name, value in estimator.get_params(deep=False).items()
            if name not in _OF_THE_MACHINE
        }

    def _classes(self, classes: np.ndarray) -> dict:
        if classes.dtype.kind not in _LABELS:
            raise ValueError(
                f"classes_ have dtype {classes.dtype}, which save_model does not write. Fit on "
                "labels that are strings, numbers or booleans."
            )
        return {"dtype": classes.dtype.str, "values": self.plain(classes.tolist())}

    def _net(self, net: NeuralNet, prefix: str) -> dict:
        module = getattr(net.module_, "_orig_mod", net.module_)  # where torch.compile wraps it
        for name, tensor in module.state_dict().items():
            self.tensors[prefix + name] = tensor.clone(memory_format=torch.contiguous_format)
        params = net.get_params_for("module")
        network = params["network"]
        params = {name: value for name, value in params.items() if name not in _SET_IN_FIT}
        try:
            packed = {"network": self.plain(network), "params": self.plain(params)}
        except TypeError as error:
            raise ValueError(
                f"The net is {network.__name__} with {params}: {error}, nor a network "
                "that has a name. Give each class of your own a name, in save_model and in "
                "load_model: networks={'mine': Mine}."
            ) from None
        history = [
            # A user's callback may have recorded what is not plain.
            {name: self._plain_or_described(value) for name, value in epoch.items()}
            for epoch in net.history
        ]
        return {**packed, "history": history}

    def _teacher(self, estimator: Any, prefix: str) -> dict:
        teacher = getattr(estimator, "teacher_", None)
        if not isinstance(teacher, NeuralNet):
            raise ValueError(
                f"teacher=True, but teacher_ is {teacher!r}, and only a net can be written. Leave "
                "it out: teacher=False."
            )
        reader = estimator.priv_reader_
        if type(reader.transformer) not in (GapFiller, type(None)):
            raise ValueError(
                f"teacher=True, but the teacher needs priv_transformer_={reader.transformer!r}, "
                "and only a GapFiller can be written. Leave the teacher out: teacher=False."
            )
        packed: dict[str, Any] = {"teacher_": self._net(teacher, f"{prefix}teacher_.")}
        if reader.transformer is not None:
            packed["priv_transformer"] = self.estimator(reader.transformer, f"{prefix}priv.")
        packed["priv_columns"] = None if reader.columns is None else reader.columns.tolist()
        return packed


class Unpacker:
    """Builds an estimator from what `Packer` made, and from nothing else."""

    def __init__(self, tensors: Mapping[str, Tensor], networks: Networks | None):
        self.tensors = tensors
        self.classes = _names(networks)

    def estimator(self, packed: dict, prefix: str = "") -> Any:
        """Return the fitted estimator."""
        if packed["class"] == "Pipeline":
            return Pipeline(
                [(name, self.estimator(step, f"{prefix}{name}.")) for name, step in packed["steps"]]
            )
        estimator = self._unfitted(_ESTIMATORS[packed["class"]], packed["params"])
        estimator.series_shape_ = _shape(packed["series_shape"])
        estimator.n_features_in_ = prod(estimator.series_shape_)
        if "feature_names" in packed:
            estimator.feature_names_in_ = np.array(packed["feature_names"], dtype=object)
            _check(estimator.feature_names_in_.shape == (estimator.n_features_in_,), "column names")
        if isinstance(estimator, GapFiller):
            shape = estimator.series_shape_
            for name, expected in [("medians_", shape), ("days_", shape[:1])]:
                values = self.tensors[f"{prefix}{name}"].numpy()
                _check(values.dtype.kind == "f" and values.shape == expected, name)
                setattr(estimator, name, values)
            return estimator
        estimator.classes_ = self._classes(packed["classes"])
        n_classes = len(estimator.classes_)
        net, shapes = estimator._predicts_with, [estimator.series_shape_]
        setattr(estimator, net, self._net(packed[net], f"{prefix}{net}.", shapes, n_classes))
        if packed["priv_shape"] is not None:
            estimator.priv_shape_ = _shape(packed["priv_shape"])
            shapes.append(estimator.priv_shape_)
        if "teacher_" in packed:
            shapes = shapes[1:] if estimator.teacher_view == "privileged" else shapes
            teacher = self._net(packed["teacher_"], f"{prefix}teacher_.", shapes, n_classes)
            estimator.teacher_ = teacher
            estimator.priv_reader_ = self._reader(packed, prefix, estimator)
            estimator.priv_transformer_ = estimator.priv_reader_.transformer
        return estimator

    def value(self, packed: Any) -> Any:
        """Return the value that `Packer.plain` made JSON of."""
        if isinstance(packed, list):
            return [self.value(item) for item in packed]
        if not isinstance(packed, dict):
            return packed
        ((kind, content),) = packed.items()
        if kind == "tuple":
            return tuple(self.value(content))
        if kind == "dict":
            return {self.value(key): self.value(item) for key, item in content}
        if kind == "module":
            return self._module(content)
        if kind == "unsaved":
            return Unsaved(content)
        if kind == "GapFiller":
            return self._unfitted(GapFiller, content)
        if kind == "SeriesNet":
            _check(all(_is_net_parameter(name) for name in content), "parameters of a SeriesNet")
            return SeriesNet(**{name: self.value(param) for name, param in content.items()})
        raise ValueError(f"it has a value of the unknown kind {kind!r}")

    def _module(self, name: str) -> type[nn.Module]:
        if name not in self.classes:
            raise ValueError(
                f"it names the network {name!r}, which is none of {sorted(self.classes)}. If you "
                "have its class, give it: load_model(path, networks={name: class})"
            )
        return self.classes[name]

    def _unfitted(self, cls: Any, packed: dict) -> Any:
        params = {name: self.value(value) for name, value in packed.items()}
        _check(not params.keys() & _OF_THE_MACHINE, "parameters")
        known = {name: value for name, value in params.items() if not isinstance(value, Unsaved)}
        validate_parameter_constraints(cls._parameter_constraints, known, cls.__name__)
        return cls(**params)

    def _classes(self, packed: dict) -> np.ndarray:
        dtype = np.dtype(packed["dtype"])
        _check(dtype.kind in _LABELS and dtype.itemsize < 10**6, "classes_")
        classes = np.array(self.value(packed["values"]), dtype=dtype)
        _check(classes.ndim == 1 and 1 < len(classes) == len(set(classes.tolist())), "classes_")
        return classes

    def _net(self, packed: dict, prefix: str, shapes: list[Shape], n_classes: int) -> NeuralNet:
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }
        params = {
            **self.value(packed["params"]),
            "network": self.value(packed["network"]),
            "scalings": [_scaling(tensors, i, shape) for i, shape in enumerate(shapes)],
            "shapes": shapes,
            "n_classes": n_classes,
        }
        # Without memory first: a file may ask for any width, but holds only so many weights.
        with torch.device("meta"):
            expected = Standardized(**params).state_dict()
        _check(expected.keys() == tensors.keys(), "names of the weights")
        for name, weight in expected.items():
            shape, dtype = tensors[name].shape, tensors[name].dtype
            if (shape, dtype) != (weight.shape, weight.dtype):
                raise ValueError(
                    f"{prefix}{name} is {dtype} of shape {tuple(shape)}, and its network has "
                    f"{weight.dtype} of shape {tuple(weight.shape)}"
                )
        settings = {f"module__{name}": value for name, value in params.items()}
        net = SeriesNet(Standardized, callbacks="disable", **settings)
        with seeded(0, torch.device("cpu")):
            net.initialize()
        net.module_.load_state_dict(tensors)
        net.trim_for_prediction()
        net.history.extend(
            {name: self.value(value) for name, value in epoch.items()}
            for epoch in packed["history"]
        )
        return net

    def _reader(self, packed: dict, prefix: str, estimator: GKDClassifier) -> PrivilegedReader:
        reader = PrivilegedReader(None, estimator.n_channels_priv)
        reader.shape = estimator.priv_shape_
        if packed["priv_columns"] is not None:
            reader.columns = np.array(packed["priv_columns"], dtype=object)
        if "priv_transformer" in packed:
            reader.transformer = self.estimator(packed["priv_transformer"], f"{prefix}priv.")
        return reader


def _names(networks: Networks | None) -> dict[str, type[nn.Module]]:
    return {**_ACTIVATIONS, **NETWORKS, **(networks or {})}


def _is_net_parameter(name: str) -> bool:
    return name in signature(NeuralNet).parameters or name.startswith(("module__", "optimizer__"))


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"its {what} cannot be what save_model wrote")


def _shape(packed: list) -> Shape:
    n_steps, n_channels = packed
    _check(type(n_steps) is type(n_channels) is int and min(packed) > 0, "series shape")
    return n_steps, n_channels


def _scaling(tensors: Mapping[str, Tensor], number: int, shape: Shape) -> Scaling:
    """Return the scaling of a view: per channel, or per column."""
    arrays = [tensors[f"{name}_{number}"].numpy() for name in ("mean", "scale")]
    fits = all(a.dtype == np.float32 and a.shape in (shape, shape[1:]) for a in arrays)
    _check(fits, "scaling")
    return Scaling(*arrays)
