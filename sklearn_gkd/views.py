"""What X and X_priv may be: 2-D or 3-D, finite, of the same length, scaled by their own statistics.

A view is a float32 array of shape (n, T, C): n series of T steps and C channels. As a table it is
(n, T * C), time-major: column ``t * C + c``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _get_feature_names, _num_samples, check_array

Shape = tuple[int, int]


class Scaling(NamedTuple):
    """What standardises a view: (series - mean) / scale, broadcast over (T, C)."""

    mean: np.ndarray
    scale: np.ndarray


class View(NamedTuple):
    """Checked series of shape (n, T, C), and whether a table of unknown channels gave them."""

    series: np.ndarray
    per_column: bool

    @property
    def shape(self) -> Shape:
        """(T, C)."""
        return self.series.shape[1:]

    def followed_by(self, series: np.ndarray) -> "View":
        """Return the view with more rows."""
        return View(np.concatenate([self.series, series]), self.per_column)

    def scaling(self) -> Scaling:
        """Return what standardises the view: per channel or, with per_column, per column.

        What is constant is divided by 1.
        """
        axes = 0 if self.per_column else (0, 1)
        mean = self.series.mean(axis=axes, dtype=np.float64)
        scale = self.series.std(axis=axes, dtype=np.float64)
        scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        return Scaling(mean.astype(np.float32), scale.astype(np.float32))


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


def as_array(X: Any, name: str) -> Any:
    """Return X itself where it is an array or a table, and otherwise (a list) as an array."""
    with naming(name):
        return X if hasattr(X, "shape") else np.asarray(X)


def as_table(X: Any, name: str) -> tuple[Any, Shape | None]:
    """Return X as a table, and its (T, C) if it came as 3-D (None otherwise)."""
    X = as_array(X, name)
    n_dimensions = len(X.shape)
    if n_dimensions in (1, 2):
        return X, None
    if n_dimensions != 3:
        raise ValueError(
            f"{name} has {n_dimensions} dimensions; give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    X = np.asarray(X)
    _, n_steps, n_channels = X.shape
    return X.reshape(len(X), n_steps * n_channels), (n_steps, n_channels)


def series_shape(
    n_columns: int, shape: Shape | None, n_channels: int | None, name: str, parameter: str
) -> Shape:
    """Return the (T, C) of a view that came as a table of n_columns or, in 3-D, with a shape."""
    if shape is not None:
        if n_channels not in (None, shape[1]):
            raise ValueError(
                f"{name} is 3-D with {shape[1]} channels, but {parameter}={n_channels}. "
                f"A 3-D {name} does not need {parameter}: leave it at None."
            )
        return shape
    if n_channels is None:
        return n_columns, 1
    if n_columns % n_channels:
        raise ValueError(
            f"{name} has {n_columns} columns, which {parameter}={n_channels} does not divide. "
            f"A table holds T steps of {n_channels} channels, time-major: "
            f"give all of them, or correct {parameter}."
        )
    return n_columns // n_channels, n_channels


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


def check_pairs(pairs: list[tuple[str, Any, str, Any]]) -> None:
    """Raise a ValueError unless privileged information comes with its X, row by row.

    Parameters
    ----------
    pairs : list of (name of X, X, name of X_priv, X_priv)
        The labelled rows first. Any may be None.
    """
    (_, _, name_first, first), *_ = pairs
    for name, X, name_priv, X_priv in pairs:
        if X_priv is None:
            if name == "X_unlabeled" and X is not None:
                raise ValueError(
                    f"{name} was given without {name_priv}, which is all that could teach its "
                    "rows. Give both, or neither."
                )
            continue
        for other, other_name in [(X, name), (first, name_first)]:
            if other is None:
                raise ValueError(
                    f"{name_priv} was given without {other_name}. Give both, or neither."
                )
        with naming(name):
            n_rows = _num_samples(X)
        with naming(name_priv):
            n_priv = _num_samples(X_priv)
        if n_priv != n_rows:
            raise ValueError(
                f"{name_priv} has {n_priv} rows and {name} has {n_rows}. Row i of {name_priv} must "
                f"be the privileged information of row i of {name} (a row without any is NaN "
                "throughout)."
            )


def has_information(X_priv: Any, name: str = "X_priv") -> np.ndarray:
    """Return a mask of the rows that are not NaN throughout."""
    if issparse(X_priv):
        raise TypeError(f"{name} is a sparse matrix. Give an array: {name}.toarray().")
    table, _ = as_table(X_priv, name)
    if len(table.shape) != 2:
        raise ValueError(
            f"{name} has {len(table.shape)} dimension(s); give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    return ~pd.isna(np.asarray(table)).all(axis=1)


class PrivilegedReader:
    """Reads privileged information as `fit` first saw it: transformed, of one shape and columns.

    Parameters
    ----------
    transformer : transformer or None
        Cloned.
    n_channels : int or None
        Channels of what the transformer returns, where that is a table.

    Attributes
    ----------
    transformer : fitted transformer or None
    shape : (T, C)
        Of what the transformer returns.
    columns : ndarray of str or None
        Column names, where X_priv was a DataFrame.
    """

    def __init__(self, transformer: Any, n_channels: int | None):
        self.transformer = None if transformer is None else clone(transformer)
        self.n_channels = n_channels
        self.shape: Any = None
        self.columns: Any = None

    def fit(self, X_priv: Any, y: np.ndarray, train: np.ndarray) -> "PrivilegedReader":
        """Fit the transformer on the training rows that have information."""
        X_priv = as_array(X_priv, "X_priv")
        known = train[has_information(X_priv, "X_priv")[train]]
        if len(known) < 2:
            raise ValueError(
                f"X_priv is NaN throughout in all but {len(known)} of the {len(train)} training "
                "rows, and a teacher needs two or more. Give privileged information for more "
                "rows, or leave X_priv out."
            )
        with naming("X_priv"):
            self.columns = _get_feature_names(X_priv)
            if self.transformer is not None:
                self.transformer.fit(_safe_indexing(X_priv, known), y[known])
        return self

    def read(self, X_priv: Any, name: str) -> tuple[View, np.ndarray]:
        """Check and transform privileged information.

        Parameters
        ----------
        X_priv : array-like of shape (n, T, C) or (n, T * C)
            A row that is NaN throughout has no information and does not reach the transformer.
        name : str
            The argument, for errors.

        Returns
        -------
        view : View
            All n rows; zeros where a row has no information.
        seen : ndarray of bool of shape (n,)
            The rows that have information.
        """
        X_priv = as_array(X_priv, name)
        with naming(name):
            columns = _get_feature_names(X_priv)
        named = columns is not None and self.columns is not None
        if named and columns.tolist() != self.columns.tolist():
            raise ValueError(
                f"{name} has other column names than X_priv had in fit, or in another order. "
                "Give the same columns."
            )
        seen = has_information(X_priv, name)
        if self.shape is not None and not seen.any():
            return self.nothing(len(seen))
        rows = np.flatnonzero(seen)
        with naming(name):
            known = _safe_indexing(X_priv, rows)
            if self.transformer is not None:
                known = self.transformer.transform(known)
        table, shape = as_table(known, name)
        with naming(name), np.errstate(over="ignore"):
            table = check_array(table, dtype=np.float32, ensure_all_finite=False, input_name=name)
        check_finite(table, name, self._gap_remedy(), rows)
        per_column = shape is None and self.n_channels is None
        series = np.zeros((len(seen), *self._shape(table.shape[1], shape, name)), dtype=np.float32)
        series[rows] = table.reshape(len(table), *series.shape[1:])
        return View(series, per_column), seen

    def nothing(self, n_rows: int) -> tuple[View, np.ndarray]:
        """Return what `read` does for rows without information."""
        n_steps, n_channels = self.shape
        series = np.zeros((n_rows, n_steps, n_channels), dtype=np.float32)
        return View(series, False), np.zeros(n_rows, dtype=bool)

    def _shape(self, n_columns: int, shape: Shape | None, name: str) -> Shape:
        """Return the (T, C) of what was read; the first sets what the others must have."""
        if self.shape is None:
            self.shape = series_shape(n_columns, shape, self.n_channels, name, "n_channels_priv")
        elif shape not in (None, self.shape) or n_columns != np.prod(self.shape):
            raise ValueError(
                f"{name} has series of (T, C) = {shape or (n_columns, 1)}, but X_priv in fit had "
                f"{self.shape}. Give the same dates and bands."
            )
        return self.shape

    def _gap_remedy(self) -> str:
        if self.transformer is not None:
            return f"That is what {self.transformer} returned, which must fill all gaps."
        n_channels = "" if self.n_channels is None else f"n_channels={self.n_channels}"
        return (
            f"Fill the gaps first: give priv_transformer=sits.GapFiller({n_channels}), or another "
            "transformer."
        )
