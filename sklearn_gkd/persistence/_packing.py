"""A fitted estimator as plain JSON and tensors.

Its class declares what of it is fitted: see `_common.fitted_state`.
"""

from datetime import date
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor

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
from sklearn_gkd.persistence._column_labels import pack_labels

_SET_IN_FIT = {"network", "scalings", "shapes", "n_classes", "output_bias"}


class Packer:
    """Turns a fitted estimator into what JSON can say, and tensors."""

    def __init__(self, tensors: dict[str, Tensor], networks: Networks | None, with_teacher: bool):
        self.tensors = tensors
        self.name_of = {cls: name for name, cls in named_classes(networks).items()}
        self.with_teacher = with_teacher

    def model(self, estimator: Any) -> dict[str, Any]:
        """Return the estimator that `save_model` is given."""
        _check_can_be_saved(estimator)
        last = _last_step(estimator)
        if self.with_teacher and not hasattr(last, "teacher_"):
            raise ValueError(
                f"teacher=True, but {type(last).__name__} has no teacher_. Leave it out: "
                "teacher=False."
            )
        return self.estimator(estimator)

    def estimator(self, estimator: Any, prefix: str = "") -> dict[str, Any]:
        """Return class, parameters and what was fitted; tensors are named by the prefix."""
        return {**self._unfitted(estimator), "fitted": self._fitted(estimator, prefix)}

    def plain(self, value: Any) -> Any:
        """Return a value as JSON; raise a TypeError where it is no plain value."""
        if isinstance(value, np.generic) and value.dtype.kind in PLAIN:
            value = value.item()
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
        if type(value) in ESTIMATORS.values():
            return {"estimator": self._unfitted(value)}
        if type(value) is SeriesNet:
            default = signature(SeriesNet).parameters
            params = {
                name: param
                for name, param in value.get_params(deep=False).items()
                if name not in default or param is not default[name].default
            }
            if all(is_net_parameter(name) for name in params):
                return {"SeriesNet": {name: self.plain(param) for name, param in params.items()}}
        raise TypeError(f"{value!r} is no plain value")

    def _plain_or_described(self, value: Any) -> Any:
        try:
            return self.plain(value)
        except TypeError:
            return {"unsaved": repr(value)}

    def _unfitted(self, estimator: Any) -> dict[str, Any]:
        """Return class and parameters; what is no plain value is described, or a TypeError."""
        write = self.plain if needs_parameters(type(estimator)) else self._plain_or_described
        params = {}
        for name, value in estimator.get_params(deep=False).items():
            if name in OF_THE_MACHINE:
                continue
            is_array_like = "array-like" in estimator._parameter_constraints.get(name, [])
            if is_array_like and value is not None and not np.isscalar(value):
                value = _listed(value)
            try:
                params[name] = write(value)
            except TypeError as error:
                raise TypeError(
                    f"{name} of {type(estimator).__name__}: {error} that save_model writes. Give "
                    "numbers, strings, or a list of them."
                ) from None
        return {"class": type(estimator).__name__, "params": params}

    def _fitted(self, owner: Any, prefix: str) -> dict[str, Any]:
        """Return the attributes that an object's class declares, or those of a Pipeline's steps."""
        if isinstance(owner, Pipeline):
            return {
                name: self._fitted(step, f"{prefix}{name}.") for name, step in fitted_steps(owner)
            }
        return {
            name: self._attribute(getattr(owner, name), attribute, f"{prefix}{name}")
            for name, attribute in owner._fitted_state().items()
            if (self.with_teacher or not attribute.of_teacher)
            and not (attribute.optional and getattr(owner, name, None) is None)
        }

    def _attribute(self, value: Any, attribute: Attribute, path: str) -> Any:
        match attribute:
            case Sizes() | ColumnNumbers():
                return [int(number) for number in value]
            case Text():
                return value
            case Count():
                return int(value)
            case FloatArray() | Numbers():
                self.tensors[path] = torch.tensor(value)
                return "tensor"
            case ColumnNames():
                return value.tolist()
            case ColumnLabels():
                return pack_labels(value)
            case Labels():
                return self._labels(value)
            case Net():
                return self._net(value, path)
            case Transformer():
                return self._transformer(value, path)
            case Part():
                return self._fitted(value, f"{path}.")
            case Parts():
                return [self._fitted(part, f"{path}.{i}.") for i, part in enumerate(value)]
        raise NotImplementedError(attribute)

    def _labels(self, labels: np.ndarray) -> dict[str, Any]:
        if labels.dtype.kind not in PLAIN + "O":
            raise ValueError(
                f"classes_ have dtype {labels.dtype}, which save_model does not write. Fit on "
                "labels that are strings, numbers or booleans."
            )
        return {"dtype": labels.dtype.str, "values": self.plain(labels.tolist())}

    def _net(self, net: Any, path: str) -> dict[str, Any]:
        if not isinstance(net, NeuralNet):
            raise ValueError(
                f"teacher=True, but {path} is {net!r}, and only a net can be written. Leave it "
                "out: teacher=False."
            )
        module = getattr(net.module_, "_orig_mod", net.module_)  # where torch.compile wraps it
        for name, tensor in module.state_dict().items():
            self.tensors[f"{path}.{name}"] = tensor.clone(memory_format=torch.contiguous_format)
        params = net.get_params_for("module")
        network = params["network"]
        params = {name: value for name, value in params.items() if name not in _SET_IN_FIT}
        try:
            packed = {"network": self.plain(network), "params": self.plain(params)}
        except TypeError as error:
            raise ValueError(
                f"The net is {getattr(network, '__name__', network)} with {params}: {error}, nor a "
                "network that has a name. Give each class of your own a name, in save_model and in "
                "load_model: networks={'mine': Mine}."
            ) from None
        history = [
            # A user's callback may have recorded what is not plain.
            {name: self._plain_or_described(value) for name, value in epoch.items()}
            for epoch in net.history
        ]
        return {**packed, "history": history}

    def _transformer(self, transformer: Any, path: str) -> dict[str, Any]:
        try:
            _check_can_be_saved(transformer)
            return self.estimator(transformer, f"{path}.")
        except TypeError as error:
            raise ValueError(
                f"teacher=True, but the teacher needs the transformer {transformer!r}: {error} "
                "Or leave the teacher out: teacher=False."
            ) from None


def _last_step(estimator: Any) -> Any:
    return _last_step(estimator[-1]) if isinstance(estimator, Pipeline) else estimator


def _check_can_be_saved(estimator: Any) -> None:
    """Raise where an estimator, or a step of it, is not fitted or of a class that is not listed."""
    if type(estimator) is Pipeline:
        for _, step in fitted_steps(estimator):
            _check_can_be_saved(step)
        return
    if type(estimator) not in ESTIMATORS.values():
        raise TypeError(
            f"save_model was given a {type(estimator).__name__}; it writes "
            f"{', '.join(ESTIMATORS)}. Save the rest by joblib, for readers who trust you."
        )
    check_is_fitted(estimator)


def _listed(values: Any) -> list[Any] | tuple[Any, ...]:
    """Return the values of an array-like in a list, dates as ISO strings; a tuple stays one."""
    if not isinstance(values, (list, tuple, pd.Index, pd.Series)):
        values = np.asarray(values)
    listed = [_text_of_date(value) for value in values]
    return tuple(listed) if isinstance(values, tuple) else listed


def _text_of_date(value: Any) -> Any:
    """Return a date as text that is read back as the same; what is no date as it is."""
    if isinstance(value, pd.Period):
        value = value.start_time
    is_date = isinstance(value, (date, np.datetime64))
    return pd.Timestamp(value).isoformat() if is_date else value
