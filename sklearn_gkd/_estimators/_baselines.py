"""Baselines of the method: one net on one view, and any classifier without X_priv."""

from collections.abc import Callable
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import nn

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import HasMethods, fit_context
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import as_table
from sklearn_gkd._estimators._net_classifier import NetClassifier
from sklearn_gkd._estimators._privileged import FIT_REQUEST
from sklearn_gkd._estimators._weights import check_takes_sample_weight, leave_out_weightless
from sklearn_gkd._training.callbacks import check_callbacks
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.resolving import feature_width
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.networks._architectures import MLP


class SeriesClassifier(NetClassifier):
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

    _predicts_with = "network_"
    _networks = ("network",)

    __metadata_request__fit: ClassVar[dict[str, bool]] = {
        "sample_weight": True,
        "groups": True,
        "X_val": True,
        "y_val": True,
    }

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetClassifier._parameter_constraints,
        "network": [str, NeuralNet, callable],
    }

    def __init__(
        self,
        network="ensemble",
        *,
        n_channels=None,
        max_epochs=None,
        batch_size=64,
        lr=1e-3,
        validation_fraction=0.0,
        n_iter_no_change=None,
        class_weight=None,
        checkpoint=None,
        device="auto",
        random_state=None,
        verbose=0,
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

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(self, X, y, *, sample_weight=None, groups=None, X_val=None, y_val=None):
        """Train the net on the labels.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series.
        y : array-like of shape (n,)
            Class of each row.
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
            rows, classes = self._check_rows(X, y, weights, X_val, y_val, groups, split_seed)
            self._warn_of_unused(len(rows.valid))
            net = self._net("network")
            if net.module is MLP and not hasattr(net, "module__feature_activation"):
                net.set_params(module__feature_activation=nn.ReLU)
            feature_width(net, "network", [rows.view.shape], classes.n_outputs)
            check_callbacks(net, "network", len(rows.valid))
            self.network_ = self._fit_net(net, rows, classes, seed, task)
        task.end({})
        return self


def _estimator_has(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(self.estimator, name)


class IgnorePrivileged(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Lets a classifier that knows nothing of X_priv take the same calls as `GKDClassifier`.

    Series of shape (n, T, C) reach it as tables (n, T * C): a `eo.GapFiller` belongs before it,
    not in it.

    Parameters
    ----------
    estimator : classifier
        Fitted on X and y alone.

    Attributes
    ----------
    estimator_ : classifier
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

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "estimator": [HasMethods(["fit", "predict"])],
    }

    def __init__(self, estimator):
        self.estimator = estimator

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X,
        y,
        X_priv=None,
        *,
        sample_weight=None,
        groups=None,
        X_unlabeled=None,
        X_priv_unlabeled=None,
        X_val=None,
        y_val=None,
        X_priv_val=None,
    ):
        """Fit the estimator on X and y.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            What prediction will have too.
        y : array-like of shape (n,)
            Class of each row.
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

    def __getattr__(self, name):
        """Hand on what the estimator has learnt."""
        learnt = name.endswith("_") and not name.startswith("_")
        if learnt and "estimator_" in vars(self):
            return getattr(self.estimator_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def predict(self, X):
        """Predict the class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict(as_table(X, "X")[0])

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
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
    def predict_log_proba(self, X):
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
    def decision_function(self, X):
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

    def score(self, X, y, sample_weight=None):
        """Return the estimator's own score: of a search, by its `scoring`; else the accuracy.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, n_features)
            As in `fit`.
        y : array-like of shape (n,)
            Class of each row.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float
            The higher, the better.
        """
        check_is_fitted(self)
        if not hasattr(self.estimator_, "score"):
            return super().score(X, y, sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(as_table(X, "X")[0], y, **weights)

    def __sklearn_tags__(self):
        tags = get_tags(self.estimator)
        tags.input_tags.three_d_array = True
        return tags
