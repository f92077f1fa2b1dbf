import copy
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.svm import LinearSVC

from sklearn_gkd import IgnorePrivileged


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


def test_ignore_privileged_is_a_regressor_around_one(series):
    y, table = series.X[:, 0, 0] ** 2, series.X.reshape(120, -1)
    forest = RandomForestRegressor(n_estimators=5, random_state=0)
    wrapped = IgnorePrivileged(forest)
    assert is_regressor(wrapped)
    assert not is_classifier(wrapped)
    assert not hasattr(wrapped, "predict_proba")
    search = GridSearchCV(wrapped, {"estimator__max_depth": [1, 5]}, cv=2)
    search.fit(series.X, y, X_priv=series.X_priv)
    plain = cross_val_score(search.best_estimator_.estimator, table, y, cv=2)
    assert search.best_score_ == pytest.approx(plain.mean())
    both = np.column_stack([y, -y])
    predicted = IgnorePrivileged(LinearRegression()).fit(series.X, both).predict(series.X)
    np.testing.assert_allclose(predicted, LinearRegression().fit(table, both).predict(table))


def test_a_regressor_without_a_score_is_scored_by_r2(series):
    class First(RegressorMixin, BaseEstimator):
        score = None

        def __getattribute__(self, name):
            if name == "score":
                raise AttributeError(name)
            return super().__getattribute__(name)

        def fit(self, X, y):
            return self

        def predict(self, X):
            return X[:, 0]

    y, weights = series.X[:, 0, 0] + series.X[:, 0, 1], np.arange(120)
    score = IgnorePrivileged(First()).fit(series.X, y).score(series.X, y, weights)
    assert score == r2_score(y, series.X[:, 0, 0], sample_weight=weights)
