"""Base of the classifiers that predict by one fitted net."""

from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
)
from torch import Tensor

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.compat import (
    StrOptions,
    check_y,
)
from sklearn_gkd._common.fitted_state import Labels, Net
from sklearn_gkd._common.series import View, as_column, as_table, refuse_masked, series_shape
from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._estimators._base import NetEstimator, Rows
from sklearn_gkd._estimators._targets import Classes
from sklearn_gkd._estimators._weights import normalized
from sklearn_gkd._training.torch_state import plain_torch


class NetClassifier(ClassifierMixin, NetEstimator):
    """Base of the classifiers that predict from one view by one fitted net."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetEstimator._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    @plain_torch()
    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return torch.cat([logits.double().softmax(1).cpu() for logits in self._outputs(X)]).numpy()

    @plain_torch()
    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._logits(X).log_softmax(dim=1).numpy()

    @plain_torch()
    def decision_function(self, X):
        """Return the network's logits, of which `predict_proba` is the softmax.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Columns in the order of ``classes_``. Of two classes, the logit of the second less that
            of the first: positive where the second is predicted.
        """
        logits = self._logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    @plain_torch()
    def predict(self, X):
        """Predict the class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n,)
            Of ``classes_``.
        """
        return np.concatenate(
            [Classes(self.classes_).decode(logits) for logits in self._outputs(X)]
        )

    def _logits(self, X) -> Tensor:
        """Return the logits of all rows, in double precision."""
        return torch.cat([logits.double().cpu() for logits in self._outputs(X)])

    def _check_rows(
        self, X, y, weights: np.ndarray | None, X_val, y_val, groups, split_seed
    ) -> tuple[Rows, Classes]:
        """Check what a student is trained on.

        Sets classes_ and series_shape_. The validation rows are X_val and y_val where they are
        given, and otherwise held out from X. The weights are those of the rows of X.
        """
        view, codes, classes = self._check_training_set(X, y)
        if groups is not None:
            with naming("groups"):
                np.unique(as_column(groups, "groups"))
                check_consistent_length(codes, groups)
        train, valid = np.arange(len(codes)), np.arange(0)
        if X_val is not None or y_val is not None:
            series_val, codes_val = self._check_validation_set(X_val, y_val, classes)
            valid = len(codes) + np.arange(len(codes_val))
            view, codes = view.followed_by(series_val), np.concatenate([codes, codes_val])
        elif self.validation_fraction > 0:
            train, valid = hold_out(
                codes, self.validation_fraction, groups=groups, random_state=split_seed
            )
        if weights is not None:
            weights = normalized(weights, train, len(codes))
        of_train = None if weights is None else weights[train]
        classes = classes.weighted(self.class_weight, codes[train], of_train)
        return Rows(view, codes, train, valid, weights), classes

    def _check_training_set(self, X, y) -> tuple[View, np.ndarray, Classes]:
        given, shape = as_table(X, "X")
        if y is not None:
            with naming("y"):
                refuse_masked(y, "y")
                y = check_y(y, estimator=self)
                check_classification_targets(y)
        table, y = self._check_table(given, "X", y=y, reset=True)
        classes, codes = Classes.of(y)
        self.classes_ = classes.labels
        n_channels = self._channels(given, "X")
        self.series_shape_ = series_shape(table.shape[1], shape, n_channels, "X", "n_channels")
        per_column = shape is None and n_channels is None
        return View(table.reshape(len(table), *self.series_shape_), per_column), codes, classes

    def _check_validation_set(self, X_val, y_val, classes) -> tuple[np.ndarray, np.ndarray]:
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}. Give both, or neither.")
        series = self._check_series(X_val, "X_val")
        return series, classes.encode(y_val, len(series))

    def _fitted_state(self):
        return {
            **super()._fitted_state(),
            "classes_": Labels("K"),
            self._predicts_with: Net([("T", "C")], "K"),
        }
