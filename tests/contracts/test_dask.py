"""On a real Dask cluster of two processes, through joblib's backend."""

import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_gkd import GKDClassifier, GKDGridSearchCV

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class Aligned(GKDClassifier):
    """Notes which process fits, and that row i of X still meets row i of X_priv."""

    def fit(self, X, y, X_priv=None, **kwargs):
        """Check, and fit."""
        np.testing.assert_array_equal(np.asarray(X)[:, 0, 0], np.asarray(X_priv)[:, 0, 0])
        super().fit(X, y, X_priv, **kwargs)
        self.process_ = os.getpid()
        return self

    def score(self, X, y):
        """Return the process that fitted."""
        return float(self.process_)


def test_a_search_on_a_cluster_is_the_search_at_home(cluster, series, small, tmp_path):
    X_priv = series.X_priv.copy()
    X_priv[:, 0, 0] = series.X[:, 0, 0]
    grid = {"gamma": [0.5, 1, 5, 10]}
    clf = GKDClassifier(small, clone(small), random_state=0)
    at_home = GridSearchCV(clf, grid, cv=2).fit(series.X, series.y, X_priv=X_priv)
    clf.set_params(memory=str(tmp_path))
    with joblib.parallel_config(backend="dask"):
        search = GridSearchCV(clf, grid, cv=2).fit(series.X, series.y, X_priv=X_priv)
    scores = [
        pd.DataFrame(found.cv_results_).filter(regex="test_score") for found in (at_home, search)
    ]
    pd.testing.assert_frame_equal(*scores)
    assert len(list(tmp_path.glob("sklearn_gkd/*.npz"))) == 3  # a teacher for each fold, and one


def test_a_cohort_on_a_cluster_is_the_cohort_at_home(cluster, series, small):
    clf = GKDClassifier(small, clone(small), random_state=0)
    search = GKDGridSearchCV(clf, {"gamma": [0.5, 1, 5, 10]}, cv=2, refit=False)
    at_home = clone(search).fit(series.X, series.y, X_priv=series.X_priv)
    with joblib.parallel_config(backend="dask"):
        search.fit(series.X, series.y, X_priv=series.X_priv)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], at_home.cv_results_[name])


def test_both_processes_fit_and_rows_stay_together(cluster, series, small):
    X_priv = series.X_priv.copy()
    X_priv[:, 0, 0] = series.X[:, 0, 0]
    clf = Aligned(small, clone(small), random_state=0)
    with joblib.parallel_config(backend="dask"):
        search = GridSearchCV(clf, {"gamma": [0.5, 1, 5, 10]}, cv=2, refit=False)
        search.fit(series.X, series.y, X_priv=X_priv)
    processes = {search.cv_results_[f"split{i}_test_score"][j] for i in (0, 1) for j in range(4)}
    assert len(processes) == 2
    assert os.getpid() not in processes


@pytest.mark.long
def test_the_papers_protocol_on_a_cluster(cluster, npz, tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "land_cover.py"
    options = ["--data", npz, "--methods", "mlp", "--splits", "2", "--epochs", "1"]
    commands = {"home": [], "cluster": ["--scheduler", cluster.scheduler.address]}
    running = [
        subprocess.Popen(
            [sys.executable, script, *options, "--output", tmp_path / name, *where],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for name, where in commands.items()
    ]
    assert [process.wait() for process in running] == [0, 0]
    tables = [(tmp_path / name / "table5.csv").read_text() for name in commands]
    assert tables[0] == tables[1]
