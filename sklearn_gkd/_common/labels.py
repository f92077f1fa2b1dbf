"""Labels of columns and rows: what they say of a table, and errors where they contradict."""

import re
from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import Any

import pandas as pd

from sklearn_gkd._common.checks import warn

BAND_AND_DATE = re.compile(r"(.+)_(?:d(-?\d+(?:\.\d+)?)|(\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+)?))")
"""A column's name: VV_d012, as `eo.raster.object_series` writes it, or VV_2016-01-12."""


def read_channels(
    names: Iterable[str] | None, n_channels: int | None, name: str, parameter: str
) -> int | None:
    """Return the number of channels of a table, read off its columns' names where they tell.

    Names tell where each is one of a band and a date, and each band has each date; otherwise
    n_channels is returned, with a warning where it is None and only some are.

    Raises
    ------
    ValueError
        Where the columns are not time-major, or n_channels contradicts their names.
    """
    columns = [] if names is None else list(names)
    parts = [part for part in map(BAND_AND_DATE.fullmatch, columns) if part]
    if not parts or len(parts) < len(columns):
        if parts and n_channels is None:
            first = next(column for column in columns if not BAND_AND_DATE.fullmatch(column))
            warn(
                f"{name} has columns of bands and dates beside others, as {first!r}: each is read "
                "as a step of its own. Leave these out, so that the names tell bands and dates, or "
                f"set {parameter}=1."
            )
        return n_channels
    found = [(part[1], part[2] or part[3]) for part in parts]
    bands, dates = ({one[i]: None for one in found} for i in (0, 1))
    if sorted(found) != sorted((band, date) for date in dates for band in bands):
        if n_channels in (None, 1):
            return n_channels
        raise ValueError(
            f"{name} has not each of its {len(bands)} bands at each of its {len(dates)} dates, by "
            f"its column names ({columns[0]!r}, ...), so that no n_channels describes it. Give all "
            f"columns, or leave {parameter} at None."
        )
    if n_channels not in (None, len(bands)):
        raise ValueError(
            f"{name} has {len(bands)} channels by its column names ({', '.join(bands)}), but "
            f"{parameter}={n_channels}. Leave {parameter} at None, or correct the names."
        )
    in_order = [(band, date) for date in _by_time(dates, parts) for band in bands]
    for column, one, expected in zip(columns, found, in_order, strict=True):
        if one != expected:
            right = columns[found.index(expected)]
            raise ValueError(
                f"The columns of {name} are not time-major: {column!r} stands where {right!r} "
                "belongs. Give all bands of the first date, then all of the second."
            )
    return len(bands)


def _by_time(dates: Iterable[str], parts: list[re.Match[str]]) -> list[str]:
    """Return dates in order; days of the year as they are where they go once over New Year."""
    dates = list(dates)
    if any(part[3] for part in parts):
        return sorted(dates)
    days = [float(date) for date in dates]
    falls = sum(later < earlier for earlier, later in pairwise([*days, days[0]]))
    return dates if falls <= 1 else sorted(dates, key=float)


def column_labels(X: Any) -> pd.Index | None:
    """Return the labels of columns that are not strings, which scikit-learn does not compare."""
    if not isinstance(X, pd.DataFrame) or any(isinstance(label, str) for label in X.columns):
        return None
    return X.columns


def validate_columns(estimator: Any, X: Any, name: str, *, reset: bool) -> None:
    """Remember labels that are not strings or, without reset, compare them with those of fit."""
    labels = column_labels(X)
    if not reset:
        check_columns(labels, getattr(estimator, "_column_labels", None), name)
        return
    vars(estimator).pop("_column_labels", None)
    if labels is not None:
        estimator._column_labels = labels


def check_columns(labels: pd.Index | None, in_fit: pd.Index | None, name: str) -> None:
    """Raise a ValueError where columns have other labels than in fit, or in another order.

    A numbering from 0, which pandas gives where there are no labels, contradicts numbers alone.
    """
    if labels is None or in_fit is None:
        return
    numbering = pd.RangeIndex(len(labels))
    is_number = [pd.api.types.is_integer_dtype(one) for one in (labels, in_fit)]
    if (labels.equals(numbering) or in_fit.equals(numbering)) and not all(is_number):
        return
    at = _first_difference(labels, in_fit)
    if at is not None:
        raise ValueError(
            f"{name} has other column labels than in fit, or in another order: column "
            f"{at} is {_at(labels, at)} and was {_at(in_fit, at)}. Give the same columns, or "
            f"{name}.to_numpy() where they are the same under other labels."
        )


def check_rows(**tables: Any) -> None:
    """Raise a ValueError where two arguments are paired by position although their labels differ.

    These are pandas' indices. Ranges stand for mere positions, unless another index has the same
    labels in another order.
    """
    indices = {
        name: table.index
        for name, table in tables.items()
        if isinstance(table, (pd.DataFrame, pd.Series))
    }
    for (name, index), (other_name, other) in combinations(indices.items(), 2):
        at = _first_difference(index, other)
        if at is None or (_is_range(index) and _is_range(other)):
            continue
        reordered = index.is_unique and set(index) == set(other)
        if not reordered and (_is_range(index) or _is_range(other)):
            continue
        reorder = f", {other_name}.loc[{name}.index]" if reordered else ""
        raise ValueError(
            f"{name} and {other_name} are paired by position although their labels contradict: "
            f"row {at} of {name} is {_at(index, at)} and that of {other_name} is "
            f"{_at(other, at)}. Give the same rows of both in one order{reorder}; or, where the "
            "positions are right, give arrays (.to_numpy())."
        )


def _first_difference(labels: pd.Index, others: pd.Index) -> int | None:
    """Return where labels of one number differ first, or None."""
    if len(labels) != len(others) or labels.equals(others):
        return None
    different = (i for i in range(len(labels)) if not labels[i : i + 1].equals(others[i : i + 1]))
    return next(different, 0)


def _at(labels: pd.Index, position: int) -> str:
    return repr(labels[position : position + 1].tolist()[0])


def _is_range(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) and index.step > 0
