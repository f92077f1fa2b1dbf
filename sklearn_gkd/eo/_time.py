"""Interpolation in time: gaps filled, and series at other dates."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin

from sklearn_gkd._common.fitted_state import Attribute, FloatArray
from sklearn_gkd.eo._base import SeriesTransformer
from sklearn_gkd.eo._dates import are_days, as_dates, as_days, as_text


class GapFiller(OneToOneFeatureMixin, SeriesTransformer):
    """Fill gaps (NaN) in series by linear interpolation in time.

    A gap takes the value on the line between the nearest observed dates before and after it, or
    the nearest observed value at the ends of the series. A series without any observation of a
    channel takes the training median of that channel at each date, and where training never
    observed that date, the training median of the channel.

    Parameters
    ----------
    n_channels : int, default=None
        Channels of series that come as a table (n, T * C), time-major. None: read off column
        names such as ``VV_d012``, and one channel of T steps where there are none. Series of shape
        (n, T, C) do not need it.
    dates : array-like of shape (T,), default=None
        When each step was acquired, in order: dates (``"2016-01-12"``, ``20160112``, datetime64) or
        numbers of days. None: equally spaced.

    Attributes
    ----------
    medians_ : ndarray of shape (T, C)
        Training medians, in the units of X.
    days_ : ndarray of shape (T,)
        Days of the steps since the first one, or their numbers where there are no dates.
    series_shape_ : tuple (T, C)
        Steps and channels of the training series.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns; defined when X is a table with string column names.

    Raises
    ------
    ValueError
        By `fit`, if X has inf or no observation of a channel at all, if ``n_channels`` does not
        divide its columns, or if ``dates`` are not T dates in order; by `transform`, if X has inf,
        or other dates or channels than in `fit`.

    See Also
    --------
    CloudMask : Makes gaps of what a cloud mask marks.
    Resample : Interpolates at other dates.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import GapFiller
    >>> ndvi = np.array([[0.2, np.nan, 0.6, np.nan], [0.1, 0.3, 0.5, 0.4]])
    >>> GapFiller().fit_transform(ndvi)
    array([[0.2, 0.4, 0.6, 0.6],
           [0.1, 0.3, 0.5, 0.4]])
    >>> dates = ["2016-04-01", "2016-04-04", "2016-04-05", "2016-05-01"]
    >>> GapFiller(dates=dates).fit_transform(ndvi)
    array([[0.2, 0.5, 0.6, 0.6],
           [0.1, 0.3, 0.5, 0.4]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SeriesTransformer._parameter_constraints,
        "dates": ["array-like", None],
    }

    def __init__(self, n_channels: int | None = None, *, dates: Any = None):
        self.n_channels = n_channels
        self.dates = dates

    def _learn(self, series: np.ndarray) -> None:
        n_steps, n_channels = self.series_shape_
        self.days_ = np.arange(n_steps, dtype=float)
        if self.dates is not None:
            self.days_ = as_days(self.dates, "dates", n_steps)
            self.days_ -= self.days_[0]
        of_channel = pd.DataFrame(series.reshape(-1, n_channels)).median().to_numpy()
        unseen = np.flatnonzero(np.isnan(of_channel))
        if len(unseen):
            raise ValueError(
                f"X has no observation of channel {unseen[0]} (of {n_channels}): it is NaN in "
                f"all {len(series)} rows, at all {n_steps} dates. Leave that channel out of X."
            )
        of_date = pd.DataFrame(series.reshape(len(series), -1)).median().to_numpy()
        of_date = of_date.reshape(self.series_shape_)
        self.medians_ = np.where(np.isnan(of_date), of_channel, of_date)

    def _transform(self, series: np.ndarray) -> np.ndarray:
        row, channel = np.nonzero(np.isnan(series).all(axis=1))
        series[row, :, channel] = self.medians_.T[channel]
        observed = ~np.isnan(series)
        before, after = _neighbours(observed)
        gap = np.nonzero(~observed)
        row, step, channel = gap
        series[gap] = _between(
            series, self.days_, row, channel, before[gap], after[gap], self.days_[step]
        )
        return series

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            **super()._fitted_state(),
            "medians_": FloatArray(("T", "C")),
            "days_": FloatArray(("T",)),
        }


class Resample(SeriesTransformer):
    """Interpolate series at common dates, linearly in days.

    Before the first observation and after the last, the nearest one holds. A series without any
    observation of a channel stays NaN there: let a `GapFiller` follow. Series (n, T, C) become
    (n, T', C), and tables (n, T * C) become (n, T' * C), in the units of X.

    Parameters
    ----------
    dates : array-like of shape (T,)
        When each step of X was acquired, in order: dates or numbers of days.
    to_dates : array-like of shape (T',)
        The common dates, likewise.
    n_channels : int, default=None
        As in `GapFiller`.

    Attributes
    ----------
    series_shape_ : tuple (T, C)
        Steps and channels of the training series.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns; defined when X is a table with string column names.

    Raises
    ------
    ValueError
        By `fit`, if X has inf, if ``n_channels`` does not divide its columns, if ``dates`` are not
        T dates in order, or if ``to_dates`` are not in order, are days where ``dates`` are dates,
        or all lie further outside of them than two of them are apart; by `transform`, if X has inf,
        or other dates or channels than in `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import Resample
    >>> ndvi = np.array([[0.2, np.nan, 0.6]])
    >>> Resample([100, 105, 110], to_dates=[100, 102.5, 105, 120]).fit_transform(ndvi)
    array([[0.2, 0.3, 0.4, 0.6]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SeriesTransformer._parameter_constraints,
        "dates": ["array-like"],
        "to_dates": ["array-like"],
    }

    def __init__(self, dates: Any, to_dates: Any, *, n_channels: int | None = None):
        self.dates = dates
        self.to_dates = to_dates
        self.n_channels = n_channels

    def _learn(self, series: np.ndarray) -> None:
        self._both_days()

    def _transform(self, series: np.ndarray) -> np.ndarray:
        return interpolated(series, *self._both_days())

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each common date and channel: ``VV_2016-01-12``, or ``VV_d012``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, where X had none. Channels are named by what comes before the
            last ``_``.

        Returns
        -------
        ndarray of str
            One for each column of `transform`.
        """
        channels = [
            str(name).rpartition("_")[0] or str(name) for name in self._names_in(input_features)[0]
        ]
        dates = _names_of(self.to_dates)
        names = [f"{channel}_{date}" for date in dates for channel in channels]
        return np.array(names, dtype=object)

    def _both_days(self) -> tuple[np.ndarray, np.ndarray]:
        days = as_days(self.dates, "dates", self.series_shape_[0])
        to_days = as_days(self.to_dates, "to_dates")
        if are_days(self.dates) != are_days(self.to_dates):
            raise ValueError(
                "dates and to_dates are not of one kind: one are numbers of days, the others "
                "dates. Give both as dates, or both as days from the same day."
            )
        step = np.diff(days).max(initial=0)
        if to_days[0] > days[-1] + step or to_days[-1] < days[0] - step:
            raise ValueError(
                f"to_dates ({_names_of(self.to_dates)[0]} ...) lie all far outside of dates "
                f"({_names_of(self.dates)[0]} to {_names_of(self.dates)[-1]}), where there is "
                "nothing to interpolate. For another year, give both as days of the season."
            )
        return days, to_days


def interpolated(series: np.ndarray, days: np.ndarray, to_days: np.ndarray) -> np.ndarray:
    """Return series (n, T, C) at other days, (n, T', C)."""
    before, after = _neighbours(~np.isnan(series))
    last = np.searchsorted(days, to_days, side="right") - 1
    first = np.searchsorted(days, to_days, side="left")
    # A step of -1 and of T is that of no date: it stands before the first, and after the last.
    before = np.insert(before, 0, -1, axis=1)[:, last + 1]
    after = np.append(after, np.full_like(after[:, :1], len(days)), axis=1)[:, first]
    row, _, channel = np.ix_(*map(np.arange, before.shape))
    return _between(series, days, row, channel, before, after, to_days[:, None])


def _names_of(dates: Any) -> list[str]:
    """Return ``d012`` for numbers of days, and ``2016-01-12`` for dates."""
    if are_days(dates):
        return [f"d{day:03g}" for day in dates]
    return as_text(as_dates(dates, "to_dates"))


def _neighbours(observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the last observed step up to each step (-1: none), and the first from it on (T)."""
    n_steps = observed.shape[1]
    step = np.arange(n_steps, dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(observed, step, -1), axis=1)
    after = np.where(observed, step, n_steps)[:, ::-1]
    return before, np.minimum.accumulate(after, axis=1)[:, ::-1]


def _between(
    series: np.ndarray,
    days: np.ndarray,
    row: np.ndarray,
    channel: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    day: np.ndarray,
) -> np.ndarray:
    """Interpolate between two steps, or take one of them where there is no other.

    Parameters
    ----------
    series : ndarray of shape (n, T, C)
    days : ndarray of shape (T,)
    row, channel, before, after : arrays of int
        Of each value that is wanted; steps as `_neighbours` returns them.
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
