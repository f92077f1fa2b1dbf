"""Base of the transformers of series."""

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import (
    Interval,
    check_feature_names_in,
    fit_context,
    get_feature_names,
    wrap_output,
)
from sklearn_gkd._common.fitted_state import OF_SERIES, Attribute
from sklearn_gkd._common.labels import read_channels, validate_columns
from sklearn_gkd._common.series import as_table, series_shape


class SeriesTransformer(  # which makes frames itself, of tables alone
    TransformerMixin,
    BaseEstimator,
    ABC,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]
):
    """Transformer of series that come as (n, T, C) or as tables (n, T * C).

    A subclass writes `_learn` and `_transform`, which are given series (n, T, C) with gaps (NaN)
    but without inf, and `get_feature_names_out`.
    """

    n_channels: int | None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
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
            Itself, fitted.

        Raises
        ------
        ValueError
            If X has inf, if ``n_channels`` does not divide its columns, or as the class says. What
            was fitted before is then left as it was.
        """
        with fresh_fit(self):
            given, shape = as_table(X, "X")
            table = self._check_table(given, reset=True)
            n_channels = self._channels(given)
            self.series_shape_ = series_shape(table.shape[1], shape, n_channels, "X", "n_channels")
            self._learn(table.reshape(-1, *self.series_shape_))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and transform the training series.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            As in `fit`.
        y : None
            Ignored.

        Returns
        -------
        ndarray or DataFrame
            As of `transform`.
        """
        return self.fit(X, y).transform(X)

    def transform(self, X: Any) -> Any:
        """Transform series of the dates and channels that fit saw.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, NaN where there is no observation; a table also where fit saw 3-D, and the
            other way round. X itself is left unchanged.

        Returns
        -------
        ndarray, 3-D where X is and a table where X is one
            Of float32 if X is, float64 otherwise. With ``set_output``, or scikit-learn's
            ``set_config(transform_output=...)``, a table is a DataFrame.

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
        if shape is not None:
            return series
        return wrap_output("transform", series.reshape(len(series), -1), X, self)

    @abstractmethod
    def _learn(self, series: np.ndarray) -> None:
        """Check the parameters against series (n, T, C), and set what is learnt from them."""

    @abstractmethod
    def _transform(self, series: np.ndarray) -> np.ndarray:
        """Return series (n, T', C') from series (n, T, C), a copy that may be changed in place."""

    def _check_table(self, table: Any, *, reset: bool, copy: bool = False) -> np.ndarray:
        checked = validate_data(
            self,
            table,
            reset=reset,
            copy=copy,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        validate_columns(self, table, "X", reset=reset)
        self._channels(table)
        return checked

    def _channels(self, table: Any) -> int | None:
        """Return the number of channels of a table: fit's, n_channels, or what its names say."""
        _, in_fit = getattr(self, "series_shape_", (0, 1))
        n_channels = in_fit if in_fit > 1 else self.n_channels
        return read_channels(get_feature_names(table), n_channels, "X", "n_channels")

    def _names_in(self, input_features: Any) -> np.ndarray:
        """Return the names of the columns that fit saw, as (T, C)."""
        check_is_fitted(self)
        return check_feature_names_in(self, input_features).reshape(self.series_shape_)

    def _fitted_state(self) -> dict[str, Attribute]:
        return OF_SERIES

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags
