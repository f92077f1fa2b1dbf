"""All that the training of one net depends on, as one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.hashing import fingerprint
from sklearn_gkd._common.series import Scaling, Shape, View
from sklearn_gkd._common.targets import has_target
from sklearn_gkd._training.batches import SeriesDataset
from sklearn_gkd._training.budget import Budget, budget_of, rate_shares
from sklearn_gkd.losses import LossWeights
from sklearn_gkd.networks._architectures import Averages


class Outcome(Protocol):
    """What a net learns to predict: classes, or a quantity."""

    @property
    def score_name(self) -> str:
        """The name of the score of validation rows in a net's history."""

    @property
    def averages(self) -> Averages:
        """What an ensemble's members predict by the mean of."""

    @property
    def n_outputs(self) -> int:
        """Number of the net's outputs for a row."""

    def output_bias(
        self, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> list[float] | None:
        """Return what is added to the outputs at the start, for training rows of these labels."""

    def loss(self, weights: LossWeights | None = None) -> nn.Module:
        """Return the loss of (logits, features): with weights, the teacher's terms too."""

    def score(
        self, logits: Tensor, labels: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the points of all rows, for one net or for each of a cohort, and their weight."""


class Setting(NamedTuple):
    """What the nets of a cohort differ in; all else of their trainings is the same."""

    weights: Any  # LossWeights, or None for a net that learns from labels alone
    lr: Any  # None for what suits the rows


@dataclass(frozen=True, eq=False)
class Training:
    """All that the training of one net depends on.

    Attributes
    ----------
    net : NeuralNet
        As `resolve_net` returns it: its module is a network. It is not changed.
    views : list of View
        What the network looks at, for all rows.
    targets : sequence of array or Tensor
        What the loss is given, for all rows; the labels first.
    train, valid : ndarray of int
        Training and validation rows. Without validation rows, the last epoch is kept.
    outcome : Outcome
        What is learnt: gives the loss and the score.
    weights : LossWeights or None
        Weights of the terms of the loss; None for a net that learns from labels alone.
    n_iter_no_change : int or None
        Number of epochs without a better one after which training ends.
    device : torch.device
        Where to train.
    seed : int
        Rules the initial weights, the batches and the dropout.
    role : str
        "teacher", "trial", or the name of the net that the estimator predicts with.
    sample_weight : ndarray of shape (n,) or None
        Weight of each row in loss and score, which is then the last of a batch's targets; None
        weighs rows alike.
    """

    net: NeuralNet
    views: Sequence[View]
    targets: Sequence[np.ndarray | Tensor]
    train: np.ndarray
    valid: np.ndarray
    outcome: Outcome
    weights: LossWeights | None
    n_iter_no_change: int | None
    device: torch.device
    seed: int
    role: str
    sample_weight: np.ndarray | None = None

    @property
    def shapes(self) -> list[Shape]:
        """The (T, C) of each view, or (H, W, C) of images."""
        return [view.shape for view in self.views]

    @property
    def predicts(self) -> bool:
        """Whether the net is the one that the estimator predicts with."""
        return self.role not in ("teacher", "trial")

    @property
    def budget(self) -> Budget:
        """Passes, batch size and learning rate: the net's own, or what suits the training rows."""
        labels = np.asarray(self.targets[0])[self.train]
        return budget_of(self.net, len(labels), int(has_target(labels).sum()))

    @property
    def rate_shares(self) -> list[float]:
        """The share of the learning rate in each epoch."""
        return rate_shares(self.net, len(self.train), self.budget.max_epochs)

    @property
    def setting(self) -> Setting:
        """Its own loss weights and learning rate."""
        lr: Any = self.budget.lr
        return Setting(self.weights, float(lr) if isinstance(lr, Real) else lr)

    def scalings(self) -> list[Scaling]:
        """Return what standardises each view, by the training rows that have it."""
        known = [self.train[view.known[self.train]] for view in self.views]
        return [
            view._replace(series=view.series[rows]).scaling()
            for view, rows in zip(self.views, known, strict=True)
        ]

    def output_bias(self) -> list[float] | None:
        """Return what is added to the outputs of a net at the start, by its training labels."""
        weights = None if self.sample_weight is None else self.sample_weight[self.train]
        return self.outcome.output_bias(np.asarray(self.targets[0])[self.train], weights)

    def dataset(self, rows: np.ndarray) -> SeriesDataset:
        """Return the views and the targets of some rows, on the device."""
        targets = [target[rows] for target in self.targets]
        if self.sample_weight is not None:
            targets.append(self.sample_weight[rows])
        return SeriesDataset(
            [view.series[rows] for view in self.views],
            targets,
            shapes=self.shapes,
            device=self.device,
        )

    def key(self, *setting: Any) -> str | None:
        """Return a hash of all that the training depends on, with this in place of its setting.

        None where that cannot be hashed.
        """
        return self._key_of_cohort and fingerprint(self._key_of_cohort, *setting)

    @cached_property
    def _key_of_cohort(self) -> str | None:
        params = self.net.get_params() | self.budget._asdict()
        del params["lr"], params["verbose"]
        return fingerprint(
            self.role,
            torch.get_num_threads(),
            type(self.net),
            params,
            [tuple(view) for view in self.views],
            [np.asarray(target) for target in self.targets],
            (self.train, self.valid, self.outcome, self.n_iter_no_change, self.sample_weight),
            (self.device.type, self.seed),
        )
