"""Predictions for pixels or objects, given a table in which some rows have no data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr

from sklearn_gkd.eo._optical import SpectralIndices


@dataclass(frozen=True)
class PixelPredictor:
    """An estimator that is given images (T, C, height, width), and returns layers of its map.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted.
    indices : SpectralIndices or None
        Appended to the bands of each date.
    order : sequence of int or None
        Which column of the table that this gives, time-major, is each of the estimator's.
    """

    estimator: Any
    indices: SpectralIndices | None = None
    order: Sequence[int] | None = None

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        raise NotImplementedError

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the layers (n_layers, height, width), float32."""
        n_dates, n_bands, height, width = images.shape
        table = images.transpose(2, 3, 0, 1).reshape(height * width, n_dates * n_bands)
        if self.indices is not None:
            table = self.indices.transform(table.reshape(-1, 1, n_bands)).reshape(len(table), -1)
        if self.order is not None:
            table = table[:, self.order]
        names = getattr(self.estimator, "feature_names_in_", None)
        return self.layers_of(table, names).reshape(-1, height, width)

    def layers_of(self, table: np.ndarray, names: Any) -> np.ndarray:
        """Return the layers (n_layers, n), float32, of a table with these column names."""
        raise NotImplementedError


@dataclass(frozen=True)
class PixelRegressor(PixelPredictor):
    """A regressor whose layers are the numbers that it predicts, NaN for no data.

    Parameters
    ----------
    n_numbers : int
        How many it predicts for a pixel.
    """

    n_numbers: int = 1

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return self.n_numbers

    def layers_of(self, table: np.ndarray, names: Any) -> np.ndarray:
        """Return the numbers (n_layers, n), float32."""
        numbers = predict_quantity(self.estimator, table, self.n_numbers, names)
        return numbers.T.astype(np.float32)


@dataclass(frozen=True)
class PixelClassifier(PixelPredictor):
    """A classifier whose first layer is the number of the class, from 1, 0 for no data.

    Parameters
    ----------
    measures : tuple of str
        Layers that follow: "probabilities" (one for each class), "confidence", "entropy", "margin".
    """

    measures: tuple[str, ...] = ()

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

    def layers_of(self, table: np.ndarray, names: Any) -> np.ndarray:
        """Return the layers (n_layers, n), float32."""
        layers = np.empty((self.n_layers, len(table)), dtype=np.float32)
        layers[0] = predict_numbers(self.estimator, table, names)
        if self.measures:
            of_classes = predict_probabilities(self.estimator, table, names)
        for name in self.measures:
            layers[self.layers[name]] = _MEASURES[name](of_classes)
        return layers


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


def predict_numbers(estimator: Any, table: np.ndarray, names: Any = None) -> np.ndarray:
    """Return the number of each row's class, from 1 in the order of ``classes_``; 0 for no data.

    Parameters
    ----------
    table : ndarray of shape (n, T * C)
    names : array-like of str, default=None
        Of the columns, where the estimator was fitted on named ones.
    """
    usable = _usable(estimator, table, names)
    numbers = np.zeros(len(table), dtype=int)
    if usable.any():
        predicted = estimator.predict(_rows(table, usable, names))
        # CatBoost's are (n, 1).
        numbers[usable] = np.searchsorted(estimator.classes_, np.ravel(predicted)) + 1
    return numbers


def numbers_per_row(estimator: Any, n_columns: int) -> int:
    """Return how many numbers a regressor predicts for a row."""
    names = getattr(estimator, "feature_names_in_", None)
    row = _rows(np.zeros((1, n_columns), dtype=np.float32), np.ones(1, dtype=bool), names)
    return np.size(estimator.predict(row))


def predict_quantity(
    estimator: Any, table: np.ndarray, n_numbers: int, names: Any = None
) -> np.ndarray:
    """Return the numbers (n, n_numbers) for the same table, NaN in rows without data."""
    usable = _usable(estimator, table, names)
    numbers = np.full((len(table), n_numbers), np.nan)
    if usable.any():
        predicted = estimator.predict(_rows(table, usable, names))
        numbers[usable] = np.reshape(predicted, (-1, n_numbers))
    return numbers


def names_of_numbers(n_numbers: int) -> list[str]:
    """Return what the numbers of a row are called in a map, or in a table of objects."""
    if n_numbers == 1:
        return ["predicted"]
    return [f"predicted_{number}" for number in range(1, n_numbers + 1)]


def refuse_options_of_classes(**options: Any) -> None:
    """Raise a ValueError where an option was given that a quantity does not have."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"{name} was given, but the estimator is a regressor, which has no classes. Leave "
                "it out."
            )


def refuse_options_of_probabilities(estimator: Any, **options: Any) -> None:
    """Raise a ValueError where an option was given that a classifier has no probabilities for."""
    for name, value in options.items():
        if value is not None and not hasattr(estimator, "predict_proba"):
            raise ValueError(
                f"{name} was given, but {type(estimator).__name__} has no predict_proba. Leave it "
                "out, or fit a CalibratedClassifierCV of that classifier."
            )


def predict_probabilities(estimator: Any, table: np.ndarray, names: Any = None) -> np.ndarray:
    """Return the probabilities (n, n_classes) for the same table, NaN in rows without data."""
    usable = _usable(estimator, table, names)
    if not usable.any():
        return np.full((len(table), len(estimator.classes_)), np.nan, dtype=np.float32)
    found = estimator.predict_proba(_rows(table, usable, names))
    probabilities = np.full((len(table), found.shape[1]), np.nan, dtype=found.dtype)
    probabilities[usable] = found
    return probabilities


def _usable(estimator: Any, table: np.ndarray, names: Any) -> np.ndarray:
    """Return which rows are complete or, where the estimator takes gaps, have any value."""
    known = np.isfinite(table)
    complete, begun = known.all(axis=1), known.any(axis=1)
    has_gaps = (begun & ~complete).any()
    return begun if has_gaps and _takes_gaps(estimator, table.shape[1], names) else complete


def _takes_gaps(estimator: Any, n_columns: int, names: Any) -> bool:
    """Return whether it predicts a row without any value, and so one with any gaps.

    Tags do not tell: a scaler allows NaN and leaves it to the next step, and a search over a
    pipeline that fills gaps declares nothing.
    """
    row = _rows(np.full((1, n_columns), np.nan), np.ones(1, dtype=bool), names)
    predict = getattr(estimator, "predict_proba", estimator.predict)
    try:
        return not pd.isna(predict(row)).any()  # a net that checks nothing returns NaN
    except Exception:  # whatever an estimator says to a row that it cannot predict
        return False


def _rows(table: np.ndarray, usable: np.ndarray, names: Any) -> np.ndarray | pd.DataFrame:
    rows = table if usable.all() else table[usable]
    return rows if names is None else pd.DataFrame(rows, columns=names)
