"""Base of the transformers of series."""

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import Interval, check_feature_names_in, fit_context
from sklearn_gkd._common.series import as_table, series_shape


class SeriesTransformer(TransformerMixin, BaseEstimator, ABC):
    """Transformer of series that come as (n, T, C) or as tables (n, T * C).

    A subclass writes `_learn` and `_transform`, which are given series (n, T, C) with gaps (NaN)
    but without inf, and `get_feature_names_out`.
    """

    n_channels: int | None

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn what there is to learn from the training series.

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
            If X has inf, if ``n_channels`` does not divide its columns, or as the class says. What
            was fitted before is then left as it was.
        """
        with fresh_fit(self):
            table, shape = as_table(X, "X")
            table = self._check_table(table, reset=True)
            self.series_shape_ = series_shape(
                table.shape[1], shape, self.n_channels, "X", "n_channels"
            )
            self._learn(table.reshape(-1, *self.series_shape_))
        return self

    def transform(self, X):
        """Transform series of the dates and channels that fit saw.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, NaN where there is no observation; a table also where fit saw 3-D, and the
            other way round. X itself is left unchanged.

        Returns
        -------
        ndarray, 3-D where X is and a table where X is one
            float32 if X is, float64 otherwise.

        Raises
        ------
        ValueError
            If X has inf, or other dates or channels than in fit.
        """
        check_is_fitted(self)
        table, shape = as_table(X, "X")
        if shape not in (None, self.series_shape_):
            raise ValueError(
                f"X has series of (T, C) = {shape}, but {type(self).__name__} was fitted on "
                f"{self.series_shape_}. Give the same dates and channels as in fit (a table in "
                "fit needs n_channels)."
            )
        table = self._check_table(table, reset=False, copy=True)
        series = self._transform(table.reshape(-1, *self.series_shape_))
        return series.reshape(len(series), -1) if shape is None else series

    @abstractmethod
    def _learn(self, series: np.ndarray) -> None:
        """Check the parameters against series (n, T, C), and set what is learnt from them."""

    @abstractmethod
    def _transform(self, series: np.ndarray) -> np.ndarray:
        """Return series (n, T', C') from series (n, T, C), a copy that may be changed in place."""

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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags
