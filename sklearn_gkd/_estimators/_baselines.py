"""Baselines of the method: one net on one view, of classes and of a quantity."""

import os
from typing import Any, ClassVar, Self

import torch
from skorch import NeuralNet
from torch import nn

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import fit_context
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._estimators._base import NetEstimator
from sklearn_gkd._estimators._net_classifier import NetClassifier
from sklearn_gkd._estimators._net_regressor import NetRegressor
from sklearn_gkd._estimators._weights import leave_out_weightless
from sklearn_gkd._training.callbacks import check_callbacks
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.resolving import feature_width
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.networks._architectures import MLP


class SeriesEstimator(NetEstimator):
    """Base of the estimators of one net on one series."""

    _predicts_with = "network_"
    _networks = ("network",)

    __metadata_request__fit: ClassVar[dict[str, bool]] = {
        "sample_weight": True,
        "groups": True,
        "X_val": True,
        "y_val": True,
    }

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "network": [str, NeuralNet, callable],
    }

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train the net on the labels.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series.
        y : array-like of shape (n,), or (n, k) of a regressor
            Class of each row, or its number or numbers.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row, as in `GKDClassifier.fit`.
        groups : array-like of shape (n,), default=None
            No group has rows on both sides of the split into training and validation rows.
        X_val, y_val : array-like, default=None
            Validation rows, instead of those that `validation_fraction` holds out.

        Returns
        -------
        self
            Itself, fitted.

        Raises
        ------
        ValueError
            Where an argument is not as described. The estimator is then as it was before.
        """
        task = Task.of_fit(self, X, y, 1)
        with fresh_fit(self):
            check_rows(X=X, y=y, sample_weight=sample_weight, groups=groups)
            check_rows(X_val=X_val, y_val=y_val)
            split_seed, seed = self._draw_seeds(2)
            weights, (X, y, groups) = leave_out_weightless(sample_weight, X, y=y, groups=groups)
            rows, target = self._check_rows(X, y, weights, X_val, y_val, groups, split_seed)
            self._warn_of_unused(len(rows.valid))
            net = self._net("network")
            if net.module is MLP and not hasattr(net, "module__feature_activation"):
                net.set_params(module__feature_activation=nn.ReLU)
            feature_width(net, "network", [rows.view.shape], target.n_outputs)
            check_callbacks(net, "network", len(rows.valid))
            self.network_ = self._fit_net(net, rows, target, seed, task)
        task.end({})
        return self


class SeriesClassifier(SeriesEstimator, NetClassifier):
    """One net on one series: the student without a teacher, or the paper's CNN and MLP competitors.

    Parameters
    ----------
    network : str, nn.Module class or skorch net, default="ensemble"
        As `GKDClassifier`'s student. "mlp" has a ReLU after its layer of features, as the paper's
        competitor does and its student does not.
    n_channels, max_epochs, batch_size, lr, validation_fraction, n_iter_no_change, class_weight, \
checkpoint, device, random_state, verbose : object
        See `GKDClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    network_ : skorch.NeuralNet
        The fitted net, with its ``history``.
    n_iter_ : int
        Number of epochs that it was trained for.
    series_shape_ : tuple of int
        (T, C) of the series.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, where X was a DataFrame.

    References
    ----------
    Ienco et al. (2020), "Generalized Knowledge Distillation for Multi-Sensor Remote Sensing
    Classification: an application to land cover mapping", Tables 2 to 4.

    Examples
    --------
    >>> from sklearn_gkd import SeriesClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> sits = make_sits(200, random_state=0)
    >>> clf = SeriesClassifier("cnn", max_epochs=1, random_state=0).fit(sits.X_s1, sits.y)
    >>> clf.predict_proba(sits.X_s1).shape
    (200, 7)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetClassifier._parameter_constraints,
        **SeriesEstimator._parameter_constraints,
    }

    def __init__(
        self,
        network: Any = "ensemble",
        *,
        n_channels: int | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        validation_fraction: float = 0.0,
        n_iter_no_change: int | None = None,
        class_weight: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.network = network
        self.n_channels = n_channels
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose


class SeriesRegressor(SeriesEstimator, NetRegressor):
    """One net on one series that predicts a quantity: the student without a teacher.

    Parameters
    ----------
    network : str, nn.Module class or skorch net, default="ensemble"
        As `GKDRegressor`'s student; "mlp" as in `SeriesClassifier`.
    loss, n_channels, max_epochs, batch_size, lr, validation_fraction, n_iter_no_change, \
checkpoint, device, random_state, verbose : object
        See `GKDRegressor`.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape () or (k,)
        Mean and standard deviation of the training rows' y, by which it is standardised.
    network_ : skorch.NeuralNet
        The fitted net, with its ``history``.
    n_iter_, series_shape_, n_features_in_, feature_names_in_
        As in `SeriesClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd import SeriesRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 6, 2))
    >>> reg = SeriesRegressor(max_epochs=2, random_state=0).fit(X, X[:, 0, 0] + 100)
    >>> y_pred, spread = reg.predict(X, return_std=True)
    >>> y_pred.shape, spread.shape
    ((100,), (100,))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetRegressor._parameter_constraints,
        **SeriesEstimator._parameter_constraints,
    }

    def __init__(
        self,
        network: Any = "ensemble",
        *,
        loss: str = "squared_error",
        n_channels: int | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        validation_fraction: float = 0.0,
        n_iter_no_change: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.network = network
        self.loss = loss
        self.n_channels = n_channels
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
