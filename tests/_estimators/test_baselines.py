import copy
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.svm import LinearSVC
from torch import nn

from sklearn_gkd import IgnorePrivileged, SeriesClassifier
from sklearn_gkd.networks import CNN, MLP, SeriesNet


def test_the_papers_competitors(series):
    mlp = SeriesClassifier("mlp", max_epochs=1).fit(series.X, series.y).network_.module_.network
    cnn = SeriesClassifier("cnn", max_epochs=1).fit(series.X, series.y).network_.module_.network
    assert isinstance(mlp, MLP)
    assert isinstance(mlp.body[-1], nn.ReLU)
    for given in (SeriesNet(MLP, max_epochs=1), SeriesNet("mlp", max_epochs=1)):
        net = SeriesClassifier(given).fit(series.X, series.y).network_
        assert isinstance(net.module_.network.body[-1], nn.ReLU)
    linear = SeriesNet("mlp", max_epochs=1, module__feature_activation=nn.Identity)
    net = SeriesClassifier(linear).fit(series.X, series.y).network_
    assert isinstance(net.module_.network.body[-1], nn.Identity)
    assert isinstance(cnn, CNN)
    assert len(cnn.branches) == 1


def test_a_net_learns(series, small):
    clf = SeriesClassifier(small.set_params(max_epochs=40), random_state=0).fit(series.X, series.y)
    assert clf.score(series.X, series.y) > 0.6
    assert clf.predict_proba(series.X).shape == (120, 3)


@pytest.mark.parametrize("params", [{"network": "rnn"}, {"lr": 0}, {"max_epochs": 0}])
def test_wrong_parameters_are_named(series, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        SeriesClassifier(**params).fit(series.X, series.y)


def test_ignore_privileged_is_its_estimator(series):
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    wrapped = IgnorePrivileged(forest).fit(series.X, series.y, X_priv=series.X_priv)
    forest.fit(series.X.reshape(120, -1), series.y)
    np.testing.assert_array_equal(
        wrapped.predict_proba(series.X), forest.predict_proba(series.X.reshape(120, -1))
    )
    np.testing.assert_array_equal(
        wrapped.predict(series.X.reshape(120, -1)), forest.predict(series.X.reshape(120, -1))
    )
    assert wrapped.classes_.tolist() == ["forest", "maize", "meadow"]
    assert wrapped.n_features_in_ == 12


def test_ignore_privileged_in_a_search(series):
    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=5, random_state=0))
    search = GridSearchCV(forest, {"estimator__max_depth": [1, 5]}, cv=2)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    plain = cross_val_score(
        search.best_estimator_.estimator, series.X.reshape(120, -1), series.y, cv=2
    )
    assert search.best_score_ == pytest.approx(plain.mean())


def test_ignore_privileged_has_what_its_estimator_has(series):
    wrapped = IgnorePrivileged(LinearSVC())
    assert not hasattr(wrapped, "predict_proba")
    assert not hasattr(wrapped, "classes_")
    expected = LinearSVC().fit(series.X.reshape(120, -1), series.y)
    np.testing.assert_allclose(
        wrapped.fit(series.X, series.y).decision_function(series.X),
        expected.decision_function(series.X.reshape(120, -1)),
    )
    wrapped = clone(wrapped)
    with pytest.raises(NotFittedError):
        wrapped.predict(series.X)


def test_ignore_privileged_is_routed_what_it_ignores(series):
    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=5, random_state=0))
    with sklearn.config_context(enable_metadata_routing=True):
        params = {"X_priv": series.X_priv}
        results = cross_validate(forest, series.X, series.y, cv=2, params=params)
    assert np.isfinite(results["test_score"]).all()


def test_ignore_privileged_hands_on_what_its_estimator_has_learnt(series):
    series.X = (series.X - series.X.mean()) / series.X.std()
    table = series.X.reshape(120, -1)
    for estimator, names in [
        (RandomForestClassifier(5, random_state=0), ["feature_importances_", "n_classes_"]),
        (LogisticRegression(), ["coef_", "intercept_", "n_iter_"]),
    ]:
        expected = clone(estimator).fit(table, series.y)
        wrapped = IgnorePrivileged(estimator)
        for name in names:
            assert not hasattr(wrapped, name)
        wrapped.fit(series.X, series.y, X_priv=series.X_priv)
        for copied in (wrapped, pickle.loads(pickle.dumps(wrapped)), copy.deepcopy(wrapped)):
            for name in names:
                np.testing.assert_array_equal(getattr(copied, name), getattr(expected, name))
        for name in ("oob_score_", "apple"):
            with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
                getattr(wrapped, name)
    np.testing.assert_array_equal(
        wrapped.predict_log_proba(series.X), expected.predict_log_proba(table)
    )
    assert not hasattr(IgnorePrivileged(LinearSVC()), "predict_log_proba")
    assert not hasattr(IgnorePrivileged(RandomForestClassifier()), "decision_function")


def test_ignore_privileged_scores_as_its_estimator(series):
    table = series.X.reshape(120, -1)
    search = GridSearchCV(RandomForestClassifier(5, random_state=0), {}, scoring="neg_log_loss")
    wrapped = IgnorePrivileged(search).fit(series.X, series.y)
    expected = search.fit(table, series.y).score(table, series.y)
    assert wrapped.score(series.X, series.y) == expected < 0
    weights = np.arange(120)
    forest = IgnorePrivileged(RandomForestClassifier(5, random_state=0)).fit(series.X, series.y)
    expected = forest.estimator_.score(table, series.y, weights)
    assert forest.score(series.X, series.y, weights) == expected

    class Shortest(BaseEstimator):
        """A classifier without a score."""

        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.full(len(X), "maize")

    score = IgnorePrivileged(Shortest()).fit(series.X, series.y).score(series.X, series.y)
    assert score == pytest.approx(50 / 120)
