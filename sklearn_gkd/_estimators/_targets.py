"""What an estimator learns, classes or a quantity: how it is encoded, lost, scored and decided."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.base import is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.series import as_column, refuse_dates, refuse_masked
from sklearn_gkd.losses import (
    DistillationLoss,
    LabelLoss,
    LossWeights,
    QuantityDistillationLoss,
    QuantityLoss,
    distance,
    row_weights,
)
from sklearn_gkd.networks._architectures import Averages

SMALLEST_PROBABILITY = 1e-7

SMALLEST_SPREAD = 1e-140  # whose square has all its digits


@dataclass(frozen=True, eq=False)
class Classes:
    """Class labels, which a net learns as codes.

    Attributes
    ----------
    labels : ndarray of shape (n_classes,)
        Sorted.
    weights : ndarray of shape (n_classes,) or None
        Weight of the rows of each class in loss and score; None weighs them alike.
    """

    score_name: ClassVar[str] = "valid_acc"
    averages: ClassVar[Averages] = "probabilities"
    held_out_loss: ClassVar[str] = "log loss"

    labels: np.ndarray
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, y: np.ndarray) -> tuple["Classes", np.ndarray]:
        """Return the classes of y, and the code of each row."""
        with naming("y"):
            labels, codes = np.unique(y, return_inverse=True)
        if len(labels) == 1:
            raise ValueError(
                f"y holds one class, {labels.tolist()[0]!r}; a classifier needs two or more. Add "
                "rows of another class."
            )
        return cls(labels), codes

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def weighted(
        self, class_weight: Any, codes: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> "Classes":
        """Return the classes with what scikit-learn calls class_weight, of rows of these codes.

        The mean of sample_weight, if given, is 1: "balanced" then balances its sums.
        """
        if class_weight is None:
            return self
        weights = compute_class_weight(class_weight, classes=self.labels, y=self.labels[codes])
        if class_weight == "balanced" and sample_weight is not None:
            weights *= np.bincount(codes) / np.bincount(codes, sample_weight)
        wrong = ~(np.isfinite(weights) & (weights >= 0))
        if wrong.any() or not weights.any():
            of_labels = dict(zip(self.labels.tolist(), weights.tolist(), strict=True))
            raise ValueError(
                f"class_weight gives the classes the weights {of_labels}. Give numbers of 0 or "
                "more, one of them above 0."
            )
        return replace(self, weights=weights.astype(np.float32))

    def encode(self, y_val: Any, n_rows: int) -> np.ndarray:
        """Return the codes of validation rows, which have no classes of their own."""
        with naming("y_val"):
            y_val = as_column(y_val, "y_val")
            unknown = np.setdiff1d(y_val, self.labels)
        if len(y_val) != n_rows:
            raise ValueError(
                f"y_val has {len(y_val)} rows and X_val has {n_rows}. Give one label for each row "
                "of X_val."
            )
        if len(unknown):
            raise ValueError(
                f"y_val holds classes that y does not: {unknown.tolist()}, beside "
                f"{self.labels.tolist()}. Leave their rows out of X_val and y_val, or add rows of "
                "these classes to X and y."
            )
        return np.searchsorted(self.labels, y_val)

    def codes_of(self, labels: np.ndarray) -> np.ndarray:
        """Return the codes of the classes of a teacher that came fitted."""
        code_of = {label: code for code, label in enumerate(self.labels.tolist())}
        unknown = [label for label in labels.tolist() if label not in code_of]
        if unknown:
            raise ValueError(
                f"teacher was fitted on classes that y does not have: {unknown}, beside "
                f"{list(code_of)}. Give a teacher of y's classes, or labels of y as the teacher's."
            )
        return np.array([code_of[label] for label in labels.tolist()])

    def output_bias(
        self, codes: np.ndarray, sample_weight: np.ndarray | None
    ) -> list[float] | None:
        """Return, where classes weigh differently, the logarithms of the weights of their rows.

        A few epochs would not take a network to very different ones. They are 0 on average, and
        none is of less than a millionth of the mean, so that a network can leave from there.
        """
        if self.weights is None or np.ptp(self.weights) == 0:
            return None
        labelled = codes >= 0
        of_rows = None if sample_weight is None else sample_weight[labelled]
        totals = np.bincount(codes[labelled], of_rows, minlength=self.n_outputs) * self.weights
        if np.allclose(totals, totals.mean()):  # but for rounding, as "balanced" makes them
            return None
        logarithms = np.log(np.maximum(totals, 1e-6 * totals.mean()))
        return (logarithms - logarithms.mean()).tolist()

    def loss(self, weights: LossWeights | None = None) -> nn.Module:
        """Return cross-entropy or, with weights, the paper's loss."""
        if weights is None:
            return LabelLoss(self.weights)
        return DistillationLoss(weights, self.weights)

    def score(
        self, logits: Tensor, codes: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the weight of the rows that are classified rightly, and that of all.

        Parameters
        ----------
        logits : Tensor of shape (n, n_classes) or (m, n, n_classes)
            Of one net, or of the m nets of a cohort.
        codes : Tensor of shape (n,)
            Class codes.
        sample_weight : Tensor of shape (n,) or None
            Weight of each row, which multiplies that of its class.

        Returns
        -------
        Tensor of shape () or (m,), Tensor of shape ()
        """
        weights = row_weights(codes, self.weights, sample_weight)
        right = logits.argmax(dim=-1) == codes
        if right.ndim == 1:
            return weights[right].sum(), weights.sum()
        return torch.stack([weights[of_net].sum() for of_net in right]), weights.sum()

    def held_out_losses(
        self, logits: Tensor, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """Return the log loss of each row at the temperature that suits the logits of all best.

        Soft targets make a student less sure of itself, which is no better a decision in itself.
        A row's loss is multiplied by its weight, which is 1 on average.
        """
        codes = torch.as_tensor(labels)
        of_rows = None if sample_weight is None else torch.as_tensor(sample_weight)
        weights = row_weights(codes, self.weights, of_rows).double()

        def losses(log_temperature: float) -> np.ndarray:
            scaled = logits.double() / math.exp(log_temperature)
            rows = F.cross_entropy(scaled, codes, reduction="none")
            return (rows * weights / weights.mean()).numpy()

        best = minimize_scalar(lambda x: losses(x).mean(), bounds=(-3, 3), method="bounded")
        return losses(best.x)

    def decode(self, logits: Tensor) -> np.ndarray:
        """Return the class of each row."""
        return self.as_given(logits.argmax(dim=1).cpu().numpy())

    def as_given(self, codes: np.ndarray) -> np.ndarray:
        """Return the classes of these codes."""
        return self.labels[codes]

    def for_teacher(self, codes: np.ndarray) -> np.ndarray:
        """Return what a teacher that is no net is fitted on."""
        return codes

    def is_known_to(self, teacher: Any) -> bool:
        """Return whether a teacher that is no net is fitted."""
        return hasattr(teacher, "classes_")

    def told_by(self, teacher: Any, table: np.ndarray, codes: Any) -> Tensor:
        """Return the logarithms of a classifier's probabilities, whose columns have these codes."""
        shape = len(table), self.n_outputs
        probabilities = np.full(shape, SMALLEST_PROBABILITY, dtype=np.float32)
        with naming("teacher"):
            found = np.asarray(teacher.predict_proba(table))
        if found.shape != (len(table), len(codes)):
            raise ValueError(
                f"teacher predicts probabilities of shape {found.shape}, of {len(table)} rows and "
                f"{len(codes)} classes. Give one that predicts each."
            )
        probabilities[:, codes] = found
        return torch.tensor(np.log(probabilities.clip(SMALLEST_PROBABILITY)))


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number, or k of them, for each row, which a net learns standardised.

    Attributes
    ----------
    mean, scale : ndarray of shape () or (k,)
        A number is standardised as (y - mean) / scale. The shape () is that of a 1-D y.
    kind : str
        The loss of the labels: see `losses.distance`.
    """

    score_name: ClassVar[str] = "valid_score"
    averages: ClassVar[Averages] = "outputs"
    held_out_loss: ClassVar[str] = "squared error (of standardised y)"

    mean: np.ndarray
    scale: np.ndarray
    kind: str = "squared_error"

    @classmethod
    def of(cls, y: np.ndarray, kind: str) -> tuple["Quantity", np.ndarray]:
        """Return a quantity that is not standardised yet, and the numbers (n, k) of y."""
        quantity = cls(np.zeros(y.shape[1:]), np.ones(y.shape[1:]), kind)
        return quantity, y.reshape(len(y), -1)

    @property
    def n_outputs(self) -> int:
        """How many numbers a row has."""
        return self.mean.size

    def standardized(
        self, numbers: np.ndarray, train: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple["Quantity", np.ndarray]:
        """Return the quantity, and the numbers, by the mean and deviation of training rows.

        The deviation of a constant counts as 1.
        """
        if len(train) < 2:
            raise ValueError(
                "y has one sample to train on; a regressor needs two or more. Add rows, or hold "
                "fewer out."
            )
        own = numbers[train]
        with np.errstate(over="ignore"):
            mean = np.average(own, axis=0, weights=sample_weight)
            scale = np.sqrt(np.average((own - mean) ** 2, axis=0, weights=sample_weight))
        if not np.isfinite(scale).all():
            raise ValueError("y holds numbers so large that their squares overflow. Divide them.")
        rounding = 10 * np.finfo(scale.dtype).eps * np.abs(mean)
        farthest = np.abs(own - mean).max(axis=0)
        if ((farthest > rounding) & (farthest < SMALLEST_SPREAD)).any():
            raise ValueError("y holds numbers so alike that their squares vanish. Multiply them.")
        scale[scale <= rounding] = 1.0
        shape = self.mean.shape
        quantity = replace(self, mean=mean.reshape(shape), scale=scale.reshape(shape))
        return quantity, quantity._scaled(numbers)

    def encode(self, y_val: Any, n_rows: int) -> np.ndarray:
        """Return the numbers of validation rows."""
        y_val = as_numbers(y_val, "y_val")
        if y_val.shape != (n_rows, *self.mean.shape):
            raise ValueError(
                f"y_val has the shape {y_val.shape}. Give {(n_rows, *self.mean.shape)}: for each "
                "row of X_val, what y has."
            )
        return self._scaled(y_val.reshape(n_rows, -1))

    def output_bias(self, numbers: np.ndarray, sample_weight: np.ndarray | None) -> None:
        """Return nothing: the mean of what is learnt is 0, where a network begins."""

    def loss(self, weights: LossWeights | None = None) -> nn.Module:
        """Return the distance from the labels or, with weights, the teacher's terms too."""
        if weights is None:
            return QuantityLoss(self.kind)
        return QuantityDistillationLoss(weights, self.kind)

    def score(
        self, outputs: Tensor, numbers: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the weighted sum of the rows' distances, and the weight of all.

        Parameters
        ----------
        outputs : Tensor of shape (n, k) or (m, n, k)
            Of one net, or of the m nets of a cohort.
        numbers : Tensor of shape (n, k)
            Standardised; NaN where a row has none.
        sample_weight : Tensor of shape (n,) or None
            Weight of each row.

        Returns
        -------
        Tensor of shape () or (m,), Tensor of shape ()
        """
        weights = row_weights(numbers, None, sample_weight)
        rows = distance(outputs, numbers.nan_to_num(), self.kind)
        return -(rows @ weights.to(rows.dtype)), weights.sum()

    def held_out_losses(
        self, outputs: Tensor, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """Return the squared error of each row, times its weight, which is 1 on average."""
        rows = distance(outputs.double(), torch.as_tensor(labels).double()).numpy()
        return rows if sample_weight is None else rows * (sample_weight / sample_weight.mean())

    def decode(self, outputs: Tensor) -> np.ndarray:
        """Return the numbers of each row in the units of y, (n,) or (n, k) as y was."""
        return self.as_given(outputs.double().cpu().numpy())

    def as_given(self, numbers: np.ndarray) -> np.ndarray:
        """Return standardised numbers in the units of y, (n,) or (n, k) as y was."""
        return numbers.reshape(len(numbers), *self.mean.shape) * self.scale + self.mean

    def for_teacher(self, numbers: np.ndarray) -> np.ndarray:
        """Return what a teacher that is no net is fitted on."""
        return self.as_given(numbers)

    def is_known_to(self, teacher: Any) -> bool:
        """Return whether a teacher that is no net is fitted."""
        try:
            check_is_fitted(teacher)
        except NotFittedError:
            return False
        return True

    def told_by(self, teacher: Any, table: np.ndarray, codes: Any = None) -> Tensor:
        """Return a regressor's predictions, standardised; only a classifier has codes."""
        with naming("teacher"):
            predicted = np.asarray(teacher.predict(table), dtype=np.float64)
        numbers = predicted.reshape(len(table), -1)
        if numbers.shape[1] != self.n_outputs:
            raise ValueError(
                f"teacher predicts {numbers.shape[1]} numbers for each row, and y has "
                f"{self.n_outputs}. Give a teacher of as many."
            )
        return torch.tensor(self._scaled(numbers))

    def spread(self, members: Tensor) -> np.ndarray:
        """Return the standard deviation of members' numbers (n, m, k), in the units of y."""
        deviations = members.double().std(dim=1, correction=0).cpu().numpy()
        return deviations.reshape(len(members), *self.mean.shape) * self.scale

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        return ((numbers - self.mean) / self.scale).astype(np.float32)


Target = Classes | Quantity


def as_numbers(y: Any, name: str) -> np.ndarray:
    """Return the numbers of rows, (n,) or (n, k), in double precision."""
    with naming(name):
        refuse_masked(y, name)
        refuse_dates(y, name)
        return check_array(y, dtype=np.float64, ensure_2d=False, input_name=name)


def read_y(estimator: Any, y: Any) -> np.ndarray:
    """Return y as classes (n,) or, where the estimator is a regressor, as numbers (n, k)."""
    if not is_regressor(estimator):
        return as_column(y, "y")
    numbers = as_numbers(y, "y")
    return numbers.reshape(len(numbers), -1)
