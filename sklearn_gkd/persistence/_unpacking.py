"""A fitted estimator from plain JSON and tensors of a file that nobody need trust."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.compat import validate_parameter_constraints
from sklearn_gkd._common.fitted_state import (
    Attribute,
    ColumnLabels,
    ColumnNames,
    ColumnNumbers,
    Count,
    FloatArray,
    Labels,
    Net,
    Numbers,
    Part,
    Parts,
    Sizes,
    Text,
    Transformer,
)
from sklearn_gkd._common.series import Scaling, Shape
from sklearn_gkd._training.predicting import Standardized, prediction_params
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd.networks._net import SeriesNet
from sklearn_gkd.persistence._allowed import (
    ESTIMATORS,
    OF_THE_MACHINE,
    PLAIN,
    Networks,
    Unsaved,
    fitted_steps,
    is_net_parameter,
    named_classes,
    needs_parameters,
)
from sklearn_gkd.persistence._column_labels import unpack_labels


class Unpacker:
    """Builds an estimator from what `Packer` made, and from nothing else."""

    def __init__(self, tensors: Mapping[str, Tensor], networks: Networks | None):
        self.tensors = dict(tensors)
        self.classes = named_classes(networks)

    def model(self, packed: dict[str, Any]) -> Any:
        """Return the fitted estimator; refuse tensors that it does not need."""
        estimator = self.estimator(packed)
        if self.tensors:
            raise ValueError(f"it has tensors that nothing needs: {sorted(self.tensors)}")
        return estimator

    def estimator(self, packed: dict[str, Any], prefix: str = "") -> Any:
        """Return a fitted estimator, whose tensors are named by the prefix."""
        estimator = self._unfitted(packed)
        self._restore(estimator, packed["fitted"], prefix, {})
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
        if kind == "estimator":
            return self._unfitted(content)
        if kind == "SeriesNet":
            _check(all(is_net_parameter(name) for name in content), "parameters of a SeriesNet")
            return SeriesNet(**{name: self.value(param) for name, param in content.items()})
        raise ValueError(f"it has a value of the unknown kind {kind!r}")

    def _module(self, name: str) -> type[nn.Module]:
        if name not in self.classes:
            raise ValueError(
                f"it names the network {name!r}, which is none of {sorted(self.classes)}. If you "
                "have its class, give it: load_model(path, networks={name: class})"
            )
        return self.classes[name]

    def _unfitted(self, packed: dict[str, Any]) -> Any:
        name = packed["class"]
        if name not in ESTIMATORS:
            raise ValueError(f"it names the class {name!r}, which is none of {list(ESTIMATORS)}")
        cls = ESTIMATORS[name]
        params = {name: self.value(value) for name, value in packed["params"].items()}
        _check(not params.keys() & OF_THE_MACHINE, "parameters")
        known = {
            name: value
            for name, value in params.items()
            if needs_parameters(cls) or not isinstance(value, Unsaved)
        }
        validate_parameter_constraints(cls._parameter_constraints, known, cls.__name__)
        return cls(**params)

    def _restore(
        self, owner: Any, packed: dict[str, Any], prefix: str, sizes: dict[str, Any]
    ) -> None:
        """Set the attributes that an object's class declares, or those of a Pipeline's steps."""
        if isinstance(owner, Pipeline):
            steps = dict(fitted_steps(owner))
            _check(packed.keys() == steps.keys(), f"{prefix}steps")
            for name, step in steps.items():
                self._restore(step, packed[name], f"{prefix}{name}.", {})
            return
        declared = owner._fitted_state()
        for name in packed:
            if name not in declared:
                raise ValueError(f"it has {prefix}{name}, which no {type(owner).__name__} has")
        with_teacher = any(declared[name].of_teacher for name in packed)
        for name, attribute in declared.items():
            if name in packed:
                value = self._attribute(packed[name], attribute, f"{prefix}{name}", sizes)
                setattr(owner, name, value)
            elif not attribute.optional and (with_teacher or not attribute.of_teacher):
                raise ValueError(f"it has no {prefix}{name}")

    def _attribute(
        self, packed: Any, attribute: Attribute, path: str, sizes: dict[str, Any]
    ) -> Any:
        match attribute:
            case Sizes(names):
                _check(type(packed) is list, path)
                _check(len(packed) in ([len(names)] if names else [2, 3]), path)
                _check(all(type(size) is int and size > 0 for size in packed), path)
                for name, size in zip(names, packed, strict=False):
                    _check(sizes.setdefault(name, size) == size, path)
                return tuple(packed)
            case Count(factors):
                _check(type(packed) is int and packed > 0, path)
                _check(not factors or packed == prod(sizes[name] for name in factors), path)
                return packed
            case FloatArray(shape):
                return self._floats(path, tuple(sizes[name] for name in shape))
            case Numbers(size):
                return self._numbers(path, size, sizes)
            case ColumnNames(factors):
                _check(type(packed) is list and all(type(name) is str for name in packed), path)
                n_columns = prod(sizes[name] for name in factors)
                _check(not factors or len(packed) == n_columns, path)
                return np.array(packed, dtype=object)
            case ColumnLabels(factors):
                column_labels = unpack_labels(packed)
                n_columns = prod(sizes[name] for name in factors)
                _check(not factors or len(column_labels) == n_columns, path)
                return column_labels
            case Labels(size):
                labels = self._labels(packed, path)
                sizes[size] = len(labels)
                return labels
            case ColumnNumbers():
                are_places = type(packed) is list and len(packed) > 0
                _check(are_places and all(type(n) is int and n >= 0 for n in packed), path)
                return packed
            case Text():
                _check(type(packed) is str, path)
                return packed
            case Net(views, n_outputs):
                return self._net(packed, path, _shapes(views, sizes, path), sizes[n_outputs])
            case Transformer():
                transformer = self.estimator(packed, f"{path}.")
                _check(hasattr(transformer, "transform"), path)
                return transformer
            case Part(cls):
                return self._part(packed, cls, path, sizes)
            case Parts(cls, name):
                _check(type(packed) is list and len(packed) > 0, path)
                parts = [self._part(part, cls, f"{path}.{i}", {}) for i, part in enumerate(packed)]
                sizes[name] = [part.shape for part in parts]
                return parts
        raise NotImplementedError(attribute)

    def _part(self, packed: dict[str, Any], cls: type, path: str, sizes: dict[str, Any]) -> Any:
        part: Any = object.__new__(cls)
        vars(part).update(dict.fromkeys(part._fitted_state()))
        self._restore(part, packed, f"{path}.", sizes)
        return part

    def _floats(self, path: str, shape: tuple[int, ...]) -> np.ndarray:
        _check(path in self.tensors, path)
        values = self.tensors.pop(path)
        if not values.is_floating_point() or values.shape != shape:
            raise ValueError(
                f"{path} is {values.dtype} of shape {tuple(values.shape)}, and should be floats of "
                f"shape {shape}"
            )
        return values.numpy()

    def _numbers(self, path: str, size: str, sizes: dict[str, Any]) -> np.ndarray:
        _check(path in self.tensors, path)
        numbers = self.tensors.pop(path)
        n_numbers = numbers.numel()
        _check(numbers.is_floating_point() and numbers.ndim < 2 and n_numbers > 0, path)
        _check(sizes.setdefault(size, n_numbers) == n_numbers, path)
        return numbers.numpy()

    def _labels(self, packed: dict[str, Any], path: str) -> np.ndarray:
        dtype = np.dtype(packed["dtype"])
        _check(dtype.kind in PLAIN + "O" and dtype.itemsize < 10**6, path)
        labels = np.array(self.value(packed["values"]), dtype=dtype)
        _check(labels.ndim == 1 and 1 < len(labels) == len(set(labels.tolist())), path)
        return labels

    def _net(
        self, packed: dict[str, Any], path: str, shapes: list[Shape], n_classes: int
    ) -> NeuralNet:
        tensors = {
            name.removeprefix(f"{path}."): self.tensors.pop(name)
            for name in list(self.tensors)
            if name.startswith(f"{path}.")
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
                    f"{path}.{name} is {dtype} of shape {tuple(shape)}, and its network has "
                    f"{weight.dtype} of shape {tuple(weight.shape)}"
                )
        settings = {f"module__{name}": value for name, value in params.items()}
        settings |= prediction_params(shapes, params.setdefault("averages", "probabilities"))
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


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"its {what} cannot be what save_model wrote")


def _shapes(
    views: Sequence[tuple[str, str] | str], sizes: dict[str, Any], path: str
) -> list[Shape]:
    """Return the shape of each view that a net sees."""
    shapes: list[Shape] = []
    for view in views:
        names = [view] if isinstance(view, str) else view
        _check(all(name in sizes for name in names), path)
        shapes += sizes[view] if isinstance(view, str) else [tuple(sizes[name] for name in view)]
    return shapes


def _scaling(tensors: Mapping[str, Tensor], number: int, shape: Shape) -> Scaling:
    """Return the scaling of a view: per channel, or per column."""
    arrays = [tensors[f"{name}_{number}"].numpy() for name in ("mean", "scale")]
    fits = all(a.dtype == np.float32 and a.shape in (shape, shape[-1:]) for a in arrays)
    _check(fits, "scaling")
    return Scaling(*arrays)
