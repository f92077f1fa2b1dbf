"""Checks that name the argument that is wrong, and fits that leave no trace when they fail."""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

_NOT_THE_USERS = tuple(
    str(package) + os.sep for package in (Path(__file__).parents[1], Path(sklearn.__file__).parent)
)


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Say which argument an error is about, where scikit-learn's or numpy's message does not."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if any(re.search(rf"\b{name}\b", str(error)) for name in names):
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
            f"{name} contains NaN in {len(rows)} rows (the first is row {first}). {remedy}"
        )
    raise ValueError(
        f"{name} contains inf, or values too large for float32, in {len(rows)} rows (the first "
        f"is row {first}). Replace them first."
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


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of a line outside of this package and scikit-learn: the user's own."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
