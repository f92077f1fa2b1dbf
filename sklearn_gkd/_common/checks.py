"""Checks that name the wrong argument, warnings at the user's line, and fits that fail cleanly."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_gkd._common.compat import safe_indexing

CALLERS = {"sklearn_gkd", "sklearn", "joblib", "contextlib"}
LEVELS = 256  # that a column's range has in float32, at the least
NOISE = 2.0**-40  # of a column's values: float64 rounds sums by as much


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the user's line: the nearest one outside this package and what calls it."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in CALLERS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def counted(n: int, noun: str) -> str:
    """Return a number of things in words: ``1 band``, ``2 bands``, ``2 entries``."""
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun[:-1]}ies" if noun.endswith("ry") else f"{n} {noun}s"


def as_numbers(values: Any, name: str) -> np.ndarray:
    """Return a sequence of finite numbers; texts, which equal no number, are an error."""
    numbers = np.asarray(values)
    if numbers.size == 0 and numbers.ndim == 1:
        return np.empty(0)
    if numbers.ndim != 1 or numbers.dtype.kind not in "biuf" or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {values!r}. Give a list of numbers.")
    return numbers


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Say which argument an error is about, where scikit-learn's or numpy's message does not."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in names):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{' or '.join(names)}: {error}") from error


def check_finite(
    table: np.ndarray, name: str, remedy: str, numbers: np.ndarray | None = None
) -> None:
    """Raise a ValueError where the table, of rows of these numbers, has NaN or inf."""
    finite = np.isfinite(table)
    if finite.all():
        return
    rows = np.flatnonzero(~finite.all(axis=1))
    first = rows[0] if numbers is None else numbers[rows[0]]
    if np.isnan(table[rows]).any():
        raise ValueError(
            f"{name} contains NaN in {counted(len(rows), 'row')} (the first is row {first}). "
            f"{remedy}"
        )
    raise ValueError(
        f"{name} contains inf, or values too large for float32, in {len(rows)} rows (the first "
        f"is row {first}). Replace them first."
    )


def check_precision(given: Any, table: np.ndarray, name: str) -> None:
    """Raise a ValueError where the table, in float32, has lost what tells a column's rows apart."""
    low, high = table.min(axis=0), table.max(axis=0)
    largest = np.maximum(-low, high)
    with np.errstate(over="ignore"):
        coarse = np.flatnonzero(high - low < LEVELS * np.spacing(largest))
    if len(coarse) == 0:
        return
    exact = np.asarray(safe_indexing(given, coarse, axis=1), dtype=np.float64)
    ranges, rounded = np.ptp(exact, axis=0), np.abs(exact - table[:, coarse]).max(axis=0)
    lost = np.flatnonzero((ranges > NOISE * largest[coarse]) & (rounded * LEVELS > ranges))
    if len(lost):
        first = exact[:, lost[0]]
        raise ValueError(
            f"{name} has values of {first.min():.12g} to {first.max():.12g} in column "
            f"{coarse[lost[0]]}, which float32, in which networks compute, hardly tells apart "
            f"({counted(len(lost), 'column')} of this kind). Subtract what they share first, as "
            "StandardScaler does."
        )


@contextmanager
def fresh_fit(estimator: BaseEstimator) -> Iterator[None]:
    """Drop what an earlier fit left, and put it back if this one fails: nothing is half-fitted."""
    before = vars(estimator).copy()
    for name in before:
        if name.endswith("_"):
            delattr(estimator, name)
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
