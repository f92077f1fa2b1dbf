import copy

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd._estimators._weights import leave_out_weightless, normalized
from sklearn_gkd.networks import SeriesNet

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_gkd.PrivilegedInformationWarning")


@pytest.fixture
def weights():
    """A seventh of them is 0."""
    weights = np.random.RandomState(1).uniform(0.25, 4, size=120)
    weights[::7] = 0
    return weights


@pytest.fixture
def tiny():
    sizes = {"module__width": 8, "module__features": 8, "module__head": 8, "module__n_members": 2}
    return SeriesNet("ensemble", **sizes, lr=1e-2, max_epochs=1, batch_size=16)


@pytest.fixture
def series(series):
    """With privileged values that a regression converges on."""
    series.X_priv = (series.X_priv - 3000) / 1000
    return series


def proba(clf, series, rows=slice(None), **metadata):
    given = {"X_priv": series.X_priv[rows]} if isinstance(clf, GKDClassifier) else {}
    clf.fit(series.X[rows], series.y[rows], **given, **metadata)
    return clf.predict_proba(series.X)


CLASSIFIERS = {
    "distilled": lambda net: GKDClassifier(net, net, random_state=0),
    "split, balanced": lambda net: GKDClassifier(
        net, net, validation_fraction=0.3, class_weight="balanced", random_state=0
    ),
    "out of fold": lambda net: GKDClassifier(net, net, teacher_cv=2, random_state=0),
    "by a classifier": lambda net: GKDClassifier(
        LogisticRegression(), net, beta=0, teacher_view="privileged", random_state=0
    ),
    "on labels": lambda net: SeriesClassifier(net, validation_fraction=0.3, random_state=0),
}
EACH = pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)


@EACH
def test_a_row_of_weight_0_is_a_row_removed(series, tiny, weights, make):
    kept = weights > 0
    expected = proba(make(tiny), series, kept, sample_weight=weights[kept])
    X, X_priv = series.X.copy(), series.X_priv.copy()
    X[~kept] = np.nan
    X_priv[~kept] *= -1000
    of_rows = make(tiny)
    given = {"X_priv": X_priv} if isinstance(of_rows, GKDClassifier) else {}
    of_rows.fit(X, series.y, sample_weight=weights, **given)
    np.testing.assert_array_equal(of_rows.predict_proba(series.X), expected)


@EACH
def test_only_ratios_matter_and_equal_weights_are_none(series, tiny, weights, make):
    without = proba(make(tiny), series)
    for equal in (1, 0.1, np.ones(120), [7] * 120, pd.Series(np.full(120, 1e300))):
        np.testing.assert_array_equal(proba(make(tiny), series, sample_weight=equal), without)
    weighted = proba(make(tiny), series, sample_weight=weights)
    assert np.abs(weighted - without).max() > 1e-4
    for factor in (2.0**-60, 8):
        scaled = proba(make(tiny), series, sample_weight=factor * weights)
        np.testing.assert_array_equal(scaled, weighted)


def test_a_class_whose_rows_weigh_nothing_is_no_class(series, tiny):
    clf = SeriesClassifier(tiny).fit(series.X, series.y, sample_weight=series.y != "maize")
    assert clf.classes_.tolist() == ["forest", "meadow"]


def test_groups_and_tables_lose_the_rows_too(series, tiny, weights):
    kept = weights > 0
    clf = GKDClassifier(tiny, tiny, validation_fraction=0.3, teacher_cv=2, random_state=0)
    X = pd.DataFrame(series.X.reshape(120, -1), index=np.arange(120)[::-1]).add_prefix("c")
    X_priv = pd.DataFrame(series.X_priv.reshape(120, -1), index=X.index)
    y = pd.Series(series.y, index=X.index)
    groups = list(series.groups)
    of_rows = clf.fit(X, y, X_priv, sample_weight=list(weights), groups=groups).predict_proba(X)
    clf.fit(X[kept], y[kept], X_priv[kept], sample_weight=weights[kept], groups=series.groups[kept])
    np.testing.assert_array_equal(of_rows, clf.predict_proba(X))


def steps(clf, recorder, series, **metadata):
    """The trainings of a fit."""
    clf = clone(clf)
    clf._store = recorder
    recorder.trainings.clear()
    clf.fit(series.X, series.y, **metadata)
    return copy.copy(recorder.trainings)


def test_weights_are_1_on_average_over_the_labelled_training_rows(series, tiny, weights, recorder):
    clf = GKDClassifier(tiny, tiny, validation_fraction=0.25, distillation="always", random_state=0)
    unlabelled = {"X_unlabeled": series.X[:30], "X_priv_unlabeled": series.X_priv[:30]}
    kept = weights[weights > 0]
    given = {"X_priv": series.X_priv, "sample_weight": 5 * weights}
    for training in steps(clf, recorder, series, **given, **unlabelled):
        labelled = training.train[training.train < len(kept)]
        expected = kept / kept[labelled].mean()
        if training.role == "student":
            assert training.train[-30:].tolist() == list(range(len(kept), len(kept) + 30))
        np.testing.assert_allclose(training.sample_weight[: len(kept)], expected, rtol=1e-6)
        assert training.sample_weight[len(kept) :].tolist() == [1] * 30
        *_, in_batch = training.dataset(training.valid).tensors
        np.testing.assert_allclose(in_batch, expected[training.valid], rtol=1e-6)

    held_out = {"X_val": series.X[:9], "y_val": series.y[:9], "X_priv_val": series.X_priv[:9]}
    for training in steps(clf, recorder, series, **given, **held_out):
        assert training.sample_weight[training.train].mean() == pytest.approx(1)
        assert training.sample_weight[training.valid].tolist() == [1] * 9


def test_the_best_epoch_is_the_best_by_the_weights_of_its_validation_rows(series, small, recorder):
    weights = np.random.RandomState(0).choice([1.0, 50.0], size=120)
    clf = SeriesClassifier(small, validation_fraction=0.5, random_state=0)
    (training,) = steps(clf, recorder, series, sample_weight=weights)
    clf.fit(series.X, series.y, sample_weight=weights)
    valid = training.valid
    expected = clf.score(series.X[valid], series.y[valid], weights[valid])
    assert max(clf.network_.history[:, "valid_acc"]) == pytest.approx(expected)
    assert expected != pytest.approx(clf.score(series.X[valid], series.y[valid]))


@pytest.mark.parametrize("class_weight", [None, "balanced", {"maize": 3.0}])
@pytest.mark.parametrize("teacher", [None, "net"])
def test_weight_2_is_the_row_twice(series, tiny, recorder, class_weight, teacher):
    """In the loss of all rows, and in its gradient."""
    tiny.set_params(module__dropout=0.0)
    clf = SeriesClassifier(tiny, class_weight=class_weight, random_state=0)
    given = {}
    if teacher:
        clf = GKDClassifier(tiny, tiny, class_weight=class_weight, random_state=0)
        given = {"X_priv": series.X_priv}
    weights = np.random.RandomState(0).randint(1, 4, size=120)
    weights[100:] = 1
    training = steps(clf, recorder, series, sample_weight=weights, **given)[-1]
    *_, taught = training.targets
    if teacher:
        taught[::5] = 0
    # Balanced weights are those of the rows as often as they count.
    repeated = np.repeat(np.arange(120), weights)
    again = copy.copy(series)
    again.update({name: series[name][repeated] for name in ("X", "y", "X_priv")})
    given = {"X_priv": again.X_priv} if teacher else {}
    twice = steps(clf, recorder, again, **given)[-1]
    if class_weight:
        np.testing.assert_allclose(training.outcome.weights, twice.outcome.weights, rtol=1e-6)

    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(120, 2, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    features = torch.randn(120, 16, generator=rng, dtype=torch.float64, requires_grad=True)

    def loss_and_gradient(rows, targets, outcome, of_rows):
        loss = outcome.loss(training.weights)
        targets = [torch.as_tensor(target)[rows] for target in targets]
        value = loss((logits[rows], features[rows]), [*targets, *of_rows])
        return [value, *torch.autograd.grad(value, [logits, features], materialize_grads=True)]

    whole = np.arange(120)
    once = loss_and_gradient(
        whole, training.targets, training.outcome, [torch.as_tensor(training.sample_weight)]
    )
    each = loss_and_gradient(repeated, training.targets, twice.outcome, [])
    for value, expected in zip(once, each, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)


def test_a_classifier_that_teaches_is_fitted_with_the_weights(series, tiny, weights):
    clf = GKDClassifier(LogisticRegression(), tiny, beta=0, teacher_view="privileged")
    clf.fit(series.X, series.y, series.X_priv, sample_weight=weights)
    kept = weights > 0
    of_rows = (weights[kept] / weights[kept].mean()).astype("f4")
    table = series.X_priv[kept].reshape(kept.sum(), -1)
    alone = LogisticRegression().fit(table, series.y[kept], of_rows)
    np.testing.assert_allclose(clf.teacher_.coef_, alone.coef_, rtol=1e-4, atol=1e-6)


WITHOUT = {
    "kNN": KNeighborsClassifier(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}


@pytest.mark.parametrize("estimator", WITHOUT.values(), ids=WITHOUT)
def test_what_takes_no_weights_is_named(series, tiny, weights, estimator):
    name = type(estimator).__name__
    clf = GKDClassifier(estimator, tiny, beta=0)
    with pytest.raises(ValueError, match=f"sample_weight was given, but teacher={name}"):
        clf.fit(series.X, series.y, series.X_priv, sample_weight=weights)
    clf.fit(series.X, series.y, series.X_priv)
    clf.set_params(gamma=0).fit(series.X, series.y, series.X_priv, sample_weight=weights)
    wrapped = IgnorePrivileged(estimator)
    with pytest.raises(ValueError, match=f"sample_weight was given, but estimator={name}"):
        wrapped.fit(series.X, series.y, series.X_priv, sample_weight=weights)
    wrapped.fit(series.X, series.y, series.X_priv)


def test_a_pipeline_takes_weights_that_a_step_requests(series, tiny, weights):
    table = series.X.reshape(120, -1)
    scaled = StandardScaler().fit_transform(table)
    expected = LogisticRegression().fit(scaled, series.y, weights).coef_
    with sklearn.config_context(enable_metadata_routing=True):
        last = LogisticRegression().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), last)
        wrapped = IgnorePrivileged(pipeline).fit(series.X, series.y, sample_weight=weights)
        np.testing.assert_allclose(wrapped.estimator_[-1].coef_, expected)
        GKDClassifier(pipeline, tiny, beta=0).fit(
            series.X, series.y, series.X_priv, sample_weight=weights
        )


def test_a_fitted_teacher_needs_no_weights(series, tiny, weights):
    both = np.concatenate([series.X.reshape(120, -1), series.X_priv.reshape(120, -1)], axis=1)
    teacher = FrozenEstimator(KNeighborsClassifier().fit(both, series.y))
    clf = GKDClassifier(teacher, tiny, beta=0)
    clf.fit(series.X, series.y, series.X_priv, sample_weight=weights)


def test_ignore_privileged_hands_weights_on(series, weights):
    forest = RandomForestClassifier(5, random_state=0)
    wrapped = IgnorePrivileged(forest)
    wrapped.fit(series.X, series.y, X_priv=series.X_priv, sample_weight=weights)
    table = series.X.reshape(120, -1)
    np.testing.assert_array_equal(
        wrapped.predict_proba(series.X), forest.fit(table, series.y, weights).predict_proba(table)
    )


BAD = {
    "negative": -np.ones(120),
    "one negative": np.r_[np.ones(119), -1e-9],
    "NaN": np.r_[np.nan, np.ones(119)],
    "inf": np.r_[np.inf, np.ones(119)],
    "too short": np.ones(119),
    "a column": np.ones((120, 1)),
    "zeros": np.zeros(120),
    "text": ["heavy"] * 120,
    "nothing": [],
    "a number below 0": -1.0,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", [GKDClassifier, SeriesClassifier])
def test_wrong_weights_are_named(series, tiny, kind, bad):
    clf = kind(tiny)
    with pytest.raises(ValueError, match=r"\bsample_weight\b"):
        clf.fit(series.X, series.y, sample_weight=bad)
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize("name", ["y", "X_priv", "groups"])
def test_rows_that_cannot_be_left_out_are_named(series, tiny, weights, name):
    given = {"y": series.y, "X_priv": series.X_priv, "groups": series.groups}
    given[name] = given[name][:-1]
    with pytest.raises(ValueError, match=f"{name} has 119 rows and X has 120"):
        GKDClassifier(tiny, tiny).fit(series.X, **given, sample_weight=weights)


def test_a_cv_of_row_numbers_is_refused_where_rows_are_left_out(series, tiny, weights):
    numbers = np.arange(120)
    in_rows = list(StratifiedKFold(2).split(series.X, series.y))
    for cv in (in_rows, PredefinedSplit(numbers % 2)):
        clf = GKDClassifier(tiny, tiny, teacher_cv=cv)
        clf.fit(series.X, series.y, series.X_priv, sample_weight=weights + 1)
        with pytest.raises(ValueError, match="teacher_cv numbers the rows of X"):
            clf.fit(series.X, series.y, series.X_priv, sample_weight=weights)


def test_what_was_given_is_not_changed(weights):
    before = weights.copy()
    X = np.arange(240).reshape(120, 2)
    checked, (kept, y, nothing) = leave_out_weightless(weights, X, y=list(range(120)), z=None)
    normalized(checked, np.arange(10), 130)
    np.testing.assert_array_equal(weights, before)
    assert kept[:, 0].tolist() == [2 * row for row in y] == (2 * np.flatnonzero(weights)).tolist()
    assert nothing is None
    assert leave_out_weightless(None, X, y=None) == (None, [X, None])
