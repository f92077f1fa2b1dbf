"""Weights of rows reach the classifiers through what scikit-learn's users put around them."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.metadata_routing import get_routing_for_object

from sklearn_gkd import GKDClassifier, GKDGridSearchCV, IgnorePrivileged, SeriesClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_gkd.PrivilegedInformationWarning")
EACH_ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])


@pytest.fixture(params=["GKD", "series", "ignoring"])
def clf(request, small):
    small.set_params(max_epochs=4)
    return {
        "GKD": GKDClassifier(small, small, random_state=0),
        "series": SeriesClassifier(small, random_state=0),
        "ignoring": IgnorePrivileged(LogisticRegression()),
    }[request.param]


@pytest.fixture
def gkd(small):
    return GKDClassifier(clone(small), small.set_params(max_epochs=2), random_state=0)


@pytest.fixture
def table(series):
    """The series, standardised, as a table."""
    return (series.X.reshape(120, -1) + 14.5).astype(float)


@pytest.fixture
def weights():
    return np.random.RandomState(0).choice([0, 0.5, 1, 4], size=120)


META = {
    "AdaBoostClassifier": lambda clf: AdaBoostClassifier(clf, n_estimators=2, random_state=0),
    "BaggingClassifier": lambda clf: BaggingClassifier(clf, n_estimators=2, random_state=0),
    "CalibratedClassifierCV": lambda clf: CalibratedClassifierCV(clf, cv=2),
    "VotingClassifier": lambda clf: VotingClassifier([("a", clf), ("b", clf)], voting="soft"),
}


@EACH_ROUTING
@pytest.mark.parametrize("meta", META.values(), ids=META)
def test_meta_estimators_take_weights(table, series, clf, weights, meta, routing):
    if meta is META["AdaBoostClassifier"]:
        weights = weights + 0.25  # of which it takes the logarithm
        routing = False  # which it does not know
    with sklearn.config_context(enable_metadata_routing=routing):
        if isinstance(clf, IgnorePrivileged) and routing:
            clf.estimator.set_fit_request(sample_weight=True)
        fitted = meta(clf).fit(table, series.y, sample_weight=weights)
        other = meta(clf).fit(table, series.y, sample_weight=weights[::-1])
    assert fitted.classes_.tolist() == ["forest", "maize", "meadow"]
    assert np.abs(fitted.predict_proba(table) - other.predict_proba(table)).max() > 1e-4


@EACH_ROUTING
def test_a_vote_is_of_classifiers_with_the_weights(table, series, clf, weights, routing):
    expected = clone(clf).fit(table, series.y, sample_weight=weights).predict_proba(table)
    with sklearn.config_context(enable_metadata_routing=routing):
        vote = VotingClassifier([("a", clf)], voting="soft")
        vote.fit(table, series.y, sample_weight=weights)
    np.testing.assert_array_equal(vote.predict_proba(table), expected)


def test_a_search_slices_weights_with_their_rows(series, gkd, weights):
    folds = list(StratifiedKFold(2).split(series.X, series.y))
    with sklearn.config_context(enable_metadata_routing=True):
        gkd.set_score_request(sample_weight=False)
        search = GridSearchCV(gkd, {"gamma": [0.0, 10.0]}, cv=folds)
        search.fit(series.X, series.y, X_priv=series.X_priv, sample_weight=weights)
    for i, (train, test) in enumerate(folds):
        for j, gamma in enumerate([0.0, 10.0]):
            alone = clone(gkd).set_params(gamma=gamma)
            alone.fit(
                series.X[train],
                series.y[train],
                series.X_priv[train],
                sample_weight=weights[train],
            )
            score = alone.score(series.X[test], series.y[test])
            assert search.cv_results_[f"split{i}_test_score"][j] == pytest.approx(score)


def test_weights_are_routed_by_default(gkd, series, weights):
    for estimator in (gkd, SeriesClassifier(), IgnorePrivileged(gkd)):
        assert get_routing_for_object(estimator).consumes("fit", ["sample_weight"])
    pipeline = make_pipeline(FunctionTransformer(), gkd)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.fit(series.X, series.y, X_priv=series.X_priv, sample_weight=weights)
    gkd.fit(series.X, series.y, X_priv=series.X_priv, sample_weight=weights)
    np.testing.assert_array_equal(pipeline.predict_proba(series.X), gkd.predict_proba(series.X))


def test_a_cohort_learns_with_the_weights(series, gkd, weights):
    gkd.set_params(validation_fraction=0.3)
    grid = {"alpha": [0.5, 1], "gamma": [0, 1, 10]}
    params = {"X_priv": series.X_priv, "sample_weight": weights}
    search, expected = (
        kind(gkd, grid, cv=2).fit(series.X, series.y, **params)
        for kind in (GKDGridSearchCV, GridSearchCV)
    )
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(scores, expected.cv_results_["mean_test_score"], atol=0.02)
    plain = GKDGridSearchCV(gkd, grid, cv=2).fit(series.X, series.y, X_priv=series.X_priv)
    assert not np.allclose(scores, plain.cv_results_["mean_test_score"])


@pytest.mark.parametrize("kept", ["memory", "checkpoint"])
def test_what_is_kept_is_kept_for_its_weights(series, gkd, weights, tmp_path, kept):
    def proba(clf, **given):
        clf.fit(series.X, series.y, X_priv=series.X_priv, **given)
        return clf.predict_proba(series.X)

    given = [{}, {"sample_weight": weights}, {"sample_weight": weights + 1}]
    expected = [proba(gkd, **metadata) for metadata in given]
    keeping = clone(gkd).set_params(**{kept: str(tmp_path)})
    for metadata, alone in [*zip(given, expected, strict=True), (given[1], expected[1])]:
        np.testing.assert_array_equal(proba(keeping, **metadata), alone)
