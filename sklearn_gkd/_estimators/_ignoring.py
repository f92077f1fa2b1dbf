"""Let any classifier or regressor take the calls of those that know privileged information."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_gkd._common.compat import HasMethods, fit_context
from sklearn_gkd._common.series import as_table
from sklearn_gkd._estimators._privileged import FIT_REQUEST
from sklearn_gkd._estimators._weights import check_takes_sample_weight


def _estimator_has(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(self.estimator, name)


class IgnorePrivileged(MetaEstimatorMixin, BaseEstimator):
    """Lets an estimator that knows nothing of X_priv take the calls of `GKDClassifier`.

    It is a classifier or, beside `GKDRegressor`, a regressor, as what it holds is. Series of shape
    (n, T, C) reach it as tables (n, T * C): a `eo.GapFiller` belongs before it, not in it.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted on X and y alone.

    Attributes
    ----------
    estimator_ : classifier or regressor
        The fitted clone.
    classes_, n_features_in_, feature_importances_, ... : object
        Whatever else the estimator has learnt.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn_gkd import IgnorePrivileged
    >>> from sklearn_gkd.datasets import make_sits
    >>> sits = make_sits(200, random_state=0)
    >>> forest = IgnorePrivileged(RandomForestClassifier(random_state=0))
    >>> forest.fit(sits.X_s1, sits.y, X_priv=sits.X_s2).predict(sits.X_s1).shape
    (200,)
    """

    __metadata_request__fit: ClassVar[dict[str, bool]] = FIT_REQUEST

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict"])],
    }

    def __init__(self, estimator: Any):
        self.estimator = estimator

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any,
        X_priv: Any = None,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        X_unlabeled: Any = None,
        X_priv_unlabeled: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        X_priv_val: Any = None,
    ) -> Self:
        """Fit the estimator on X and y.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            What prediction will have too.
        y : array-like of shape (n,) or (n, k)
            Class of each row, or its number or numbers.
        X_priv : ignored
            So that the call is `GKDClassifier.fit`'s.
        sample_weight : array-like of shape (n,), default=None
            Handed on to the estimator, which must take it.
        groups, X_unlabeled, X_priv_unlabeled, X_val, y_val, X_priv_val : ignored
            So that the call is `GKDClassifier.fit`'s.

        Returns
        -------
        self
            Itself, fitted.
        """
        table, _ = as_table(X, "X")
        weights = {}
        if sample_weight is not None:
            check_takes_sample_weight(self.estimator, "estimator")
            weights = {"sample_weight": sample_weight}
        self.estimator_ = clone(self.estimator).fit(table, y, **weights)
        return self

    def __getattr__(self, name: str) -> Any:
        """Hand on what the estimator has learnt."""
        learnt = name.endswith("_") and not name.startswith("_")
        if learnt and "estimator_" in vars(self):
            return getattr(self.estimator_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class, or the quantity.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,) or (n, k)
            As the y of `fit`.
        """
        check_is_fitted(self)
        return self.estimator_.predict(as_table(X, "X")[0])

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            As of the estimator.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(as_table(X, "X")[0])

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            As of the estimator.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(as_table(X, "X")[0])

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return what the estimator's decision_function does.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            As of the estimator.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(as_table(X, "X")[0])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the estimator's own score: of a search, by its `scoring`.

        One that has none is scored by its accuracy or, a regressor, by R².

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.
        y : array-like of shape (n,) or (n, k)
            Class of each row, or its number or numbers.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float
            The higher, the better.
        """
        check_is_fitted(self)
        if not hasattr(self.estimator_, "score"):
            score = r2_score if is_regressor(self) else accuracy_score
            return score(y, self.predict(X), sample_weight=sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(as_table(X, "X")[0], y, **weights)

    def __sklearn_tags__(self) -> Tags:
        tags = get_tags(self.estimator)
        tags.input_tags.three_d_array = True
        return tags
