"""Predictions for pixels or objects, given a table in which some rows have no data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from sklearn_gkd.eo._optical import SpectralIndices


@dataclass(frozen=True)
class PixelClassifier:
    """A classifier that is given images (T, C, height, width), and returns layers of its map.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    measures : tuple of str
        Layers that follow the number of the class, from 1, 0 for no data: "probabilities" (one for
        each class), "confidence", "entropy", "margin".
    indices : SpectralIndices or None
        Appended to the bands of each date.
    order : sequence of int or None
        Which column of the table that this gives, time-major, is each of the estimator's.
    """

    estimator: Any
    measures: tuple[str, ...] = ()
    indices: SpectralIndices | None = None
    order: Sequence[int] | None = None

    @property
    def layers(self) -> dict[str, slice]:
        """Which layers hold the number and each measure."""
        of_measure, first = {"number": slice(0, 1)}, 1
        for name in self.measures:
            n_layers = len(self.estimator.classes_) if name == "probabilities" else 1
            of_measure[name] = slice(first, first + n_layers)
            first += n_layers
        return of_measure

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return max(of_measure.stop for of_measure in self.layers.values())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the layers (n_layers, height, width), float32."""
        n_dates, n_bands, height, width = images.shape
        table = images.transpose(2, 3, 0, 1).reshape(height * width, n_dates * n_bands)
        if self.indices is not None:
            table = self.indices.transform(table.reshape(-1, 1, n_bands)).reshape(len(table), -1)
        if self.order is not None:
            table = table[:, self.order]
        layers = np.empty((self.n_layers, len(table)), dtype=np.float32)
        names = getattr(self.estimator, "feature_names_in_", None)
        if self.measures:
            of_classes = predict_probabilities(self.estimator, table, names)
            layers[0] = most_probable(of_classes)
        else:
            layers[0] = predict_numbers(self.estimator, table, names)
        for name in self.measures:
            layers[self.layers[name]] = _MEASURES[name](of_classes)
        return layers.reshape(-1, height, width)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return entr(probabilities).sum(axis=1)


def _margin(probabilities: np.ndarray) -> np.ndarray:
    ranked = np.sort(probabilities, axis=1)
    return ranked[:, -1] - (ranked[:, -2] if ranked.shape[1] > 1 else 0)


_MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probabilities": np.transpose,
    "confidence": lambda probabilities: probabilities.max(axis=1),
    "entropy": _entropy,
    "margin": _margin,
}


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
