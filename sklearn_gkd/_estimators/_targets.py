"""What an estimator learns: class labels and their codes, loss, score and decisions."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.series import as_column
from sklearn_gkd.losses import DistillationLoss, LabelLoss, LossWeights, row_weights


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
                f"y_val holds classes that y does not: {unknown.tolist()}. Leave their rows out of "
                "X_val and y_val, or add rows of these classes to X and y."
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
        self, logits: Tensor, codes: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """Return the log loss of each row at the temperature that suits the logits of all best.

        Soft targets make a student less sure of itself, which is no better a decision in itself.
        A row's loss is multiplied by its weight, which is 1 on average.
        """
        labels = torch.as_tensor(codes)
        of_rows = None if sample_weight is None else torch.as_tensor(sample_weight)
        weights = row_weights(labels, self.weights, of_rows).double()

        def losses(log_temperature: float) -> np.ndarray:
            scaled = logits.double() / math.exp(log_temperature)
            rows = F.cross_entropy(scaled, labels, reduction="none")
            return (rows * weights / weights.mean()).numpy()

        best = minimize_scalar(lambda x: losses(x).mean(), bounds=(-3, 3), method="bounded")
        return losses(best.x)

    def decode(self, logits: Tensor) -> np.ndarray:
        """Return the class of each row."""
        return self.labels[logits.argmax(dim=1).cpu().numpy()]
