"""Baselines and controls of `evaluation.privileged_gain`: a function for each, listed in `FITS`.

Each takes an unfitted `GKDClassifier` or `GKDRegressor`, whose random_state is the seed of the
split, and the split, and returns what it predicts for the test rows. Nets take as many steps as the
estimator's student or, where max_epochs is None, the passes that suit their own rows.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.base import is_regressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.compat import get_feature_names, num_samples, safe_indexing
from sklearn_gkd._common.labels import read_channels
from sklearn_gkd._common.series import Shape, as_table, series_shape
from sklearn_gkd._estimators._base import BUDGET
from sklearn_gkd._estimators._baselines import SeriesClassifier, SeriesRegressor
from sklearn_gkd._estimators._ignoring import IgnorePrivileged
from sklearn_gkd._estimators._privileged import Pair, has_information
from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._training.resolving import with_sources
from sklearn_gkd.evaluation import _budget as budget
from sklearn_gkd.evaluation._protocol import quantity_scores, scores
from sklearn_gkd.exceptions import PrivilegedInformationWarning


class Split(NamedTuple):
    """Training rows, and what is known of the test rows; only the teacher reads X_priv_test."""

    X: Any
    y: np.ndarray
    X_priv: Any
    groups: np.ndarray | None
    X_unlabeled: Any
    X_priv_unlabeled: Any
    X_test: Any
    X_priv_test: Any


@dataclass(frozen=True)
class Predicted:
    """What a method predicts: the classes, and the probability (n, n_classes) of each."""

    classes: np.ndarray
    proba: np.ndarray

    @property
    def y_pred(self) -> np.ndarray:
        """The likeliest class of each row."""
        return self.classes[self.proba.argmax(axis=1)]

    def scores(self, y_true: np.ndarray) -> dict[str, float]:
        """Return the measures of `scores`."""
        return scores(y_true, self.y_pred, self.proba, classes=self.classes)


@dataclass(frozen=True)
class PredictedNumbers:
    """What a method predicts of a quantity, (n, k)."""

    y_pred: np.ndarray

    def scores(self, y_true: np.ndarray) -> dict[str, float]:
        """Return the measures of `quantity_scores`."""
        return quantity_scores(y_true, self.y_pred)


def forest(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by a random forest on X."""
    seed = estimator.random_state
    if is_regressor(estimator):
        forest = RandomForestRegressor(random_state=seed)
        y = split.y if split.y.shape[1] > 1 else split.y.ravel()
    else:
        forest = RandomForestClassifier(class_weight=estimator.class_weight, random_state=seed)
        y = split.y
    return _predicted(IgnorePrivileged(forest).fit(split.X, y), split)


def student_alone(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by the student, trained without a teacher."""
    n_epochs, patience = budget.as_many_steps(estimator, split, estimator._net("student"))
    budget.set_student_epochs(estimator, n_epochs)
    estimator.set_params(n_iter_no_change=patience)
    return _without_teacher(estimator, split)


def student_alone_longer(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by the student alone, trained for the steps of teacher and student together.

    A teacher that is no net, or whose steps fit sets, counts as many as the student.
    """
    estimator.set_params(n_iter_no_change=None)
    net, n_steps = estimator._net("student"), budget.student_steps(estimator, split)
    n_rows, teacher = budget.n_labelled(estimator, split), estimator._teacher()
    if n_steps is None:
        _without_teacher(estimator, split)
        n_epochs = 2 * estimator.n_iter_
    else:
        of_teacher = budget.steps(teacher, n_rows) if isinstance(teacher, NeuralNet) else None
        n_epochs = budget.epochs(n_steps + (of_teacher or n_steps), net, n_rows)
    budget.set_student_epochs(estimator, n_epochs)
    return _without_teacher(estimator, split)


def distillation(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by the estimator as it is; that its trial says no is no news among others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivilegedInformationWarning)
        return _predicted(_fit(estimator, split), split)


def estimator_and_teacher(estimator: TaughtEstimator, split: Split) -> tuple[Any, Any]:
    """Predict by the estimator, and by its teacher, which sees X_priv of the test rows."""
    predicted = distillation(estimator, split)
    views = split.X_test, split.X_priv_test
    if is_regressor(estimator):
        return predicted, PredictedNumbers(estimator.teacher_predict(*views))
    return predicted, Predicted(estimator.classes_, estimator.teacher_predict_proba(*views))


def permuted(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by the estimator, fitted with the rows of X_priv that are known in another order."""
    rng = check_random_state(estimator.random_state)
    X_priv, unlabeled = _shuffled(split.X_priv, rng), split.X_priv_unlabeled
    if unlabeled is not None:
        unlabeled = _shuffled(unlabeled, rng)
    others = split._replace(X_priv=X_priv, X_priv_unlabeled=unlabeled)
    return distillation(estimator.set_params(distillation="always"), others)


def self_distillation(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by the estimator, with X in the place of X_priv, in all rows.

    The teacher still has as many views, and so as many features, as the estimator's.
    """
    estimator.set_params(priv_transformer=None, n_channels_priv=estimator.n_channels)
    estimator.set_params(priv_sources=None, distillation="always")
    seen_twice = split._replace(X_priv=split.X, X_priv_unlabeled=split.X_unlabeled)
    return distillation(estimator, seen_twice)


def imputation(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by a net on X and on X_priv as regressed from X, in training rows out of fold.

    Pairs without a label are regressed from too. A net trained on X_priv itself would rely on it,
    and predict far worse from what is regressed.
    """
    tables = _tables(estimator, split)
    regressed = [_regress(tables, source, split.groups) for source in tables.sources]
    imputed, imputed_test = map(np.hstack, zip(*regressed, strict=True))
    return _predict_by_both(estimator, split, tables, imputed, imputed_test, dropped=0.0)


def modality_dropout(estimator: TaughtEstimator, split: Split) -> Any:
    """Predict by a net on both views, trained without X_priv in half of the rows of a batch.

    A row without X_priv has its mean. Pairs without a label cannot be trained on.
    """
    tables = _tables(estimator, split)
    priv = np.hstack(tables.sources)
    mean = np.nanmean(priv, axis=0)
    priv = np.where(np.isnan(priv), mean, priv)
    absent = np.zeros((len(tables.X_test), len(mean)))
    return _predict_by_both(estimator, split, tables, priv, absent, dropped=0.5)


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
"""The methods whose predictions each function returns."""


def fits_of_sources(estimator: TaughtEstimator) -> dict[Callable[..., Any], tuple[str, ...]]:
    """Return what tells what each of several sources adds: fits without it, and with it alone."""
    names = [name for name, *_ in estimator.priv_sources or ()]
    fits: dict[Callable[..., Any], tuple[str, ...]] = {}
    if len(names) > 1:
        fits |= {partial(by_sources, kept={name}): (f"{name} alone",) for name in names}
    if len(names) > 2:
        fits |= {partial(by_sources, kept={*names} - {name}): (f"no {name}",) for name in names}
    return fits


def by_sources(estimator: TaughtEstimator, split: Split, kept: set[str]) -> Any:
    """Predict by the estimator, taught by some of its sources alone."""
    sources = [source for source in estimator.priv_sources if source[0] in kept]
    return distillation(estimator.set_params(priv_sources=sources), split)


def _predicted(fitted: Any, split: Split) -> Any:
    if is_regressor(fitted):
        return PredictedNumbers(fitted.predict(split.X_test))
    return Predicted(fitted.classes_, fitted.predict_proba(split.X_test))


def _without_teacher(estimator: TaughtEstimator, split: Split) -> Any:
    estimator.set_params(beta=0, gamma=0).fit(split.X, split.y, groups=split.groups)
    return _predicted(estimator, split)


def _fit(estimator: TaughtEstimator, split: Split) -> Any:
    return estimator.fit(
        split.X,
        split.y,
        X_priv=split.X_priv,
        groups=split.groups,
        X_unlabeled=split.X_unlabeled,
        X_priv_unlabeled=split.X_priv_unlabeled,
    )


def _shuffled(X_priv: Any, rng: np.random.RandomState) -> Any:
    """Return the rows that have information in another order, and the others where they are."""
    order = np.arange(num_samples(X_priv))
    known = np.flatnonzero(has_information(X_priv, "X_priv"))
    order[known] = rng.permutation(known)
    permuted = safe_indexing(X_priv, order)
    return permuted.set_axis(X_priv.index) if isinstance(X_priv, pd.DataFrame) else permuted


class Tables(NamedTuple):
    """Both views as tables: n rows, those with a label first, then the pairs without one."""

    X: np.ndarray  # (n, T * C)
    X_test: np.ndarray
    sources: list[np.ndarray]  # of X_priv, each (n, T' * C'), transformed; NaN where a row lacks it
    shapes: list[Shape]  # of X and of each source


def _tables(estimator: TaughtEstimator, split: Split) -> Tables:
    X, shape = as_table(split.X, "X")
    X_test, _ = as_table(split.X_test, "X")
    X, X_test = np.asarray(X), np.asarray(X_test)
    n_channels = read_channels(get_feature_names(split.X), estimator.n_channels, "X", "n_channels")
    shape = series_shape(X.shape[1], shape, n_channels, "X", "n_channels")
    rows, seed = np.arange(len(X)), estimator.random_state
    reader = estimator._privileged_reader(split.X_priv, split.y, rows, seed)
    views, _ = reader.read_pairs(
        Pair("X", split.X, "X_priv", split.X_priv),
        Pair("X_unlabeled", split.X_unlabeled, "X_priv_unlabeled", split.X_priv_unlabeled),
    )
    if split.X_unlabeled is not None:
        X = np.vstack([X, np.asarray(as_table(split.X_unlabeled, "X_unlabeled")[0])])
    sources = [view.series.reshape(len(X), -1) for view in views]
    return Tables(X, X_test, sources, [shape, *(view.shape for view in views)])


def _regress(
    tables: Tables, source: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return a source as regressed from X, of the n rows and of the test rows.

    Rows that have the source are regressed by rows of other groups, and the others by all of them.
    """
    X, known = tables.X, ~np.isnan(source).all(axis=1)
    groups = _groups_of_all(groups, len(X))[known]
    regressor = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
    folds = GroupKFold(min(5, len(np.unique(groups)))).split(X[known], groups=groups)
    out_of_fold = cross_val_predict(regressor, X[known], source[known], cv=list(folds))
    regressor.fit(X[known], source[known])

    def impute(X: np.ndarray) -> np.ndarray:
        return regressor.predict(X).reshape(len(X), -1)  # of a single column it is 1-D

    imputed = np.empty(source.shape)
    imputed[known] = out_of_fold.reshape(known.sum(), -1)
    if not known.all():
        imputed[~known] = impute(X[~known])
    return imputed, impute(tables.X_test)


def _groups_of_all(groups: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Return the labelled rows' groups; each row that has none is a group of its own."""
    of_all = np.arange(n_rows)
    if groups is not None:
        of_all[: len(groups)] = n_rows + np.unique(groups, return_inverse=True)[1]
    return of_all


def _predict_by_both(
    estimator: TaughtEstimator,
    split: Split,
    tables: Tables,
    priv: np.ndarray,
    priv_test: np.ndarray,
    *,
    dropped: float,
) -> Any:
    """Predict by a net on X and this X_priv, side by side in a table."""
    net = _net_on_both(estimator, split, tables.shapes, dropped)
    train = np.hstack([tables.X, priv])[: len(split.y)]
    net.fit(train, split.y, groups=split.groups)
    both = np.hstack([tables.X_test, priv_test])
    return _predicted(net, split._replace(X_test=both))


def _net_on_both(
    estimator: TaughtEstimator, split: Split, view_shapes: Sequence[Shape], dropped: float
) -> Any:
    """Return the teacher's net or, where that does not see both views, the student's, on both."""
    of_teacher = estimator.teacher_view == "both" and isinstance(estimator._teacher(), NeuralNet)
    net = estimator._net("teacher" if of_teacher else "student")
    if not of_teacher:  # a network of series, which sees the pixels of an image as steps
        view_shapes = [(math.prod(sizes), n_channels) for *sizes, n_channels in view_shapes]
    with_sources(net, len(view_shapes) - 1)
    of_series = SeriesRegressor if is_regressor(estimator) else SeriesClassifier
    shared = of_series().get_params(deep=False).keys() & estimator.get_params(deep=False)
    params = {name: getattr(estimator, name) for name in shared - {"n_channels", *BUDGET}}
    net.max_epochs, params["n_iter_no_change"] = budget.as_many_steps(estimator, split, net)
    net.set_params(
        module=SideBySide,
        module__of_views=net.module,
        module__view_shapes=view_shapes,
        module__dropped=dropped,
    )
    return of_series(net, **params)


class SideBySide(nn.Module):
    """A network of several views that looks at one table with all of them, side by side.

    Parameters
    ----------
    shapes, n_classes
        See `networks`; the only shape is the table's.
    of_views : nn.Module class
        The network of several views.
    view_shapes : list of (T, C) or (H, W, C)
        Of the views.
    dropped : float
        Share of the training rows whose views but the first are set to 0, their mean. If there is
        one, they are 0 in all rows that are not trained on.
    **params
        Parameters of the network.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        n_classes: int,
        *,
        of_views: Callable[..., nn.Module],
        view_shapes: Sequence[Shape],
        dropped: float,
        **params: Any,
    ):
        super().__init__()
        self.network = of_views(view_shapes, n_classes, **params)
        self.view_shapes = view_shapes
        self.dropped = dropped

    def forward(self, table: Tensor) -> Any:
        """Return what the network does."""
        x, *priv = table.flatten(1).split([np.prod(shape) for shape in self.view_shapes], dim=1)
        if self.dropped:
            kept = torch.rand(len(x), 1, device=x.device) >= self.dropped
            priv = [source * (kept & self.training) for source in priv]
        views = zip([x, *priv], self.view_shapes, strict=True)
        return self.network(*(view.unflatten(1, shape) for view, shape in views))
