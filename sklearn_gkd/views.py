"""What X and X_priv may be: 2-D or 3-D, finite, of the same length, scaled by their own statistics.

A view is a float32 array of shape (n, T, C): n series of T steps and C channels. As a table it is
(n, T * C), time-major: column ``t * C + c``.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_array

Shape = tuple[int, int]

GAP_REMEDY = "Fill the gaps first: give priv_transformer=sits.GapFiller(), or another transformer."


class Scaling(NamedTuple):
    """What standardises a view: (series - mean) / scale, broadcast over (T, C)."""

    mean: np.ndarray
    scale: np.ndarray


class View(NamedTuple):
    """Checked series of shape (n, T, C), and whether a table of unknown channels gave them."""

    series: np.ndarray
    per_column: bool

    def scaling(self) -> Scaling:
        """Return what standardises the view: per channel or, with per_column, per column.

        What is constant is divided by 1.
        """
        axes = 0 if self.per_column else (0, 1)
        mean = self.series.mean(axis=axes, dtype=np.float64)
        scale = self.series.std(axis=axes, dtype=np.float64)
        scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def as_array(X: Any) -> Any:
    """Return X itself where it is an array or a table, and otherwise (a list) as an array."""
    return X if hasattr(X, "shape") else np.asarray(X)


def as_table(X: Any, name: str) -> tuple[Any, Shape | None]:
    """Return X as a table, and its (T, C) if it came as 3-D (None otherwise)."""
    X = as_array(X)
    n_dimensions = len(X.shape)
    if n_dimensions <= 2:
        return X, None
    if n_dimensions > 3:
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


def check_finite(table: np.ndarray, name: str, remedy: str) -> None:
    """Raise a ValueError where the table has NaN or inf."""
    finite = np.isfinite(table)
    if finite.all():
        return
    rows = np.flatnonzero(~finite.all(axis=1))
    if np.isnan(table[rows]).any():
        raise ValueError(
            f"{name} contains NaN in {len(rows)} of its {len(table)} rows (the first is row "
            f"{rows[0]}). {remedy}"
        )
    raise ValueError(
        f"{name} contains inf, or values too large for float32, in {len(rows)} of its "
        f"{len(table)} rows (the first is row {rows[0]}). Replace them first."
    )


def check_same_length(X_priv: Any, n_rows: int, name: str, name_x: str) -> None:
    """Raise a ValueError unless X_priv has one row for each row of X."""
    n_priv = _num_samples(X_priv)
    if n_priv != n_rows:
        raise ValueError(
            f"{name} has {n_priv} rows and {name_x} has {n_rows}. Row i of {name} must be the "
            f"privileged information of row i of {name_x} (a row without any is NaN throughout)."
        )


def has_information(X_priv: Any, name: str = "X_priv") -> np.ndarray:
    """Return a mask of the rows that are not NaN throughout."""
    table, _ = as_table(X_priv, name)
    if len(table.shape) != 2:
        raise ValueError(
            f"{name} has {len(table.shape)} dimension(s); give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    return ~pd.isna(np.asarray(table)).all(axis=1)


def privileged_view(
    X_priv: Any, transformer: Any, n_channels: int | None, name: str
) -> tuple[View, np.ndarray]:
    """Check and transform privileged information.

    Parameters
    ----------
    X_priv : array-like of shape (n, T, C) or (n, T * C)
        A row that is NaN throughout has no information and does not reach the transformer.
    transformer : fitted transformer or None
        Applied to the other rows.
    n_channels : int or None
        Channels of what the transformer returns, where that is a table.
    name : str
        The argument, for errors.

    Returns
    -------
    view : View
        All n rows; zeros where a row has no information.
    seen : ndarray of bool of shape (n,)
        The rows that have information.
    """
    seen = has_information(X_priv, name)
    known = _safe_indexing(X_priv, np.flatnonzero(seen))
    if transformer is not None:
        known = transformer.transform(known)
    table, shape = as_table(known, name)
    with np.errstate(over="ignore"):
        table = check_array(table, dtype=np.float32, ensure_all_finite=False, input_name=name)
    check_finite(table, name, GAP_REMEDY)
    per_column = shape is None and n_channels is None
    shape = series_shape(table.shape[1], shape, n_channels, name, "n_channels_priv")
    series = np.zeros((len(seen), *shape), dtype=np.float32)
    series[seen] = table.reshape(len(table), *shape)
    return View(series, per_column), seen
