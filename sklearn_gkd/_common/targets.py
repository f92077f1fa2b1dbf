"""Targets of rows: class codes (n,), or the k numbers (n, k) of a quantity.

A row without a target has the code -1, or NaN.
"""

from typing import Any

import numpy as np


def has_target(targets: Any) -> Any:
    """Return a mask of the rows that have a target, of an array or a tensor."""
    return targets >= 0 if targets.ndim == 1 else targets[:, 0] == targets[:, 0]  # NaN is not NaN


def with_none(targets: np.ndarray, n_rows: int) -> np.ndarray:
    """Return targets and, after them, rows that have none."""
    none = -1 if targets.ndim == 1 else np.nan
    more = np.full((n_rows, *targets.shape[1:]), none, dtype=targets.dtype)
    return np.concatenate([targets, more])


def strata(targets: Any) -> np.ndarray:
    """Return what a split into parts keeps the shares of: classes; of numbers, nothing."""
    targets = np.asarray(targets)
    return targets if targets.ndim == 1 else np.zeros(len(targets), dtype=int)
