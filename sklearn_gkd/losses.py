"""The paper's losses, Equations 1 to 4, and the same of a quantity in place of classes.

A net's output is ``(logits, features)``. Its target is a sequence of tensors, the labels first and,
where rows weigh differently, the weight of each row last. Of a quantity, the logits are the
predicted numbers, scaled as the labels (n, k) are.
Where the logits are those of k members, (n, k, n_classes), a row's loss is the mean of theirs.
The output of m candidates that learn side by side is (m, n, k, n_classes) and (m, n, n_features),
and the loss is theirs, (m,).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_gkd._common.targets import has_target

__all__ = [
    "DistillationLoss",
    "LabelLoss",
    "QuantityDistillationLoss",
    "QuantityLoss",
    "distance",
    "feature_reconstruction",
    "imitation",
]


class LossWeights(NamedTuple):
    """Weights of the three terms of Eq. 4, and the temperature of the third.

    Parameters
    ----------
    alpha, beta, gamma : float or Tensor of shape (m,)
        Weights of cross-entropy, feature reconstruction and imitation. The defaults are the
        paper's.
    temperature : float or Tensor of shape (m, 1, 1, 1)
        See `imitation`.
    """

    alpha: Any = 1.0
    beta: Any = 1.0
    gamma: Any = 10.0
    temperature: Any = 1.0

    @property
    def uses_labels(self) -> bool:
        """Whether the loss depends on the labels."""
        return _positive(self.alpha)

    @property
    def uses_features(self) -> bool:
        """Whether the loss depends on the features."""
        return _positive(self.beta)

    @property
    def uses_decisions(self) -> bool:
        """Whether the loss depends on the teacher's decisions."""
        return _positive(self.gamma)


def feature_reconstruction(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance between the sigmoids of the features (Eq. 2).

    Parameters
    ----------
    student, teacher : Tensor of shape (..., n, n_features)
        Features of the same rows.

    Returns
    -------
    Tensor of shape (..., n)
        Summed over the features.
    """
    return (student.sigmoid() - teacher.sigmoid()).square().sum(dim=-1)


def imitation(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of the student's decisions from the teacher's (Eq. 3).

    Parameters
    ----------
    student, teacher : Tensor of shape (..., n_classes)
        Logits of the same rows; the teacher's may be (n, 1, n_classes).
    temperature : float or Tensor
        Divides both logits before the softmax; the divergence is multiplied by its square, so
        that its gradient does not fade as the targets soften.

    Returns
    -------
    Tensor of shape (...)
        Summed over the classes.
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=-1),
        F.log_softmax(teacher / temperature, dim=-1),
        reduction="none",
        log_target=True,
    )
    return (divergence * temperature**2).sum(dim=-1)


_OF_NUMBERS: dict[str, Any] = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
}


def distance(predicted: Tensor, numbers: Tensor, kind: str = "squared_error") -> Tensor:
    """Distance of predicted numbers from others.

    Parameters
    ----------
    predicted, numbers : Tensor of shape (..., k)
        Scaled numbers of the same rows.
    kind : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        Huber's is half the squared error up to a distance of 1, and grows linearly beyond.

    Returns
    -------
    Tensor of shape (...)
        Summed over the k numbers.
    """
    numbers = numbers.expand_as(predicted)
    of_each: Tensor = _OF_NUMBERS[kind](predicted, numbers, reduction="none")
    return of_each.sum(dim=-1)


class LabelLoss(nn.Module):
    """Cross-entropy with the labels (Eq. 1), which are -1 where there is none.

    Target: ``(labels,)`` or ``(labels, sample_weight)``.

    Parameters
    ----------
    class_weight : array-like of shape (n_classes,), default=None
        Weight of the rows of each class; None weighs them alike.
    """

    def __init__(self, class_weight: Any = None) -> None:
        super().__init__()
        self.class_weight = class_weight

    def forward(self, output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        output : tuple of Tensor
            Logits and features of the net.
        target : sequence of Tensor
            As described in the class.

        Returns
        -------
        Tensor
            The weighted mean over the labelled rows; 0 where there is none.
        """
        logits, labels = output[0], target[0]
        weights = row_weights(labels, self.class_weight, sample_weight_of(target))
        if logits.ndim > 2:
            labels = labels[:, None].expand(logits.shape[:-1])
        rows = F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none", ignore_index=-1)
        return _mean_over(_of_members(rows, logits), weights, weights)


class QuantityLoss(nn.Module):
    """Distance from the numbers of a quantity, which are NaN where a row has none.

    Target: ``(numbers,)`` or ``(numbers, sample_weight)``.

    Parameters
    ----------
    kind : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        See `distance`.
    """

    def __init__(self, kind: str = "squared_error") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        output : tuple of Tensor
            Numbers, standardised, and features of the net.
        target : sequence of Tensor
            As described in the class.

        Returns
        -------
        Tensor
            The weighted mean over the labelled rows; 0 where there is none.
        """
        predicted, numbers = output[0], target[0]
        weights = row_weights(numbers, None, sample_weight_of(target))
        if predicted.ndim > 2:
            numbers = numbers[:, None]
        rows = distance(predicted, numbers.nan_to_num(), self.kind)
        return _mean_over(_of_members(rows, predicted), weights, weights)


class DistillationLoss(nn.Module):
    """What the student learns from: labels, the teacher's features and its decisions (Eq. 4).

    Target: ``(labels, teacher_logits, teacher_features, taught)``, where ``taught`` is 1.0 in the
    rows that the teacher has seen and 0.0 in the others, and then ``sample_weight`` or nothing.
    Cross-entropy is averaged over the labelled rows of a batch, the other two terms over all its
    rows, those that are not taught counting 0: a teacher that has seen little says little.

    Parameters
    ----------
    weights : LossWeights
        Weights of the terms.
    class_weight : array-like of shape (n_classes,), default=None
        See `LabelLoss`.
    """

    def __init__(
        self,
        weights: LossWeights = LossWeights(),  # noqa: B008
        class_weight: Any = None,
    ) -> None:
        super().__init__()
        self.weights = weights
        self.label_loss: nn.Module = LabelLoss(class_weight)
        self.uses_labels = weights.uses_labels
        self.uses_features = weights.uses_features
        self.uses_decisions = weights.uses_decisions

    def forward(self, output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Compute the loss of a batch. A term of weight 0 is not computed.

        Parameters
        ----------
        output : tuple of Tensor
            Logits and features of the net.
        target : sequence of Tensor
            As described in the class.

        Returns
        -------
        Tensor
            The weighted sum of the terms.
        """
        logits, features = output
        teacher_logits, teacher_features, taught = target[1:4]
        sample_weight = sample_weight_of(target)
        alpha, beta, gamma, _ = self.weights
        loss = logits.new_zeros(())
        if self.uses_labels:
            loss = loss + alpha * self.label_loss(output, target)
        of_rows = torch.ones_like(taught) if sample_weight is None else sample_weight
        taught = taught * of_rows
        n_members = 1
        if logits.ndim > 2:
            n_members = logits.shape[-2]
            teacher_logits = teacher_logits[:, None]
        if self.uses_features:
            rows = feature_reconstruction(features, teacher_features) / n_members
            loss = loss + beta * _mean_over(rows, taught, of_rows)
        if self.uses_decisions:
            rows = self.of_decisions(logits, teacher_logits)
            loss = loss + gamma * _mean_over(_of_members(rows, logits), taught, of_rows)
        return loss

    def of_decisions(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the student's decisions with the teacher's.

        Parameters
        ----------
        student, teacher : Tensor of shape (n, n_classes)
            Their logits; the student's may be those of its members, (n, k, n_classes).

        Returns
        -------
        Tensor of shape (n,) or (n, k)
            See `imitation`.
        """
        return imitation(student, teacher, self.weights.temperature)


class QuantityDistillationLoss(DistillationLoss):
    """What the student of a quantity learns from: numbers, the teacher's features and its numbers.

    As `DistillationLoss`, with `QuantityLoss` in place of the cross-entropy and the squared
    distance between the two nets' numbers in place of the divergence; the temperature is not used.

    Parameters
    ----------
    weights : LossWeights
        Weights of the terms.
    kind : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        See `QuantityLoss`.
    """

    def __init__(
        self,
        weights: LossWeights = LossWeights(),  # noqa: B008
        kind: str = "squared_error",
    ) -> None:
        super().__init__(weights)
        self.label_loss = QuantityLoss(kind)

    def of_decisions(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the student's numbers with the teacher's.

        Parameters
        ----------
        student, teacher : Tensor of shape (n, k)
            Standardised numbers; the student's may be those of its members, (n, m, k).

        Returns
        -------
        Tensor of shape (n,) or (n, m)
            Their squared distance.
        """
        return distance(student, teacher)


def sample_weight_of(target: Sequence[Tensor]) -> Tensor | None:
    """Return the weight of each row: the last tensor of a target that has one more than without."""
    return target[-1] if len(target) in (2, 5) else None


def row_weights(labels: Tensor, class_weight: Any, sample_weight: Tensor | None = None) -> Tensor:
    """Return the weight of each row: its own times its class's, and 0 without a label."""
    weights: Tensor = has_target(labels).float()
    if sample_weight is not None:
        weights = weights * sample_weight
    if class_weight is None:
        return weights
    of_class = torch.as_tensor(class_weight, dtype=torch.float32, device=labels.device)
    return weights * of_class[labels.clamp(min=0)]


def _positive(weight: Any) -> bool:
    return bool(torch.as_tensor(weight).any())


def _of_members(values: Tensor, logits: Tensor) -> Tensor:
    return values.mean(dim=-1) if logits.ndim > 2 else values


def _mean_over(values: Tensor, weights: Tensor, of_all: Tensor) -> Tensor:
    """Return the mean over all rows of the values of those that have a weight."""
    return values @ weights.to(values.dtype) / of_all.sum().clamp(min=1e-12)
