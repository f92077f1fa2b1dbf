"""Sources of privileged information: X_priv as a whole, or parts of it, each read by itself."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_array

from sklearn_gkd._common.checks import check_finite, check_precision, naming
from sklearn_gkd._common.compat import (
    get_column_indices,
    get_feature_names,
    num_samples,
    safe_indexing,
)
from sklearn_gkd._common.fitted_state import (
    Attribute,
    ColumnLabels,
    ColumnNames,
    ColumnNumbers,
    Count,
    Parts,
    Sizes,
    Text,
    Transformer,
)
from sklearn_gkd._common.labels import read_channels, validate_columns
from sklearn_gkd._common.series import (
    Shape,
    View,
    as_array,
    as_table,
    series_shape,
    shape_text,
)
from sklearn_gkd._estimators._privileged import Pair, has_information
from sklearn_gkd._training.randomness import set_random_states


class Privileged(NamedTuple):
    """Privileged information that was read.

    Attributes
    ----------
    views : list of View
        Of each source, all rows: NaN throughout where a row lacks it.
    seen : ndarray of bool of shape (n,)
        The rows that have a source.
    """

    views: list[View]
    seen: np.ndarray

    def followed_by(self, other: "Privileged") -> "Privileged":
        """Return this, with more rows."""
        views = [
            view.followed_by(more.series)
            for view, more in zip(self.views, other.views, strict=True)
        ]
        return Privileged(views, np.append(self.seen, other.seen))


class Source:
    """Reads a source as `fit` first saw it: transformed, and of one shape.

    Parameters
    ----------
    transformer : transformer or None
        Cloned.
    n_channels : int or None
        Channels of what the transformer returns, where that is a table.
    shape : (T, C), (H, W, C) or None
        Of what the transformer returns; None where the first that is read tells.
    columns : list of int or None
        The columns of X_priv that it is read from; None for all of them.
    name : str or None
        None where it is all of X_priv.

    Attributes
    ----------
    transformer : fitted transformer or None
    """

    def __init__(
        self,
        transformer: Any,
        n_channels: int | None,
        shape: Shape | None = None,
        columns: list[int] | None = None,
        name: str | None = None,
    ):
        self.name = name
        self.transformer = None if transformer is None else clone(transformer)
        self.n_channels = n_channels
        self.shape: Any = shape
        self.columns = columns

    def fit(self, X_priv: Any, y: np.ndarray | None, train: np.ndarray, seed: int) -> "Source":
        """Fit the transformer on the training rows that have the source."""
        part, name = self._part(X_priv), self._named("X_priv")
        known = train[has_information(part, name)[train]]
        if len(known) < 2:
            raise ValueError(
                f"{name} is NaN throughout in all but {len(known)} of the {len(train)} training "
                "rows, and a teacher needs two or more. Give privileged information for more "
                f"rows, or leave {'X_priv' if self.name is None else 'the source'} out."
            )
        if self.transformer is not None:
            set_random_states(self.transformer, seed)
            with naming(name):
                labels = None if y is None else y[known]
                self.transformer.fit(safe_indexing(part, known), labels)
        return self

    def read(self, X_priv: Any, name: str, in_fit: bool = False) -> View:
        """Check and transform the source's columns of X_priv.

        A row that lacks the source is NaN throughout, and does not reach the transformer. In fit,
        values that float32 does not tell apart are an error.
        """
        part, name = self._part(X_priv), self._named(name)
        seen = has_information(part, name)
        if self.shape is not None and not seen.any():
            return self.nothing(len(seen))
        rows = np.flatnonzero(seen)
        with naming(name):
            known = safe_indexing(part, rows)
            if self.transformer is not None:
                known = self.transformer.transform(known)
        known = as_array(known, name)
        if num_samples(known) != len(rows):
            raise ValueError(
                f"{name} has {len(rows)} rows, of which {self.transformer} returned "
                f"{num_samples(known)}. Give a transformer that returns one for each."
            )
        self._read_channels(part, known, name)
        table, shape = (as_table if self.columns is None else _rows_of)(known, name)
        with naming(name), np.errstate(over="ignore"):
            given = table
            table = check_array(given, dtype=np.float32, ensure_all_finite=False, input_name=name)
        check_finite(table, name, self._gap_remedy(), rows)
        if in_fit:
            check_precision(given, table, name)
        per_column = shape is None and self.n_channels is None
        self._check_shape(table.shape[1], shape, name)
        series = self.nothing(len(seen)).series
        series[rows] = table.reshape(len(table), *self.shape)
        return View(series, per_column)

    def nothing(self, n_rows: int) -> View:
        """Return what `read` does for rows that lack the source."""
        return View(np.full((n_rows, *self.shape), np.nan, dtype=np.float32), False)

    @property
    def _parameter(self) -> str:
        """What gives the number of channels."""
        return "n_channels_priv" if self.columns is None else "shape"

    def _named(self, name: str) -> str:
        return name if self.name is None else f"source {self.name} of {name}"

    def _part(self, X_priv: Any) -> Any:
        return X_priv if self.columns is None else safe_indexing(X_priv, self.columns, axis=1)

    def _read_channels(self, part: Any, known: Any, name: str) -> None:
        """Read n_channels off the names of columns, and compare other names with it."""
        if len(self.shape or ()) == 3:
            return
        with naming(name):
            names, before = get_feature_names(known), get_feature_names(part)
        if names is None and before is not None and len(known.shape) == 2:
            names = _names_out(self.transformer)
        *_, in_fit = self.shape or (1,)
        n_channels = in_fit if in_fit > 1 else self.n_channels
        n_channels = read_channels(names, n_channels, name, self._parameter)
        if self.shape is None:
            self.n_channels = n_channels

    def _check_shape(self, n_columns: int, shape: Shape | None, name: str) -> None:
        """Raise a ValueError where this is not of the shape that the first sets."""
        if self.shape is None:
            self.shape = series_shape(n_columns, shape, self.n_channels, name, self._parameter)
        elif shape not in (None, self.shape) or n_columns != math.prod(self.shape):
            found = f"{n_columns} columns" if shape is None else shape_text(shape)
            expected = "X_priv in fit had" if self.columns is None else "priv_sources tells of"
            raise ValueError(
                f"{name} has {found}, but {expected} {shape_text(self.shape)}. Give rows of "
                "that shape, or correct it."
            )

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            "name": Text(optional=True),
            "shape": Sizes(),
            "columns": ColumnNumbers(optional=True),
            "n_channels": Count(optional=True),
            "transformer": Transformer(optional=True),
        }

    def _gap_remedy(self) -> str:
        if self.transformer is not None:
            return f"That is what {self.transformer} returned, which must fill all gaps."
        if len(self.shape or ()) == 3:
            imputer = "SimpleImputer(keep_empty_features=True)"
            return f"Fill the gaps first: give as its transformer {imputer}, or another."
        n_channels = "" if self.n_channels is None else f"n_channels={self.n_channels}"
        where = "priv_transformer=" if self.columns is None else "as its transformer "
        return (
            f"Fill the gaps first: give {where}eo.GapFiller({n_channels}), or another transformer."
        )


class PrivilegedReader:
    """Reads privileged information as `fit` first saw it, source by source.

    Attributes
    ----------
    sources : list of Source
    n_columns : int or None
        Of X_priv, where sources are parts of it.
    columns : ndarray of str or None
        Column names, where X_priv was a DataFrame.
    """

    def fit(
        self,
        X_priv: Any,
        y: np.ndarray | None,
        train: np.ndarray,
        seed: int,
        priv_transformer: Any = None,
        n_channels_priv: int | None = None,
        priv_sources: list[tuple[Any, ...]] | None = None,
    ) -> "PrivilegedReader":
        """Fit each source's transformer on the training rows that have the source.

        The seed is that of transformers without one of their own; the last three are the
        parameters of `GKDClassifier`.
        """
        X_priv = as_array(X_priv, "X_priv")
        has_information(X_priv)
        with naming("X_priv"):
            self.columns = get_feature_names(X_priv)
            validate_columns(self, X_priv, "X_priv", reset=True)
        self.n_columns = None
        self.sources = [Source(priv_transformer, n_channels_priv)]
        if priv_sources is not None:
            self.n_columns = _n_columns(X_priv)
            self.sources = [_part_of(X_priv, *source) for source in priv_sources]
        for source in self.sources:
            source.fit(X_priv, y, train, seed)
        return self

    def read_pairs(self, *pairs: Pair) -> Privileged:
        """Read that of several pairs in fit, one after the other; pairs without X are left out."""
        first, *others = (
            self.nothing(num_samples(pair.X))
            if pair.X_priv is None
            else self.read(pair.X_priv, pair.name_priv, in_fit=True)
            for pair in pairs
            if pair.X is not None
        )
        return reduce(Privileged.followed_by, others, first)

    def read(self, X_priv: Any, name: str, in_fit: bool = False) -> Privileged:
        """Check and transform privileged information.

        Parameters
        ----------
        X_priv : array-like of shape (n, T, C) or (n, n_columns)
            As in `fit`.
        name : str
            The argument, for errors.
        in_fit : bool, default=False
            Whether values that float32 does not tell apart are an error.

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
        if self.n_columns is not None and tuple(X_priv.shape[1:]) != (self.n_columns,):
            raise ValueError(
                f"{name} has shape {tuple(X_priv.shape)}, but X_priv in fit was a table of "
                f"{self.n_columns} columns. Give the same columns."
            )
        views = [source.read(X_priv, name, in_fit) for source in self.sources]
        return Privileged(views, np.any([view.known for view in views], axis=0))

    def nothing(self, n_rows: int) -> Privileged:
        """Return what `read` does for rows without information."""
        views = [source.nothing(n_rows) for source in self.sources]
        return Privileged(views, np.zeros(n_rows, dtype=bool))

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            "n_columns": Count(optional=True),
            "columns": ColumnNames(optional=True),
            "_column_labels": ColumnLabels(optional=True),
            "sources": Parts(Source, shapes="priv"),
        }


def _rows_of(array: Any, name: str) -> tuple[Any, Shape | None]:
    """Return an array as a table, and the shape of its rows if these are series or images."""
    if len(array.shape) != 4:
        return as_table(array, name)
    return np.asarray(array).reshape(len(array), -1), tuple(array.shape[1:])


def _n_columns(X_priv: Any) -> int:
    if len(X_priv.shape) != 2:
        raise ValueError(
            f"X_priv has shape {tuple(X_priv.shape)}, and priv_sources are columns of a table. "
            "Give X_priv.reshape(len(X_priv), -1), whose columns are time-major."
        )
    return X_priv.shape[1]


def _part_of(X_priv: Any, name: str, transformer: Any, columns: Any, shape: Any) -> Source:
    """Return one of the priv_sources."""
    with naming(f"columns of the source {name!r}"):
        chosen = columns(X_priv) if callable(columns) else columns
        if isinstance(chosen, slice) and chosen == slice(None):
            chosen = slice(0, None)  # which tells scikit-learn that these are numbers
        numbers = [int(number) for number in get_column_indices(X_priv, chosen)]
    if not numbers:
        raise ValueError(f"columns of the source {name!r} are none. Give one or more.")
    transformer = None if isinstance(transformer, str) else transformer
    if shape is None:
        return Source(transformer, None, None, numbers, name)
    sizes = tuple(map(int, shape if isinstance(shape, Sequence) else [shape]))
    return Source(transformer, sizes[-1], sizes if len(sizes) > 1 else None, numbers, name)


def check_sources(priv_transformer: Any, n_channels_priv: int | None, priv_sources: Any) -> None:
    """Raise an error where priv_sources are none, or not all that says how to read X_priv."""
    if priv_sources is None:
        return
    if priv_transformer is not None or n_channels_priv is not None:
        raise ValueError(
            "priv_sources was given beside priv_transformer or n_channels_priv. Each source has "
            "its own: (name, transformer, columns, shape). Leave the others at None."
        )
    if not priv_sources:
        raise ValueError("priv_sources is empty. Give one source or more, or None.")
    for source in priv_sources:
        _check_source(source)


def _check_source(source: Any) -> None:
    if not isinstance(source, tuple) or len(source) != 4 or not isinstance(source[0], str):
        raise ValueError(
            f"priv_sources has {source!r}. Give (name, transformer or 'passthrough', columns, "
            "shape), such as ('optical', 'passthrough', slice(0, 50), (10, 5))."
        )
    name, transformer, _, shape = source
    is_name = isinstance(transformer, str) and transformer == "passthrough"
    if not is_name and not (hasattr(transformer, "fit") and hasattr(transformer, "transform")):
        raise TypeError(
            f"priv_sources: the transformer of {name!r} is {transformer!r}. Give one with fit "
            "and transform, or 'passthrough'."
        )
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    kinds = int, np.integer
    are_sizes = all(isinstance(n, kinds) and not isinstance(n, bool) and n > 0 for n in sizes)
    if shape is not None and not (are_sizes and 0 < len(sizes) < 4):
        raise ValueError(
            f"priv_sources: the shape of {name!r} is {shape!r}. Give the channels C, (T, C) or, "
            "of images, (H, W, C), of what its transformer returns, or None where column names "
            "tell."
        )


def _names_out(transformer: Any) -> Any:
    """Return the names of the columns that a transformer returns, None where it has none."""
    try:
        return transformer.get_feature_names_out()
    except (AttributeError, ValueError):
        return None
