"""What `evaluation.privileged_gain` compares: one function a fit. Apart, to be read as one table.

Each takes an unfitted `GKDClassifier`, whose random_state is the seed of the split, and the split.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.compat import num_samples, safe_indexing
from sklearn_gkd._common.series import as_table, series_shape
from sklearn_gkd._estimators._baselines import IgnorePrivileged, SeriesClassifier
from sklearn_gkd._estimators._privileged import PrivilegedReader, has_information


class Split(NamedTuple):
    """Training rows, and what of the test rows is known; only the bound reads X_priv_test."""

    X: Any
    y: np.ndarray
    X_priv: Any
    groups: np.ndarray | None
    X_unlabeled: Any
    X_priv_unlabeled: Any
    X_test: Any
    X_priv_test: Any


def forest(estimator, split: Split) -> np.ndarray:
    """Predict by a random forest on X."""
    forest = RandomForestClassifier(
        class_weight=estimator.class_weight, random_state=estimator.random_state
    )
    return IgnorePrivileged(forest).fit(split.X, split.y).predict(split.X_test)


def student_alone(estimator, split: Split) -> np.ndarray:
    """Predict by the student, trained without a teacher."""
    estimator.set_params(beta=0, gamma=0)
    return estimator.fit(split.X, split.y, groups=split.groups).predict(split.X_test)


def student_alone_longer(estimator, split: Split) -> np.ndarray:
    """Predict by the student alone, trained for the epochs of teacher and student together.

    A teacher that is no net has no epochs; it counts as many as the student.
    """
    student = estimator._net("student")
    teacher_epochs = getattr(estimator._teacher(), "max_epochs", student.max_epochs)
    student.set_params(max_epochs=student.max_epochs + teacher_epochs)
    return student_alone(estimator.set_params(student=student, n_iter_no_change=None), split)


def estimator_and_teacher(estimator, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Predict by the estimator, and by its teacher, which sees X_priv of the test rows."""
    _fit(estimator, split)
    by_teacher = estimator.teacher_predict_proba(split.X_test, split.X_priv_test)
    return estimator.predict(split.X_test), estimator.classes_[by_teacher.argmax(axis=1)]


def permuted(estimator, split: Split) -> np.ndarray:
    """Predict by the estimator, fitted with X_priv of other rows where a row has any."""
    rng = check_random_state(estimator.random_state)
    X_priv, unlabeled = _shuffled(split.X_priv, rng), split.X_priv_unlabeled
    if unlabeled is not None:
        unlabeled = _shuffled(unlabeled, rng)
    others = split._replace(X_priv=X_priv, X_priv_unlabeled=unlabeled)
    return _fit(estimator, others).predict(split.X_test)


def self_distillation(estimator, split: Split) -> np.ndarray:
    """Predict by the estimator, with X in the place of X_priv, in all rows.

    The teacher still has as many views, and so as many features, as the estimator's.
    """
    estimator.set_params(priv_transformer=None, n_channels_priv=estimator.n_channels)
    seen_twice = split._replace(X_priv=split.X, X_priv_unlabeled=split.X_unlabeled)
    return _fit(estimator, seen_twice).predict(split.X_test)


def imputation(estimator, split: Split) -> np.ndarray:
    """Predict by a net on X and on X_priv as regressed from X, in training rows out of fold.

    Pairs without a label are regressed from too. A net trained on X_priv itself would rely on it,
    and predict far worse from what is regressed.
    """
    X, X_test, priv, known, shapes = _tables(estimator, split)
    n_labelled = len(split.y)
    groups = np.arange(len(X))
    if split.groups is not None:
        groups[:n_labelled] = len(X) + np.unique(split.groups, return_inverse=True)[1]
    regressor = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
    folds = GroupKFold(min(5, len(np.unique(groups[known]))))
    imputed = np.empty((len(X), priv[0].size))
    imputed[known] = cross_val_predict(
        regressor, X[known], priv[known], groups=groups[known], cv=folds
    ).reshape(known.sum(), -1)
    regressor.fit(X[known], priv[known])
    if not known.all():
        imputed[~known] = regressor.predict(X[~known]).reshape(np.sum(~known), -1)
    net = _net_on_both(estimator, shapes, dropped=0.0)
    net.fit(_table(X, imputed)[:n_labelled], split.y, groups=split.groups)
    return net.predict(_table(X_test, regressor.predict(X_test)))


def modality_dropout(estimator, split: Split) -> np.ndarray:
    """Predict by a net on both views, trained without X_priv in half of the rows of a batch.

    A row without X_priv has its mean. Pairs without a label cannot be trained on.
    """
    X, X_test, priv, known, shapes = _tables(estimator, split)
    priv[~known] = priv[known].mean(axis=0)
    net = _net_on_both(estimator, shapes, dropped=0.5)
    net.fit(_table(X, priv)[: len(split.y)], split.y, groups=split.groups)
    return net.predict(_table(X_test, np.zeros((len(X_test), priv.shape[1]))))


FITS: dict[Callable[..., Any], tuple[str, ...]] = {
    forest: ("forest",),
    student_alone: ("student alone",),
    student_alone_longer: ("student alone, longer",),
    estimator_and_teacher: ("estimator", "teacher"),
    permuted: ("permuted X_priv",),
    self_distillation: ("self-distillation",),
    imputation: ("imputation",),
    modality_dropout: ("modality dropout",),
}
"""The methods that each fit predicts by."""


class SideBySide(nn.Module):
    """A network of two views that looks at one table with both of them, side by side.

    Parameters
    ----------
    shapes, n_classes
        See `networks`; the only shape is the table's.
    two_views : nn.Module class
        The network of two views.
    view_shapes : pair of (T, C)
        Of the two views.
    dropped : float
        Share of the training rows whose second view is set to 0, its mean. If there is one, the
        second view is 0 in all rows that are not trained on.
    **params
        Parameters of the network.
    """

    def __init__(self, shapes, n_classes, *, two_views, view_shapes, dropped, **params):
        super().__init__()
        self.network = two_views(view_shapes, n_classes, **params)
        self.view_shapes = view_shapes
        self.dropped = dropped

    def forward(self, table: Tensor):
        """Return what the network does."""
        x, priv = table.flatten(1).split([np.prod(shape) for shape in self.view_shapes], dim=1)
        if self.dropped:
            kept = torch.rand(len(priv), 1, device=priv.device) >= self.dropped
            priv = priv * (kept & self.training)
        x_shape, priv_shape = self.view_shapes
        return self.network(x.unflatten(1, x_shape), priv.unflatten(1, priv_shape))


def _fit(estimator, split: Split):
    return estimator.fit(
        split.X,
        split.y,
        X_priv=split.X_priv,
        groups=split.groups,
        X_unlabeled=split.X_unlabeled,
        X_priv_unlabeled=split.X_priv_unlabeled,
    )


def _shuffled(X_priv, rng: np.random.RandomState):
    """Return the rows that have information in another order, and the others where they are."""
    order = np.arange(num_samples(X_priv))
    known = np.flatnonzero(has_information(X_priv, "X_priv"))
    order[known] = rng.permutation(known)
    return safe_indexing(X_priv, order)


def _tables(estimator, split: Split):
    """Return the views as tables, labelled rows first, and what is known of them.

    Returns
    -------
    X, X_test : ndarray of shape (n, T * C)
        Of the training rows and the pairs without a label; of the test rows.
    priv : ndarray of shape (n, T' * C')
        X_priv, transformed; 0 in a row that has none.
    known : ndarray of bool of shape (n,)
        The rows that have X_priv.
    shapes : list of (T, C)
        Of X and of X_priv.
    """
    X, shape = as_table(split.X, "X")
    X_test, _ = as_table(split.X_test, "X")
    X, X_test = np.asarray(X), np.asarray(X_test)
    shape = series_shape(X.shape[1], shape, estimator.n_channels, "X", "n_channels")
    reader = PrivilegedReader(estimator.priv_transformer, estimator.n_channels_priv)
    reader.fit(split.X_priv, split.y, np.arange(len(X)))
    view, known = reader.read(split.X_priv, "X_priv")
    priv = view.series
    if split.X_unlabeled is not None:
        X = np.vstack([X, np.asarray(as_table(split.X_unlabeled, "X_unlabeled")[0])])
        more, more_known = reader.read(split.X_priv_unlabeled, "X_priv_unlabeled")
        priv, known = np.concatenate([priv, more.series]), np.append(known, more_known)
    return X, X_test, priv.reshape(len(X), -1), known, [shape, view.shape]


def _table(X: np.ndarray, priv: np.ndarray) -> np.ndarray:
    """Return both views side by side; regressing one column gives a priv of one dimension."""
    return np.hstack([X, priv.reshape(len(X), -1)])


def _net_on_both(estimator, view_shapes, dropped: float) -> SeriesClassifier:
    """Return the teacher's net or, where that does not see both views, the student's, on both."""
    teacher_sees_both = estimator.teacher_view == "both"
    is_net = isinstance(estimator._teacher(), NeuralNet)
    net = estimator._net("teacher" if teacher_sees_both and is_net else "student")
    net.set_params(
        module=SideBySide,
        module__two_views=net.module,
        module__view_shapes=view_shapes,
        module__dropped=dropped,
    )
    shared = SeriesClassifier().get_params(deep=False).keys() & estimator.get_params(deep=False)
    params = {name: getattr(estimator, name) for name in shared - {"n_channels"}}
    return SeriesClassifier(net, **params)
