"""Series as 3-D arrays and as tables, and their scaling.

A view is a float32 array of shape (n, T, C): n series of T steps and C channels. As a table it is
(n, T * C), time-major: column ``t * C + c``. A view of images is (n, H, W, C), and in a table row
by row: column ``(h * W + w) * C + c``.
"""

import os
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import column_or_1d

from sklearn_gkd._common.checks import naming

Shape = tuple[int, ...]
"""(T, C) of series, or (H, W, C) of images."""

NO_ARRAYS: dict[type, str] = {
    type(None): "",
    Mapping: ": the array of one of its keys",
    Iterator: ": what it yields, in a list",
    Set: "",
    str: ": read the file first, for instance by datasets.load_sits",
    bytes: "",
    os.PathLike: ": read the file first, for instance by datasets.load_sits",
}
"""What is no array, and the remedy."""

OF_TIME = re.compile("date|duration|time", re.IGNORECASE)
"""How the names of dtypes begin that hold dates or durations."""


class Scaling(NamedTuple):
    """Mean and scale of a view, broadcast over its shape: (x - mean) / scale is standardised."""

    mean: np.ndarray
    scale: np.ndarray


class View(NamedTuple):
    """Checked series (n, T, C) or images (n, H, W, C), and whether each column is scaled by itself.

    Otherwise each channel is.

    A row that has none is NaN throughout.
    """

    series: np.ndarray
    per_column: bool

    @property
    def shape(self) -> Shape:
        """(T, C), or (H, W, C)."""
        return self.series.shape[1:]

    @property
    def known(self) -> np.ndarray:
        """Mask of the rows that are not NaN throughout, (n,)."""
        return ~np.isnan(self.series).all(axis=tuple(range(1, self.series.ndim)))

    def followed_by(self, series: np.ndarray) -> "View":
        """Return the view with more rows."""
        return self._replace(series=np.concatenate([self.series, series]))

    def scaling(self) -> Scaling:
        """Return the mean and scale of each channel or, with per_column, of each column.

        The scale of a constant is 1.
        """
        axes = 0 if self.per_column else tuple(range(self.series.ndim - 1))
        mean = self.series.mean(axis=axes, dtype=np.float64)
        scale = self.series.std(axis=axes, dtype=np.float64)
        scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def as_array(X: Any, name: str) -> Any:
    """Return X itself where it is an array or a table, and otherwise (a list) as an array.

    What is masked becomes NaN, and masked integers floats.
    """
    with naming(name):
        X = _filled(X)
    if hasattr(X, "shape"):
        return X
    _refuse_what_is_no_array(X, name)
    try:
        return np.asarray(X)
    except (TypeError, ValueError) as error:
        shapes = list(dict.fromkeys(map(_shape_of, X))) if isinstance(X, list) else []
        if len(shapes) < 2:
            raise type(error)(f"{name}: {error}") from error
    raise ValueError(
        f"{name}: its {len(X)} parts have different shapes, such as {shapes[0]} and {shapes[1]}. "
        "Each row needs the same dates and bands, NaN where there is none; several sources are "
        "columns of one table, np.hstack([a.reshape(n, -1), b.reshape(n, -1)])."
    )


def as_column(values: Any, name: str) -> np.ndarray:
    """Return values, one for each row, as a 1-D array."""
    with naming(name):
        refuse_masked(values, name)
        return column_or_1d(values)


def refuse_masked(values: Any, name: str) -> None:
    """Raise a ValueError where labels, or what else every row needs, are masked."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} has {np.ma.count_masked(values)} masked values. Leave their rows out."
        )


def refuse_dates(values: Any, name: str) -> None:
    """Raise a ValueError where values are dates or durations, which have no unit as numbers."""
    values = values if hasattr(values, "shape") else np.asarray(values)
    dtypes = map(str, np.ravel(getattr(values, "dtypes", getattr(values, "dtype", ""))))
    if any(map(OF_TIME.match, dtypes)):
        raise ValueError(
            f"{name} holds dates or durations. Give numbers, such as days: "
            "(dates - np.datetime64('2020-01-01')) / np.timedelta64(1, 'D')."
        )


def as_table(X: Any, name: str) -> tuple[Any, Shape | None]:
    """Return X as a table, and its (T, C) if it came as 3-D (None otherwise)."""
    X = as_array(X, name)
    refuse_dates(X, name)
    n_dimensions = len(X.shape)
    if n_dimensions in (1, 2):
        return X, None
    if n_dimensions != 3:
        raise ValueError(
            f"{name} has {n_dimensions} dimensions; give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    if hasattr(X, "todense"):
        raise TypeError(
            f"{name} is sparse and has 3 dimensions. Give an array: {name}.todense(), with NaN, "
            "not 0, where there is no observation."
        )
    X = np.asarray(X)
    _, n_steps, n_channels = X.shape
    return X.reshape(len(X), n_steps * n_channels), (n_steps, n_channels)


def _filled(X: Any) -> Any:
    """Return X with NaN in place of what is masked, also in the arrays of a list."""
    if isinstance(X, (list, tuple)):
        return [_filled(part) for part in X]
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if X.dtype.names is not None:
        return X.data
    dtypes = {"f": X.dtype, "c": X.dtype, "b": np.float64, "i": np.float64, "u": np.float64}
    return np.ma.filled(X.astype(dtypes.get(X.dtype.kind, object)), np.nan)


def _refuse_what_is_no_array(X: Any, name: str) -> None:
    remedies = [remedy for kind, remedy in NO_ARRAYS.items() if isinstance(X, kind)]
    if hasattr(X, "collect"):  # as polars' LazyFrame has
        remedies.append(f": {name}.collect()")
    if remedies:
        what = "None" if X is None else f"of type {type(X).__name__}"
        raise TypeError(
            f"{name} is {what}. Give series as (n, T, C) or as a table (n, T * C){remedies[0]}."
        )


def shape_text(shape: Shape) -> str:
    """Return what the rows of a view are, for an error."""
    return f"{'series of (T' if len(shape) == 2 else 'images of (H, W'}, C) = {shape}"


def _shape_of(part: Any) -> tuple[int, ...] | str:
    try:
        return np.shape(part)
    except ValueError:
        return "ragged"


def series_shape(
    n_columns: int, shape: Shape | None, n_channels: int | None, name: str, parameter: str
) -> Shape:
    """Return the shape of a view's rows, which came as n_columns or with a shape."""
    if shape is not None:
        if n_channels not in (None, shape[-1]):
            kind = f"{len(shape) + 1}-D"
            raise ValueError(
                f"{name} is {kind} with {shape[-1]} channels, but {parameter}={n_channels}. "
                f"A {kind} {name} does not need {parameter}: leave it at None."
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
