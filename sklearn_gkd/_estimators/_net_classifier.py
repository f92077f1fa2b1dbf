"""Base of the classifiers that predict by one fitted net."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from sklearn_gkd._common.checks import counted, naming
from sklearn_gkd._common.compat import StrOptions, check_y
from sklearn_gkd._common.fitted_state import Attribute, Labels, Net
from sklearn_gkd._common.series import refuse_masked
from sklearn_gkd._estimators._base import NetEstimator
from sklearn_gkd._estimators._targets import Classes
from sklearn_gkd._training.resolving import OF_CLASSES
from sklearn_gkd._training.torch_state import plain_torch


class NetClassifier(ClassifierMixin, NetEstimator):
    """Base of the classifiers that predict from one view by one fitted net."""

    _teaches_by = "predict_proba"
    _wrong_kind = RegressorMixin
    _criteria = OF_CLASSES

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    @plain_torch()
    def predict_proba(self, X: Any) -> np.ndarray:
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
    def predict_log_proba(self, X: Any) -> np.ndarray:
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
    def decision_function(self, X: Any) -> np.ndarray:
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
    def predict(self, X: Any) -> np.ndarray:
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
        return np.concatenate([self._target.decode(logits) for logits in self._outputs(X)])

    def _logits(self, X: Any) -> Tensor:
        """Return the logits of all rows, in double precision."""
        return torch.cat([logits.double().cpu() for logits in self._outputs(X)])

    def _read_y(self, y: Any) -> np.ndarray:
        with naming("y"):
            refuse_masked(y, "y")
            _refuse_missing(y)
            y = check_y(y, estimator=self)
            check_classification_targets(y)
        return y

    @property
    def _target(self) -> Classes:
        return Classes(self.classes_)

    def _targets_of(self, y: np.ndarray) -> tuple[Classes, np.ndarray]:
        classes, codes = Classes.of(y)
        self.classes_ = classes.labels
        return classes, codes

    def _weighed(
        self, classes: Any, codes: np.ndarray, train: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[Classes, np.ndarray]:
        return classes.weighted(self.class_weight, codes[train], sample_weight), codes

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            **super()._fitted_state(),
            "classes_": Labels("K"),
            self._predicts_with: Net([("T", "C")], "K"),
        }


def _refuse_missing(y: Any) -> None:
    """Raise a ValueError where rows have no class."""
    missing = np.flatnonzero(pd.isna(y))
    if y is not None and len(missing):
        raise ValueError(
            f"y has no class in {counted(len(missing), 'row')} (the first is row {missing[0]}). "
            "Leave these rows out, or give them as X_unlabeled and X_priv_unlabeled to an "
            "estimator that takes them."
        )
