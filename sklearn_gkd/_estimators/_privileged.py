"""Privileged information: what X_priv may be, and which rows have it."""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils.validation import check_array

from sklearn_gkd._common.checks import check_finite, naming
from sklearn_gkd._common.compat import get_feature_names, num_samples, safe_indexing
from sklearn_gkd._common.fitted_state import (
    Attribute,
    ColumnLabels,
    ColumnNames,
    Count,
    Sizes,
    Transformer,
)
from sklearn_gkd._common.labels import check_rows, read_channels, validate_columns
from sklearn_gkd._common.series import Shape, View, as_array, as_table, series_shape

FIT_REQUEST = dict.fromkeys(
    [
        "X_priv",
        "sample_weight",
        "groups",
        "X_unlabeled",
        "X_priv_unlabeled",
        "X_val",
        "y_val",
        "X_priv_val",
    ],
    True,
)
"""What `fit` is given where metadata are routed, without `set_fit_request`."""


class Pair(NamedTuple):
    """Rows of X and their privileged information, with the names of the two arguments.

    Attributes
    ----------
    name : str
    X : array-like or None
    name_priv : str
    X_priv : array-like or None
    labelled : bool
        Whether X alone can teach: rows without a label need X_priv.
    """

    name: str
    X: Any
    name_priv: str
    X_priv: Any
    labelled: bool = True


def check_pairs(first: Pair, *others: Pair) -> None:
    """Raise a ValueError unless privileged information comes with its X, row by row.

    That of the others comes with that of the first, which fit reads it like.
    """
    for pair in (first, *others):
        if pair.X_priv is None:
            if pair.X is not None and not pair.labelled:
                raise ValueError(
                    f"{pair.name} was given without {pair.name_priv}, which is all that could "
                    "teach its rows. Give both, or neither."
                )
            continue
        for needed, name in [(pair.X, pair.name), (first.X_priv, first.name_priv)]:
            if needed is None:
                raise ValueError(
                    f"{pair.name_priv} was given without {name}. Give both, or neither."
                )
        check_rows(**{pair.name: pair.X, pair.name_priv: pair.X_priv})
        n_rows, n_priv = _n_rows(pair.X, pair.name), _n_rows(pair.X_priv, pair.name_priv)
        if n_priv != n_rows:
            raise ValueError(
                f"{pair.name_priv} has {n_priv} rows and {pair.name} has {n_rows}. Row i of "
                f"{pair.name_priv} must be the privileged information of row i of {pair.name} (a "
                "row without any is NaN throughout). Where a step of a Pipeline drops or adds "
                f"rows, {pair.name_priv} does not follow: resample both before the Pipeline, by "
                "the same row numbers."
            )


def _n_rows(X: Any, name: str) -> int:
    X = as_array(X, name)
    with naming(name):
        return num_samples(X)


class Privileged(NamedTuple):
    """Privileged information that was read.

    Attributes
    ----------
    view : View
        All rows; zeros where a row has no information.
    seen : ndarray of bool of shape (n,)
        The rows that have information.
    """

    view: View
    seen: np.ndarray

    def followed_by(self, other: "Privileged") -> "Privileged":
        """Return this, with more rows."""
        return Privileged(
            self.view.followed_by(other.view.series), np.append(self.seen, other.seen)
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


def _names_out(transformer: Any) -> Any:
    """Return the names of the columns that a transformer returns, None where it has none."""
    try:
        return transformer.get_feature_names_out()
    except (AttributeError, ValueError):
        return None


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
            self.columns = get_feature_names(X_priv)
            validate_columns(self, X_priv, "X_priv", reset=True)
            if self.transformer is not None:
                self.transformer.fit(safe_indexing(X_priv, known), y[known])
        return self

    def read_pairs(self, *pairs: Pair) -> Privileged:
        """Read that of several pairs, one after the other; pairs without X are left out."""
        first, *others = (
            self.nothing(num_samples(pair.X))
            if pair.X_priv is None
            else self.read(pair.X_priv, pair.name_priv)
            for pair in pairs
            if pair.X is not None
        )
        return reduce(Privileged.followed_by, others, first)

    def read(self, X_priv: Any, name: str) -> Privileged:
        """Check and transform privileged information.

        Parameters
        ----------
        X_priv : array-like of shape (n, T, C) or (n, T * C)
            A row that is NaN throughout has no information and does not reach the transformer.
        name : str
            The argument, for errors.

        Returns
        -------
        Privileged
        """
        X_priv = as_array(X_priv, name)
        with naming(name):
            columns = get_feature_names(X_priv)
        named = columns is not None and self.columns is not None
        if named and columns.tolist() != self.columns.tolist():
            raise ValueError(
                f"{name} has other column names than X_priv had in fit, or in another order. "
                "Give the same columns."
            )
        validate_columns(self, X_priv, name, reset=False)
        seen = has_information(X_priv, name)
        if self.shape is not None and not seen.any():
            return self.nothing(len(seen))
        rows = np.flatnonzero(seen)
        with naming(name):
            known = safe_indexing(X_priv, rows)
            if self.transformer is not None:
                known = self.transformer.transform(known)
        self._read_channels(known, name)
        table, shape = as_table(known, name)
        with naming(name), np.errstate(over="ignore"):
            table = check_array(table, dtype=np.float32, ensure_all_finite=False, input_name=name)
        check_finite(table, name, self._gap_remedy(), rows)
        per_column = shape is None and self.n_channels is None
        series = np.zeros((len(seen), *self._shape(table.shape[1], shape, name)), dtype=np.float32)
        series[rows] = table.reshape(len(table), *series.shape[1:])
        return Privileged(View(series, per_column), seen)

    def nothing(self, n_rows: int) -> Privileged:
        """Return what `read` does for rows without information."""
        n_steps, n_channels = self.shape
        series = np.zeros((n_rows, n_steps, n_channels), dtype=np.float32)
        return Privileged(View(series, False), np.zeros(n_rows, dtype=bool))

    def _read_channels(self, known: Any, name: str) -> None:
        """Read n_channels off the names of columns, and compare other names with it."""
        with naming(name):
            names = get_feature_names(known)
        if names is None and self.columns is not None and len(known.shape) == 2:
            names = _names_out(self.transformer)
        _, in_fit = self.shape or (0, 1)
        n_channels = in_fit if in_fit > 1 else self.n_channels
        n_channels = read_channels(names, n_channels, name, "n_channels_priv")
        if self.shape is None:
            self.n_channels = n_channels

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

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            "shape": Sizes(("T_priv", "C_priv")),
            "n_channels": Count(optional=True),
            "columns": ColumnNames(optional=True),
            "_column_labels": ColumnLabels(optional=True),
            "transformer": Transformer(optional=True),
        }

    def _gap_remedy(self) -> str:
        if self.transformer is not None:
            return f"That is what {self.transformer} returned, which must fill all gaps."
        n_channels = "" if self.n_channels is None else f"n_channels={self.n_channels}"
        return (
            f"Fill the gaps first: give priv_transformer=eo.GapFiller({n_channels}), or another "
            "transformer."
        )
