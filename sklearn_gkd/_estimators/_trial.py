"""Do no harm: a trial, on rows held out, of students that distil against the same nets alone.

It is held before the student is trained, where unlabelled pairs would have a poor teacher's word
for their only lesson. Small nets stand for teacher and student.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd._common.splitting import folds, groups_of
from sklearn_gkd._common.targets import has_target, strata
from sklearn_gkd._estimators._base import Rows
from sklearn_gkd._estimators._teacher import Lesson, TeacherTargets
from sklearn_gkd._training.predicting import outputs
from sklearn_gkd.losses import LossWeights

N_FOLDS = 3
N_ROWS = 30  # of fewer, the folds tell nothing
N_PAIRS = 300  # most of what pairs gain, they gain by some hundreds


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


def try_distillation(
    lesson: Lesson,
    rows: Rows,
    weights: LossWeights,
    groups: np.ndarray | None,
    fit: Callable[..., NeuralNet],
    targets_of: Callable[[Lesson], TeacherTargets],
) -> Distillation:
    """Return whether it pays to distil, by small nets that are tested on held-out rows.

    It is only asked where there are pairs without a label, to whom a poor teacher's word is the
    only lesson. Where the teacher is clearly better than a student alone, it pays. Elsewhere
    students that distil are tried: after a teacher that leads they must not be clearly worse, after
    another they must be better.

    Parameters
    ----------
    lesson : Lesson
        What the teacher is to learn.
    rows : Rows
        Those of the student.
    weights : LossWeights
        By which it would distil.
    groups : ndarray of shape (n,) or None
        None has rows on both sides of a split.
    fit : callable
        Trains a small student on rows and, as keywords, what is taught.
    targets_of : callable
        Returns the targets of a small teacher's lesson.
    """
    pairs = trial_pairs(rows, lesson.seen, lesson.seed)
    splits = trial_folds(rows, lesson.seen, groups, lesson.seed) if pairs.any() else []
    if not splits or not all(lesson.can_teach(kept) for kept, _ in splits):
        return Distillation(True)
    tested = [held_out for _, held_out in splits]
    in_order = np.concatenate(tested)
    losses = partial(
        lesson.outcome.held_out_losses,
        labels=rows.labels[in_order],
        sample_weight=None if rows.sample_weight is None else rows.sample_weight[in_order],
    )
    own = [rows._replace(train=kept, valid=rows.valid[:0]) for kept, _ in splits]
    targets = [targets_of(lesson.on_trial(kept)) for kept, _ in splits]
    students = [fit(labelled) for labelled in own]
    by_teacher = losses(
        torch.cat([told.logits[held_out] for told, held_out in zip(targets, tested, strict=True)])
    )
    alone = losses(_told_by(students, rows, tested, lesson))
    if is_clearly_less(by_teacher, alone):
        return Distillation(True, float(alone.mean()), float(by_teacher.mean()))
    students = [
        fit(labelled.with_taught(pairs), taught=told, weights=weights)
        for labelled, told in zip(own, targets, strict=True)
    ]
    distilled = losses(_told_by(students, rows, tested, lesson))
    means = [float(of_rows.mean()) for of_rows in (alone, by_teacher, distilled)]
    leads = means[1] < means[0]
    used = not is_clearly_less(alone, distilled) if leads else means[2] < means[0]
    return Distillation(used, *means)


def _told_by(
    students: list[NeuralNet], rows: Rows, tested: list[np.ndarray], lesson: Lesson
) -> Tensor:
    """Return the logits of students, each of its own held-out rows."""
    return torch.cat(
        [
            logits.cpu()
            for student, held_out in zip(students, tested, strict=True)
            for logits, _ in outputs(student, [rows.view.series[held_out]], lesson.device)
        ]
    )


def trial_folds(
    rows: Rows, seen: np.ndarray, groups: np.ndarray | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the training rows that have X_priv into folds, of whole groups; none of too few."""
    train = rows.train[seen[rows.train]]
    of_train = groups_of(groups, train)
    n_groups = len(train) if of_train is None else len(np.unique(of_train))
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
