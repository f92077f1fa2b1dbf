"""Hold rows out of training: a share of every class, whole groups, or the folds of a cv."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn.model_selection import (
    GroupShuffleSplit,
    PredefinedSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import check_consistent_length, check_random_state

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.series import as_column
from sklearn_gkd._common.targets import strata

GROUPED_DRAWS = 200


def hold_out(
    y: Any,
    fraction: float,
    *,
    groups: Any = None,
    random_state: int | RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into those that are kept and those that are held out.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class of each row, or its numbers (n, k), which are not stratified.
    fraction : float
        Share of each class to hold out: at least one row of a class that has two, never all.
    groups : array-like of shape (n,), default=None
        Groups that are held out whole: of many random draws that keep every class, the one whose
        share of rows is nearest `fraction`. Without groups, the split is stratified by class.
    random_state : int, RandomState instance or None, default=None
        Rules the draw.

    Returns
    -------
    kept : ndarray of int
        Sorted row indices of those that are kept.
    held_out : ndarray of int
        Sorted row indices of those that are held out.

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
    y = strata(y)
    if groups is not None:
        return _hold_out_groups(y, fraction, groups, random_state)
    rng = check_random_state(random_state)
    classes, codes = np.unique(y, return_inverse=True)
    drawn = [
        rng.permutation(rows)[: np.clip(round(fraction * len(rows)), 1, len(rows) - 1)]
        for rows in (np.flatnonzero(codes == code) for code in range(len(classes)))
        if len(rows) >= 2
    ]
    if not drawn:
        raise ValueError(
            f"y has {len(y)} rows of {len(classes)} classes, so that no class has two rows to "
            "hold one out. Give more rows of each class."
        )
    held_out = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(y)), held_out), held_out


def _hold_out_groups(
    y: np.ndarray, fraction: float, groups: Any, random_state: int | RandomState | None
) -> tuple[np.ndarray, np.ndarray]:
    with naming("groups"):
        check_consistent_length(y, groups)
        n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            "groups holds a single group, of which none can be held out whole. Give two or more "
            "groups, or leave groups out."
        )
    n_classes = len(np.unique(y))
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
            f"that holds out {fraction:.0%} of them keeps every class. Give smaller groups, or "
            "leave groups out."
        )
    return best


def numbers_rows(cv: Any) -> bool:
    """Return whether what scikit-learn takes as cv is made of row numbers, of one table alone."""
    made_for_any = cv is None or isinstance(cv, Integral) or hasattr(cv, "split")
    return isinstance(cv, PredefinedSplit) or not made_for_any


def groups_of(groups: Any, rows: np.ndarray) -> np.ndarray | None:
    """Return the groups of some rows, None where there are none."""
    return None if groups is None else as_column(groups, "groups")[rows]


def folds(
    cv: Any, labels: np.ndarray, train: np.ndarray, groups: Any, seed: int, name: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split training rows into the folds of a cv as scikit-learn takes it, or of None into none.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        An int stands for so many stratified folds, of whole groups where there are groups.
    labels : ndarray of shape (n,) or (n, k)
        Class of each row, or its numbers, which are not stratified.
    train : ndarray of int
        The rows to split.
    groups : array-like of shape (n,) or None
        Group of each row.
    seed : int
        Rules the draw of stratified folds.
    name : str
        The argument that holds cv, for errors.

    Returns
    -------
    list of (ndarray of int, ndarray of int)
        For each fold, the rows to train on and those that are held out.
    """
    if cv is None:
        return []
    groups = groups_of(groups, train)
    if isinstance(cv, Integral):
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv, labels = splitter(cv, shuffle=True, random_state=seed), strata(labels)
    with naming(name):
        splits = list(check_cv(cv).split(train, labels[train], groups))
    if min((len(kept) for kept, _ in splits), default=2) < 2:
        raise ValueError(
            f"{name}={cv} leaves a fold a single row to train on, of {len(train)}. Give more "
            f"rows, or another {name}."
        )
    last = max((part.max() for split in splits for part in split if len(part)), default=0)
    if last >= len(train):
        raise ValueError(
            f"{name} has row {last}, but splits {len(train)} rows, from 0: those that are trained "
            f"on. Number these, or give an int or a splitter as {name}."
        )
    return [(train[kept], train[held_out]) for kept, held_out in splits]


def partition(
    cv: Any, labels: np.ndarray, train: np.ndarray, groups: Any, seed: int, name: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the `folds` of a cv, or raise a ValueError where one does not hold out each row once.

    A row that is never held out would be told of by what was trained on it.
    """
    splits = folds(cv, labels, train, groups, seed, name)
    held_out = np.concatenate([train[:0], *(rows for _, rows in splits)])
    if splits and not np.array_equal(np.sort(held_out), np.sort(train)):
        raise ValueError(
            f"{name}={cv} holds out {len(np.unique(held_out))} of {len(train)} rows, "
            f"{len(held_out)} times in all. Give one that holds out each row once, as an int or a "
            "KFold does."
        )
    return splits
