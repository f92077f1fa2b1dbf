"""Do no harm: a trial, on rows held out, of students that distil against the same nets alone.

It is held before the student is trained, where unlabelled pairs would have a poor teacher's word
for their only lesson. Small nets stand for teacher and student.
"""

import warnings
from typing import NamedTuple

import numpy as np
from skorch import NeuralNet

from sklearn_gkd._common.splitting import folds
from sklearn_gkd._common.targets import has_target, strata
from sklearn_gkd._estimators._base import Rows
from sklearn_gkd.networks._architectures import MLPEnsemble
from sklearn_gkd.networks._net import SeriesNet

N_FOLDS = 3
N_ROWS = 30  # of fewer, the folds tell nothing
N_PAIRS = 300  # most of what pairs gain, they gain by some hundreds
N_MEMBERS = 2  # a quarter of the default's, and so of its time


class Distillation(NamedTuple):
    """Whether a student was taught by its teacher, and the losses that decided it.

    Attributes
    ----------
    used : bool
        Whether the student learnt from the teacher, and not from the labels alone.
    loss_alone, loss_teacher, loss_distilled : float
        Of labelled rows that were held out, the mean log loss, each at its best temperature, or
        the mean squared error of a quantity, standardised: of small students alone, of small
        teachers, and of small students that distil. NaN where it was not asked for.
    """

    used: bool
    loss_alone: float = np.nan
    loss_teacher: float = np.nan
    loss_distilled: float = np.nan


def trial_net(net: NeuralNet) -> NeuralNet:
    """Return a small net, to be trained as long as another."""
    return SeriesNet(
        MLPEnsemble,
        module__n_members=N_MEMBERS,
        lr=net.lr,
        max_epochs=net.max_epochs,
        batch_size=net.batch_size,
    )


def trial_folds(
    rows: Rows, seen: np.ndarray, groups, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the training rows that have X_priv into folds, of whole groups; none of too few."""
    train = rows.train[seen[rows.train]]
    n_groups = len(train) if groups is None else len(np.unique(np.asarray(groups)[train]))
    largest = np.bincount(strata(rows.labels[train])).max(initial=0)
    if len(train) < N_ROWS or min(largest, n_groups) < N_FOLDS:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes of fewer rows than folds
        splits = folds(N_FOLDS, rows.labels, train, groups, seed, "groups")
    return splits if all(len(held_out) for _, held_out in splits) else []


def trial_pairs(rows: Rows, seen: np.ndarray, seed: int) -> np.ndarray:
    """Return a mask of the rows without a label whose teacher is tried."""
    unlabelled = np.flatnonzero(seen & ~has_target(rows.labels))
    chosen = np.zeros(len(seen), dtype=bool)
    chosen[np.random.RandomState(seed).permutation(unlabelled)[:N_PAIRS]] = True
    return chosen


def is_clearly_less(losses: np.ndarray, others: np.ndarray) -> bool:
    """Return whether the mean is less than that of others by two standard errors."""
    differences = losses - others
    return bool(differences.mean() < -2 * differences.std(ddof=1) / np.sqrt(len(differences)))
