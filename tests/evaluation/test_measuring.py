import io
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.parallel import delayed

from sklearn_gkd import GKDClassifier
from sklearn_gkd.evaluation._controls import Predicted
from sklearn_gkd.evaluation._measuring import Data, measure, run
from sklearn_gkd.evaluation._protocol import scores


@pytest.fixture
def data(series):
    X_priv_unlabeled = series.X_priv[:9].copy()
    X_priv_unlabeled[[2, 5]] = np.nan
    X_unlabeled = pd.DataFrame(series.X[:9].reshape(9, -1), index=list("abcdefghi"))
    call = (series.X, series.y, series.X_priv, series.groups)
    return Data.checked(GKDClassifier(), *call, X_unlabeled, X_priv_unlabeled)


def test_a_split_has_its_rows_and_pairs(data, series):
    assert data.pairs.tolist() == [0, 1, 3, 4, 6, 7, 8]
    train, test = np.arange(0, 100), np.arange(100, 120)
    split = data.split(train, test, data.pairs[1:3])
    np.testing.assert_array_equal(split.X, series.X[:100])
    np.testing.assert_array_equal(split.groups, series.groups[:100])
    np.testing.assert_array_equal(split.X_priv_test, series.X_priv[100:])
    assert split.X_unlabeled.index.tolist() == ["b", "d"]
    np.testing.assert_array_equal(split.X_priv_unlabeled, series.X_priv[[1, 3]])
    alone = data.split(train, test, data.pairs[:0])
    assert alone.X_unlabeled is alone.X_priv_unlabeled is None
    assert data._replace(X_unlabeled=None).pairs.tolist() == []


def test_a_fit_has_its_seed_and_no_memory(data, tmp_path):
    given = []

    def fit(estimator, split):
        given.append(estimator)
        proba = np.tile([0.2, 0.5, 0.3], (len(split.X_test), 1))
        return Predicted(np.unique(split.y), proba), Predicted(np.unique(split.y), proba[:, ::-1])

    estimator = GKDClassifier(memory=str(tmp_path), random_state=1)
    rows = np.arange(0, 120, 2), np.arange(1, 120, 2), data.pairs
    first, second = measure(fit, estimator, 7, data, *rows)
    assert (given[0].random_state, given[0].memory) == (7, None)
    assert (estimator.random_state, estimator.memory) == (1, str(tmp_path))
    classes, y_test = ["forest", "maize", "meadow"], data.y[1::2]
    for measured, row in [(first, [0.2, 0.5, 0.3]), (second, [0.3, 0.5, 0.2])]:
        assert measured == scores(y_test, ["maize"] * 60, np.tile(row, (60, 1)), classes=classes)


@pytest.mark.parametrize("on_screen", [False, True])
def test_fits_have_a_bar_where_there_is_a_screen(monkeypatch, on_screen):
    stream = io.StringIO()
    stream.isatty = lambda: on_screen
    monkeypatch.setattr(sys, "stderr", stream)
    assert run((delayed(abs)(-i) for i in range(5)), None) == [0, 1, 2, 3, 4]
    assert ("5/5" in stream.getvalue()) == on_screen
