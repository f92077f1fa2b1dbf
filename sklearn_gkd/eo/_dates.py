"""Dates of acquisitions: read from text, numbers or datetime64, and checked for their order."""

import datetime
import re
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

FORMS = "such as 2016-01-12, 20160112 or datetime64"

# A day, or a month by its first day, and the time of day where there is one.
_TEXT = re.compile(
    r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?"
    r"|\d{8}(T\d{4}(\d{2})?Z?)?"
)


def as_dates(dates: Any, name: str) -> np.ndarray:
    """Return dates as datetime64, in order."""
    values = as_dates_in_any_order(dates, name)
    _check_order(values, name, as_text(values))
    return values


def as_dates_in_any_order(dates: Any, name: str) -> np.ndarray:
    """Return dates as datetime64."""
    values = _one_dimensional(dates, name, "one for each")
    if values.dtype.kind != "M":
        values = np.array([_as_date(value, name) for value in values.tolist()])
    distant = (values < np.datetime64("1900")) | (values >= np.datetime64("2200"))
    if distant.any():
        raise ValueError(
            f"{name}: {values[distant][0]} lies outside of 1900 to 2199. Give dates {FORMS}."
        )
    return values.astype("datetime64[ns]")


def as_days(dates: Any, name: str, n_dates: int | None = None) -> np.ndarray:
    """Return days as floats, of numbers of days or of dates."""
    wanted = "one for each" if n_dates is None else f"{n_dates}, one for each step of X"
    values = _one_dimensional(dates, name, wanted)
    if n_dates not in (None, len(values)):
        raise ValueError(f"{name} has shape {values.shape}. Give {wanted}, in a list.")
    if are_days(values):
        days = values.astype(np.float64)
        for form, example in _forms_of(days):
            raise ValueError(
                f"{name}: {days[0]:.0f} and the others look like {example}, not like numbers of "
                f"days. Give dates {FORMS}: pandas.to_datetime({name}, format={form!r})."
            )
        _check_order(days, name, [f"{day:g}" for day in days])
        return days
    return (as_dates(values, name) - np.datetime64(0, "ns")) / np.timedelta64(1, "D")


def are_days(dates: Any) -> bool:
    """Return whether these are numbers of days, rather than dates (20160112 is a date)."""
    values = np.asarray(dates)
    return values.dtype.kind in "iuf" and not _look_like_dates(values).any()


def as_text(dates: np.ndarray) -> list[str]:
    """Return datetime64 as ``2016-01-12``, with the time of day where there is one."""
    return [str(date)[:19].removesuffix("T00:00:00") for date in dates]


def _one_dimensional(dates: Any, name: str, wanted: str) -> np.ndarray:
    values = np.asarray(dates)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}. Give {wanted}, in a list.")
    return values


def _look_like_dates(numbers: np.ndarray) -> np.ndarray:
    """Return which numbers lie between 1 January 1900 and 31 December 2199, written YYYYMMDD."""
    return (numbers >= 1900_01_01) & (numbers <= 2199_12_31)


def _forms_of(days: np.ndarray) -> list[tuple[str, str]]:
    """Return the forms, and their names, by which all of these numbers are years and more."""
    forms = (("%Y%j", "YYYYDDD", 1000, 366), ("%Y%m", "YYYYMM", 100, 12))
    return [
        (form, called)
        for form, called, unit, last in forms
        if ((days // unit >= 1900) & (days // unit < 2200)).all()
        and ((days % unit >= 1) & (days % unit <= last)).all()
    ]


def _as_date(value: Any, name: str) -> np.datetime64:
    """Return a date, in UTC where it has a time zone."""
    date = value.decode() if isinstance(value, bytes) else value
    date = date.start_time if isinstance(date, pd.Period) else date
    if isinstance(value, Real) and float(value).is_integer():
        date = f"{float(value):.0f}"
    is_text = isinstance(date, str) and _TEXT.fullmatch(date)
    if not is_text and not isinstance(date, datetime.date | np.datetime64):
        raise ValueError(f"{name}: {value!r} is not a date. Give dates {FORMS}.")
    try:
        date = pd.Timestamp(date)
    except ValueError as error:
        raise ValueError(
            f"{name}: {value!r} is not a date: {error}. Give dates {FORMS}."
        ) from error
    return (date if date.tzinfo is None else date.tz_convert(None)).to_datetime64()


def _check_order(values: np.ndarray, name: str, shown: Sequence[str]) -> None:
    """Raise an error that names the first date that is missing, repeats or is out of order."""
    missing = np.flatnonzero(np.isnan(values) if values.dtype.kind == "M" else ~np.isfinite(values))
    if len(missing):
        raise ValueError(
            f"{name} are not in order: entry {missing[0]} is {shown[missing[0]]}. Give one for "
            "each acquisition."
        )
    for after in np.flatnonzero(values[1:] <= values[:-1])[:1] + 1:
        what = "repeats" if values[after] == values[after - 1] else "comes before"
        raise ValueError(
            f"{name} are not in order: {shown[after]} (entry {after}) {what} {shown[after - 1]} "
            f"(entry {after - 1}). Each must be later than the one before."
        )
