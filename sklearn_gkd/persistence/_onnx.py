"""Export of a fitted estimator, with the steps before it, as one ONNX graph."""

import os
import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_gkd._common.checks import LEVELS
from sklearn_gkd._common.files import missing_extra, write_whole
from sklearn_gkd._estimators._base import NetEstimator
from sklearn_gkd._estimators._net_classifier import NetClassifier
from sklearn_gkd._estimators._net_regressor import NetRegressor
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.persistence._onnx_steps import as_module, reshaped_to


def onnx_bytes(estimator: Any) -> bytes:
    """Return the ONNX model that `persistence.to_onnx` writes."""
    with missing_extra("onnx", "to_onnx"):
        import onnx
        import onnxscript  # noqa: F401
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("the estimator", estimator)]
    steps = [(name, step) for name, step in steps if step not in (None, "passthrough")]
    *before, (name, last) = steps
    if not isinstance(last, NetEstimator):
        raise TypeError(
            f"{name} is a {type(last).__name__}; to_onnx exports GKDClassifier, GKDRegressor, "
            "SeriesClassifier, SeriesRegressor, and a Pipeline that ends in one."
        )
    for _, step in steps:
        check_is_fitted(step)
    predict = _Decide(last) if isinstance(last, NetClassifier) else _Predict(last)
    graph = nn.Sequential(*(as_module(name, step) for name, step in before), predict)
    with warnings.catch_warnings():
        # The exporter copies a class that torch itself deprecates.
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec", FutureWarning)
        program: Any = torch.onnx.export(
            graph.eval(),
            (torch.zeros(2, *_input_shape([step for _, step in before], last)),),
            input_names=["X"],
            output_names=predict.output_names,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    if isinstance(predict, _Decide):
        _add_labels(model, predict.labels)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _add_labels(model: Any, labels: np.ndarray) -> None:
    """Put the class of each row in the place of its code."""
    import onnx

    model.graph.initializer.append(onnx.numpy_helper.from_array(labels, "classes"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["classes", "code"], ["label"]))
    label = onnx.helper.make_tensor_value_info(
        "label", model.graph.initializer[-1].data_type, ["n"]
    )
    model.graph.output[0].CopyFrom(label)


class _OfNet(nn.Module):
    """The net that an estimator predicts with."""

    output_names: Sequence[str]

    def __init__(self, estimator: NetEstimator):
        super().__init__()
        self.shape = estimator.series_shape_
        self.net = getattr(estimator, estimator._predicts_with).module_

    def outputs(self, X: Tensor) -> Tensor:
        return self.net([X.float().reshape(-1, *self.shape)])[0]


class _Decide(_OfNet):
    """The net that a classifier predicts with, up to class codes and probabilities."""

    output_names = ("code", "probabilities")

    def __init__(self, classifier: NetClassifier):
        super().__init__(classifier)
        self.labels = _labels(classifier.classes_)

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.outputs(X)
        return logits.argmax(dim=1), logits.softmax(dim=1)


class _Predict(_OfNet):
    """The net that a regressor predicts with, up to numbers in the units of y."""

    output_names = ("variable",)
    scaled_mean: Tensor
    scale: Tensor

    def __init__(self, regressor: NetRegressor):
        super().__init__(regressor)
        steps = np.spacing(np.abs(regressor.target_mean_).astype(np.float32))
        if (LEVELS * steps > regressor.target_scale_).any():
            raise ValueError(
                f"y has numbers of about {regressor.target_mean_} that differ by "
                f"{regressor.target_scale_}: float32, in which ONNX gives them, hardly tells them "
                "apart. Subtract before fit what they share, and add it to what ONNX gives."
            )
        mean, scale = torch.tensor(regressor.target_mean_), torch.tensor(regressor.target_scale_)
        self.register_buffer("scaled_mean", mean / scale)  # ONNX drops a sum with less than 1e-8
        self.register_buffer("scale", scale)

    def forward(self, X: Tensor) -> Tensor:
        numbers = self.outputs(X).double()
        if self.scale.ndim == 0:
            numbers = numbers.squeeze(1)
        return ((numbers + self.scaled_mean) * self.scale).float()


def _input_shape(before: list[Any], last: NetEstimator) -> tuple[int, ...]:
    """Return the shape of a row of X: a table where fit saw one, or where a step reshapes one."""
    mean = getattr(last, last._predicts_with).module_.mean_0
    of_columns = last.n_channels is not None or hasattr(last, "feature_names_in_")
    is_table = of_columns or mean.shape == last.series_shape_
    # Scaling and reshaping leave the number of columns as it is; steps of eo may change it.
    first = next(step for step in [*before, last] if hasattr(step, "series_shape_"))
    if is_table or any(reshaped_to(step) for step in before):
        return (prod(first.series_shape_),)
    return first.series_shape_


def _labels(classes: np.ndarray) -> np.ndarray:
    """Return the classes as ONNX has them: strings, int64, or numbers as they are."""
    if classes.dtype.kind in "iu":
        if classes.max() > np.iinfo(np.int64).max:
            raise ValueError(
                f"classes_ hold {classes.max()}, and the labels of an ONNX model are int64. Fit on "
                "smaller numbers, or on strings."
            )
        return classes.astype(np.int64)
    if classes.dtype.kind in "OU":
        if not all(isinstance(label, str) for label in classes):
            raise ValueError(
                f"classes_ are of several types: {classes.tolist()}. ONNX has labels of one: fit "
                "on strings, or on numbers."
            )
        return classes.astype(object)
    if classes.dtype not in (bool, np.float16, np.float32, np.float64):
        raise ValueError(
            f"classes_ have dtype {classes.dtype}, which the labels of an ONNX model have not. Fit "
            "on strings, or on integers."
        )
    return classes


@plain_torch()
def to_onnx(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write the student, with its scaling and the steps before it, as an ONNX model.

    The model has one input, ``X``, float32 of any number of rows: a table (n, T * C) where the
    estimator was fitted on one or has `n_channels`, or a step reshapes it, otherwise series
    (n, T, C), with the dates and channels that the first step was fitted on. Its outputs are named
    as sklearn-onnx names them. Of a classifier: ``label`` (n,), of the type of the classes, and
    ``probabilities`` (n, n_classes), float32, in the order of ``classes_``. Of a regressor:
    ``variable``, float32, (n,) or (n, k) as y was.

    Parameters
    ----------
    estimator : GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor, or a Pipeline
        Fitted. A Pipeline ends in one of them. Steps before it may be `eo.CloudMask`,
        `eo.GapFiller`, `eo.Resample` and `eo.SpectralIndices`, scikit-learn's StandardScaler,
        MinMaxScaler, MaxAbsScaler and RobustScaler (without clip), "passthrough", and
        ``FunctionTransformer(np.reshape, kw_args={"shape": (-1, ...)})``.
    path : str or path-like
        The file.

    Raises
    ------
    TypeError
        If the estimator, or a step of the Pipeline, is another; the message names the step.
    ValueError
        If it is not fitted, or its classes are of several types, or of one that ONNX lacks, or
        numbers of y are too far from 0 for float32 to tell them apart.
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
