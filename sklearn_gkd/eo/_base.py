"""What the transformers of series share: their checks, and interpolation in time."""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gkd._common.compat import Interval, check_feature_names_in
from sklearn_gkd._common.fitted_state import OF_SERIES, Attribute
from sklearn_gkd._common.series import as_table, series_shape


class SeriesTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers of series, which come as (n, T, C) or as tables (n, T * C)."""

    n_channels: int | None

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _fit_series(self, X) -> np.ndarray:
        """Check what fit is given, set what is known of it, and return it as (n, T, C)."""
        table, shape = as_table(X, "X")
        table = self._check_table(table, reset=True)
        n_columns = table.shape[1]
        self.series_shape_ = series_shape(n_columns, shape, self.n_channels, "X", "n_channels")
        return table.reshape(-1, *self.series_shape_)

    def _read(self, X) -> tuple[np.ndarray, bool]:
        """Return a copy of what transform is given, as (n, T, C), and whether that is a table."""
        check_is_fitted(self)
        table, shape = as_table(X, "X")
        if shape not in (None, self.series_shape_):
            raise ValueError(
                f"X has series of (T, C) = {shape}, but {type(self).__name__} was fitted on "
                f"{self.series_shape_}. Give the same dates and channels as in fit (a table in "
                "fit needs n_channels)."
            )
        table = self._check_table(table, reset=False, copy=True)
        return table.reshape(-1, *self.series_shape_), shape is None

    def _check_table(self, table: Any, **kwargs: Any) -> np.ndarray:
        return validate_data(
            self,
            table,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            **kwargs,
        )

    def _names_in(self, input_features) -> np.ndarray:
        """Return the names of the columns that fit saw, as (T, C)."""
        check_is_fitted(self)
        return check_feature_names_in(self, input_features).reshape(self.series_shape_)

    def _fitted_state(self) -> dict[str, Attribute]:
        return OF_SERIES

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def neighbours(observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the last observed step up to each step (-1: none), and the first from it on (T)."""
    n_steps = observed.shape[1]
    step = np.arange(n_steps, dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(observed, step, -1), axis=1)
    after = np.where(observed, step, n_steps)[:, ::-1]
    return before, np.minimum.accumulate(after, axis=1)[:, ::-1]


def between(series, days, row, channel, before, after, day) -> np.ndarray:
    """Interpolate between two steps, or take one of them where there is no other.

    Parameters
    ----------
    series : ndarray of shape (n, T, C)
    days : ndarray of shape (T,)
    row, channel, before, after : arrays of int
        Of each value that is wanted; steps as `neighbours` returns them.
    day : array
        When it is wanted.
    """
    n_steps = len(days)
    before, after = np.where(before < 0, after, before), np.where(after == n_steps, before, after)
    before, after = before.clip(0, n_steps - 1), after.clip(0, n_steps - 1)
    left, right = series[row, before, channel], series[row, after, channel]
    span = days[after] - days[before]
    weight = (day - days[before]) / np.where(span > 0, span, np.inf)
    return (left + weight * (right - left)).astype(series.dtype)


def as_days(dates, name: str, n_dates: int | None = None) -> np.ndarray:
    """Return days as floats, of numbers or of dates."""
    values = np.asarray(dates)
    if values.ndim != 1 or len(values) == 0 or n_dates not in (None, len(values)):
        wanted = "one for each" if n_dates is None else f"{n_dates}, one for each step of X"
        raise ValueError(f"{name} has shape {values.shape}. Give {wanted}, in a list.")
    if values.dtype.kind not in "iuf":
        values = (as_dates(values, name) - np.datetime64(0, "ns")) / np.timedelta64(1, "D")
    days = values.astype(np.float64)
    _check_order(days, name)
    return days


def as_dates(dates, name: str) -> np.ndarray:
    """Return dates as datetime64, in order."""
    try:
        dates = np.asarray(dates, dtype="datetime64[ns]")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}. Give dates such as 2016-01-12.") from error
    _check_order(np.where(np.isnat(dates), np.nan, dates.astype(np.float64)), name)
    return dates


def _check_order(days: np.ndarray, name: str) -> None:
    if not (np.isfinite(days).all() and (np.diff(days) > 0).all()):
        raise ValueError(f"{name} are not in order: each must be later than the one before.")
