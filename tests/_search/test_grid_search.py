import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import GradientNormClipping

from sklearn_gkd import GKDClassifier, GKDGridSearchCV
from sklearn_gkd._search._candidates import Candidates
from sklearn_gkd.networks import MLP

GRID = {"alpha": [0.5, 1], "beta": [0, 1], "gamma": [0, 1, 10]}


@pytest.fixture
def clf(small):
    return GKDClassifier(small, clone(small).set_params(max_epochs=2), random_state=0)


@pytest.fixture
def trained(monkeypatch):
    """The roles of the nets that are trained alone, and the sizes of the cohorts."""
    alone, cohorts = [], []

    class Counting(Candidates):
        def checkpoint(self, training):
            n_before = len(list(self.states.folder.glob("*.checkpoint")))
            found = super().checkpoint(training)
            if n_written := len(list(self.states.folder.glob("*.checkpoint"))) - n_before:
                cohorts.append(n_written)
            if not found.path.exists():
                alone.append(training.role)
            return found

    monkeypatch.setattr("sklearn_gkd._search._grid_search.Candidates", Counting)
    return alone, cohorts


def test_results_are_those_of_grid_search(series, clf, trained):
    params = {"X_priv": series.X_priv, "groups": None}
    expected = GridSearchCV(clf, GRID, cv=2, return_train_score=True)
    expected.fit(series.X, series.y, X_priv=series.X_priv)
    search = GKDGridSearchCV(clf, GRID, cv=2, return_train_score=True)
    assert search.fit(series.X, series.y, **params) is search
    alone, cohorts = trained
    # For each fold and the refit, a teacher; and a student, of beta = gamma = 0 for any alpha.
    assert sorted(alone) == ["student"] * 3 + ["teacher"] * 3
    assert sorted(cohorts) == [4, 4, 6, 6]
    results, of_grid = (pd.DataFrame(found.cv_results_) for found in (search, expected))
    assert list(results) == list(of_grid)
    assert search.cv_results_["params"] == expected.cv_results_["params"]
    scores = results.filter(regex="(split.|mean|std)_(test|train)_score")
    np.testing.assert_allclose(scores, of_grid[scores.columns], atol=0.02)
    assert vars(search).keys() == vars(expected).keys()


def test_the_best_estimator_is_as_it_was_given(series, clf, tmp_path):
    search = GKDGridSearchCV(clf, GRID, cv=2).fit(series.X, series.y, X_priv=series.X_priv)
    alone = clone(clf).set_params(**search.best_params_)
    alone.fit(series.X, series.y, X_priv=series.X_priv)
    assert search.best_estimator_.get_params().keys() == alone.get_params().keys()
    assert search.best_estimator_.checkpoint is None
    assert search.best_estimator_.memory is None
    assert search.estimator is clf
    assert hasattr(search.best_estimator_, "teacher_")
    np.testing.assert_array_equal(search.predict_proba(series.X), alone.predict_proba(series.X))


@pytest.mark.long
def test_two_processes_train_the_same_cohorts(series, clf, tmp_path):
    searches = []
    for n_jobs in (1, 2):
        clf.set_params(checkpoint=tmp_path / str(n_jobs))
        search = GKDGridSearchCV(clf, GRID, cv=2, n_jobs=n_jobs)
        searches.append(search.fit(series.X, series.y, X_priv=series.X_priv))
        assert len(list(clf.checkpoint.glob("*.trained"))) == 4
    scores = [pd.DataFrame(s.cv_results_).filter(regex="test_score") for s in searches]
    pd.testing.assert_frame_equal(*scores)


def test_with_a_checkpoint_a_search_that_was_killed_goes_on(series, clf, trained, tmp_path):
    clf.set_params(checkpoint=tmp_path / "states", memory=str(tmp_path / "targets"))
    searches = []
    for _ in range(2):
        search = GKDGridSearchCV(clf, GRID, cv=2).fit(series.X, series.y, X_priv=series.X_priv)
        searches.append(pd.DataFrame(search.cv_results_).filter(regex="test_score"))
        assert search.best_estimator_.checkpoint == tmp_path / "states"
    assert len(trained[1]) == 4
    assert trained[0].count("teacher") == 3
    pd.testing.assert_frame_equal(*searches)


def test_in_a_pipeline(series, clf, trained):
    pipeline = make_pipeline(StandardScaler(), clf.set_params(n_channels=2))
    grid = {f"gkdclassifier__{name}": values for name, values in GRID.items()}
    X = series.X.reshape(len(series.X), -1)
    searches = [
        search(pipeline, grid, cv=2, refit=False).fit(
            X, series.y, gkdclassifier__X_priv=series.X_priv
        )
        for search in (GridSearchCV, GKDGridSearchCV)
    ]
    assert sorted(trained[1]) == [4, 4, 6, 6]
    scores = [s.cv_results_["mean_test_score"] for s in searches]
    np.testing.assert_allclose(*scores, atol=0.02)


def test_other_parameters_make_other_cohorts(series, clf, trained):
    grid = [
        {"student__module__width": [8, 16], "gamma": [2, 5, 10]},
        {"student__module__dropout": [0.5], "temperature": [1, 2, 3, 4, 5]},
    ]
    GKDGridSearchCV(clf, grid, cv=2, refit=False).fit(series.X, series.y, X_priv=series.X_priv)
    assert sorted(trained[1]) == [3] * 4 + [5] * 2
    assert set(trained[0]) == {"teacher"}


def test_learning_rates_are_trained_side_by_side(series, clf, trained):
    grid = {"student__lr": np.logspace(-3, -1, 3), "gamma": [1, 10]}
    params = {"cv": 2, "refit": False}
    expected = GridSearchCV(clf, grid, **params).fit(series.X, series.y, X_priv=series.X_priv)
    search = GKDGridSearchCV(clf, grid, **params).fit(series.X, series.y, X_priv=series.X_priv)
    assert trained == (["teacher"] * 2, [6, 6])
    scores = [s.cv_results_["mean_test_score"] for s in (search, expected)]
    assert len(set(scores[1])) > 1
    np.testing.assert_allclose(*scores, atol=0.02)


def test_a_learning_rate_that_is_left_open_is_trained_side_by_side(series, small, trained):
    small.set_params(max_epochs=1, lr=None)
    grid = {"gamma": [1, 10], "student__lr": [None, 1e-2]}
    clf = GKDClassifier(small, clone(small), random_state=0)
    search = GKDGridSearchCV(clf, grid, cv=2, refit=False)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert trained == (["teacher"] * 2, [4, 4])
    assert {params["student__lr"] for params in search.cv_results_["params"]} == {None, 1e-2}


def test_learning_rates_of_both_nets_are_apart(series, trained):
    clf = GKDClassifier(max_epochs=1, random_state=0)
    grid = {"lr": [1e-3, 1e-2], "gamma": [1, 10]}
    search = GKDGridSearchCV(clf, grid, cv=2, refit=False)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert trained == (["teacher"] * 4, [2] * 4)


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_a_candidate_that_cannot_be_fitted_is_a_nan_as_in_grid_search(series, clf):
    grid = {"gamma": [-1, "much", 1, 2, 5, 10]}
    search = GKDGridSearchCV(clf, grid, cv=2, refit=False)
    with pytest.warns(FitFailedWarning, match="gamma"):
        search.fit(series.X, series.y, X_priv=series.X_priv)
    assert list(np.isnan(search.cv_results_["mean_test_score"])) == [True, True] + [False] * 4


def test_without_x_priv_or_without_a_gkd_classifier_it_is_grid_search(series, clf, trained):
    X = series.X.reshape(len(series.X), -1)
    forest = RandomForestClassifier(random_state=0)
    searches = [
        search(forest, {"max_depth": [1, 2]}, cv=2).fit(X, series.y)
        for search in (GridSearchCV, GKDGridSearchCV)
    ]
    scores = [s.cv_results_["mean_test_score"] for s in searches]
    np.testing.assert_array_equal(*scores)
    with pytest.warns(UserWarning, match="X_priv was not given"):
        GKDGridSearchCV(clf, {"alpha": [1, 2, 3, 4]}, cv=2).fit(series.X, series.y)
    assert trained[1] == []


@pytest.mark.skipif(not hasattr(GKDClassifier, "set_callbacks"), reason="needs scikit-learn 1.9")
@pytest.mark.parametrize("given_to", ["estimator", "search"])
def test_callbacks_follow_each_candidate(series, clf, trained, given_to):
    class Watch:
        def __init__(self):
            self.tasks = []

        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context):
            self.tasks.append(context.task_name)

    if given_to == "search":
        Watch.max_propagation_depth = None  # it reaches what the search fits
    watch = Watch()
    search = GKDGridSearchCV(clf, {"gamma": [1, 10]}, cv=2, refit=False)
    {"estimator": clf, "search": search}[given_to].set_callbacks(watch)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert watch.tasks.count("student") == 4
    assert trained[1] == []


def test_a_failed_search_leaves_the_estimator(series, clf):
    search = GKDGridSearchCV(clf, GRID, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="X_priv"):
        search.fit(series.X, series.y, X_priv=series.X_priv * np.nan)
    assert search.estimator is clf


def local_network():
    class Local(MLP):
        pass

    return Local


NETS = {
    "callbacks": {"callbacks": [GradientNormClipping(1.0)]},
    "a lambda as optimizer": {"optimizer": lambda params, lr: torch.optim.SGD(params, lr)},
    "a class within a function": {"module": local_network()},
    "another optimizer": {"optimizer": torch.optim.Adadelta},
}


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("params", NETS.values(), ids=NETS)
def test_what_grid_search_takes_it_takes_with_the_same_results(series, clf, params, n_jobs):
    clf.set_params(student=clone(clf.student).set_params(**params))
    results = []
    for search in (GridSearchCV, GKDGridSearchCV):
        found = search(clf, {"gamma": [0.5, 1]}, cv=2, n_jobs=n_jobs, error_score="raise")
        results.append(found.fit(series.X, series.y, X_priv=series.X_priv).cv_results_)
    assert results[0]["params"] == results[1]["params"]
    np.testing.assert_array_equal(*(found["mean_test_score"] for found in results))
