"""Rows held out of training: the same shares of every class, or whole groups."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import check_consistent_length, check_random_state

from sklearn_gkd._common.checks import naming

GROUPED_DRAWS = 200


def hold_out(y, fraction, *, groups=None, random_state=None):
    """Split rows into those that are kept and those that are held out.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class of each row.
    fraction : float
        Share of each class to hold out: at least one row of a class that has two, never all.
    groups : array-like of shape (n,), default=None
        Groups that are held out whole: of many random draws that keep every class, the one whose
        share of rows is nearest `fraction`. Without groups, the split is stratified by class.
    random_state : int, RandomState instance or None, default=None
        Rules the draw.

    Returns
    -------
    kept, held_out : ndarray of int
        Sorted row indices.

    Raises
    ------
    ValueError
        Where no class has two rows, or no draw of whole groups keeps every class.

    Examples
    --------
    >>> from sklearn_gkd._common.splitting import hold_out
    >>> kept, held_out = hold_out(["a"] * 8 + ["b"] * 4, 0.25, random_state=0)
    >>> len(kept), len(held_out)
    (9, 3)
    """
    y = np.asarray(y)
    if groups is not None:
        return _hold_out_groups(y, fraction, groups, random_state)
    rng = check_random_state(random_state)
    classes, codes = np.unique(y, return_inverse=True)
    held_out = [
        rng.permutation(rows)[: np.clip(round(fraction * len(rows)), 1, len(rows) - 1)]
        for rows in (np.flatnonzero(codes == code) for code in range(len(classes)))
        if len(rows) >= 2
    ]
    if not held_out:
        raise ValueError(
            f"y has {len(y)} rows of {len(classes)} classes, so that no class has two rows to "
            "hold one out for validation. Give more rows of each class, or X_val and y_val."
        )
    held_out = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(y)), held_out), held_out


def _hold_out_groups(y, fraction, groups, random_state):
    check_consistent_length(y, groups)
    n_groups, n_classes = len(np.unique(groups)), len(np.unique(y))
    if n_groups < 2:
        raise ValueError(
            "groups holds a single group, of which none can be held out whole. Give two or more "
            "groups, or leave groups out."
        )
    draws = GroupShuffleSplit(GROUPED_DRAWS, test_size=fraction, random_state=random_state)
    complete = (
        (kept, held_out)
        for kept, held_out in draws.split(y, groups=groups)
        if len(np.unique(y[kept])) == n_classes
    )
    with naming("groups"):
        best = min(complete, key=lambda split: abs(len(split[1]) / len(y) - fraction), default=None)
    if best is None:
        raise ValueError(
            f"groups puts {len(y)} rows of {n_classes} classes into {n_groups} groups, and no draw "
            f"that holds out {fraction:.0%} of them keeps every class. Give smaller groups, leave "
            "groups out, or give X_val and y_val."
        )
    return best


def teacher_folds(
    cv: Any, labels: np.ndarray, train: np.ndarray, groups: Any, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the folds of what scikit-learn calls cv, as pairs of rows; none for None."""
    if cv is None:
        return []
    groups = None if groups is None else np.asarray(groups)[train]
    if isinstance(cv, Integral):
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv = splitter(cv, shuffle=True, random_state=seed)
    with naming("teacher_cv"):
        folds = list(check_cv(cv).split(train, labels[train], groups))
    if min((len(others) for others, _ in folds), default=2) < 2:
        raise ValueError(
            f"teacher_cv={cv} leaves the teacher of a fold a single row, of the {len(train)} that "
            "a teacher is trained on. Give more rows, or teacher_cv=None."
        )
    return [(train[others], train[held_out]) for others, held_out in folds]
