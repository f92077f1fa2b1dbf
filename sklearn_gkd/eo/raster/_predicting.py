"""Predictions for pixels or objects, given a table in which some rows have no data."""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags


def predict_numbers(estimator, table: np.ndarray, names=None) -> np.ndarray:
    """Return the number of each row's class, from 1 in the order of ``classes_``; 0 for no data.

    Parameters
    ----------
    table : ndarray of shape (n, T * C)
    names : array-like of str, default=None
        Of the columns, where the estimator was fitted on named ones.
    """
    usable = _usable(estimator, table)
    numbers = np.zeros(len(table), dtype=int)
    if usable.any():
        predicted = estimator.predict(_rows(table, usable, names))
        numbers[usable] = np.searchsorted(estimator.classes_, predicted) + 1
    return numbers


def predict_probabilities(estimator, table: np.ndarray, names=None) -> np.ndarray:
    """Return the probabilities (n, n_classes) for the same table, NaN in rows without data."""
    usable = _usable(estimator, table)
    if not usable.any():
        return np.full((len(table), len(estimator.classes_)), np.nan, dtype=np.float32)
    found = estimator.predict_proba(_rows(table, usable, names))
    probabilities = np.full((len(table), found.shape[1]), np.nan, dtype=found.dtype)
    probabilities[usable] = found
    return probabilities


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Return the number of the most probable class of each row, from 1; 0 where it has NaN."""
    has_none = np.isnan(probabilities).any(axis=1)
    return np.where(has_none, 0, probabilities.argmax(axis=1) + 1)


def _usable(estimator, table: np.ndarray) -> np.ndarray:
    """Return which rows are complete or, where the estimator takes NaN, have any value."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    known = np.isfinite(table)
    return known.any(axis=1) if get_tags(first).input_tags.allow_nan else known.all(axis=1)


def _rows(table: np.ndarray, usable: np.ndarray, names):
    rows = table if usable.all() else table[usable]
    return rows if names is None else pd.DataFrame(rows, columns=names)
