"""Base of the regressors that predict by one fitted net."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_gkd._common.compat import StrOptions
from sklearn_gkd._common.fitted_state import Attribute, Net, Numbers
from sklearn_gkd._estimators._base import NetEstimator
from sklearn_gkd._estimators._targets import Quantity, as_numbers
from sklearn_gkd._training.resolving import OF_NUMBERS
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.networks._architectures import MLPEnsemble


class NetRegressor(RegressorMixin, NetEstimator):
    """Base of the regressors that predict from one view by one fitted net."""

    _teaches_by = "predict"
    _wrong_kind = ClassifierMixin
    _criteria = OF_NUMBERS

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber"})],
    }

    @plain_torch()
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the quantity.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.
        return_std : bool, default=False
            Whether to return also the standard deviation of an ensemble's members: how much nets
            that were trained on the same rows disagree. It is no error bar: of the test rows of
            three data sets, two of it held a fifth to a half, and errors hardly grew with it.

        Returns
        -------
        y : ndarray of shape (n,) or (n, k)
            As the y of `fit`.
        std : ndarray of shape (n,) or (n, k)
            With ``return_std=True`` alone, in the units of y.

        Raises
        ------
        ValueError
            Where the standard deviation is asked of a net that is no ensemble.
        """
        target = self._target
        if not return_std:
            return np.concatenate([target.decode(numbers) for numbers in self._outputs(X)])
        network = getattr(self, self._predicts_with).module_.network
        if type(network) is not MLPEnsemble:
            raise ValueError(
                f"return_std=True asks for the spread of an ensemble's members, and the net is of "
                f"{type(network).__name__}. Leave it out, or fit with "
                f'{self._predicts_with.removesuffix("_")}="ensemble".'
            )
        batches = list(self._outputs(X, of_members=True))
        means = [target.decode(numbers.mean(dim=1)) for numbers in batches]
        spreads = [target.spread(numbers) for numbers in batches]
        return np.concatenate(means), np.concatenate(spreads)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the share of the variance of y that the predictions account for.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.
        y : array-like of shape (n,) or (n, k)
            True numbers.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float
            1 at best, 0 for the mean of y, and less for what is worse than that; of k numbers, the
            mean of theirs.
        """
        return super().score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @property
    def _target(self) -> Quantity:
        check_is_fitted(self, self._predicts_with)
        return Quantity(self.target_mean_, self.target_scale_, self.loss)

    def _read_y(self, y: Any) -> np.ndarray:
        return as_numbers(y, "y")

    def _targets_of(self, y: np.ndarray) -> tuple[Quantity, np.ndarray]:
        return Quantity.of(y, self.loss)

    def _weighed(
        self,
        quantity: Any,
        numbers: np.ndarray,
        train: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> tuple[Quantity, np.ndarray]:
        quantity, numbers = quantity.standardized(numbers, train, sample_weight)
        self.target_mean_, self.target_scale_ = quantity.mean, quantity.scale
        return quantity, numbers

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            **super()._fitted_state(),
            "target_mean_": Numbers("K"),
            "target_scale_": Numbers("K"),
            self._predicts_with: Net([("T", "C")], "K"),
        }
