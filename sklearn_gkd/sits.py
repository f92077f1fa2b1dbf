"""Transformers for satellite image time series."""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gkd import views
from sklearn_gkd.base import fresh_fit


class GapFiller(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill gaps (NaN) in series by linear interpolation in time.

    A gap takes the value on the line between the nearest observed dates before and after it, or
    the nearest observed value at the ends of the series. Dates are taken as equally spaced. A
    series without any observation of a channel takes the training median of that channel at each
    date, and where training never observed that date, the training median of the channel.

    Parameters
    ----------
    n_channels : int, default=None
        Channels of series that come as a table (n, T * C), time-major. None: one channel of T
        steps. Series of shape (n, T, C) do not need it.

    Attributes
    ----------
    medians_ : ndarray of shape (T, C)
        Training medians, in the units of X.
    series_shape_ : tuple (T, C)
        Steps and channels of the training series.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns; defined when X is a table with string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.sits import GapFiller
    >>> ndvi = np.array([[0.2, np.nan, 0.6, np.nan], [0.1, 0.3, 0.5, 0.4]])
    >>> GapFiller().fit_transform(ndvi)
    array([[0.2, 0.4, 0.6, 0.6],
           [0.1, 0.3, 0.5, 0.4]])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, n_channels: int | None = None):
        self.n_channels = n_channels

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the medians of the training series.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, NaN where there is no observation.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has inf, if ``n_channels`` does not divide its columns, or if X has no
            observation of a channel at all.
        """
        with fresh_fit(self):
            table, shape = views.as_table(X, "X")
            table = self._check_table(table, reset=True)
            n_columns = table.shape[1]
            shape = views.series_shape(n_columns, shape, self.n_channels, "X", "n_channels")
            of_channel = pd.DataFrame(table.reshape(-1, shape[1])).median().to_numpy()
            unseen = np.flatnonzero(np.isnan(of_channel))
            if len(unseen):
                raise ValueError(
                    f"X has no observation of channel {unseen[0]} (of {shape[1]}): it is NaN in "
                    f"all {len(table)} rows, at all {shape[0]} dates. Leave that channel out of X."
                )
            of_date = pd.DataFrame(table).median().to_numpy().reshape(shape)
            self.medians_ = np.where(np.isnan(of_date), of_channel, of_date)
            self.series_shape_ = shape
        return self

    def transform(self, X):
        """Fill the gaps.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, NaN where there is no observation. It may come as a table where fit saw 3-D.

        Returns
        -------
        ndarray of the shape of X
            float32 if X is, float64 otherwise. What was observed is unchanged.

        Raises
        ------
        ValueError
            If X has inf, or other dates or channels than in fit.
        """
        check_is_fitted(self)
        table, shape = views.as_table(X, "X")
        if shape not in (None, self.series_shape_):
            raise ValueError(
                f"X has series of (T, C) = {shape}, but GapFiller was fitted on "
                f"{self.series_shape_}. Give the same dates and channels as in fit (a table in "
                "fit needs n_channels)."
            )
        table = self._check_table(table, reset=False, copy=True)
        _fill(table.reshape(-1, *self.series_shape_), self.medians_)
        return table if shape is None else table.reshape(-1, *shape)

    def _check_table(self, table: Any, **kwargs: Any) -> np.ndarray:
        return validate_data(
            self,
            table,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            **kwargs,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def _fill(series: np.ndarray, medians: np.ndarray) -> None:
    """Fill the gaps of series (n, T, C) in place."""
    row, channel = np.nonzero(np.isnan(series).all(axis=1))
    series[row, :, channel] = medians.T[channel]

    observed = ~np.isnan(series)
    n_steps = series.shape[1]
    step = np.arange(n_steps, dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(observed, step, -1), axis=1)
    after = np.where(observed, step, n_steps)[:, ::-1]
    after = np.minimum.accumulate(after, axis=1)[:, ::-1]

    row, gap, channel = np.nonzero(~observed)
    before, after = before[row, gap, channel], after[row, gap, channel]
    before, after = np.where(before < 0, after, before), np.where(after == n_steps, before, after)
    left, right = series[row, before, channel], series[row, after, channel]
    weight = (gap - before) / np.maximum(after - before, 1)
    series[row, gap, channel] = left + weight * (right - left)
