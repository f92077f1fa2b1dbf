import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_gkd import SeriesClassifier

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
def test_a_pickled_classifier_predicts_without_its_teacher_or_its_device(series, clf, device):
    clf.set_params(device=device).fit(series.X, series.y, X_priv=series.X_priv)
    again = clone(clf).fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(clf.predict_proba(series.X), again.predict_proba(series.X))
    assert {p.device.type for p in clf.student_.module_.parameters()} == {"cpu"}
    del again.teacher_
    loaded = pickle.loads(pickle.dumps(again)).set_params(device="cpu")
    np.testing.assert_allclose(
        loaded.predict_proba(series.X), clf.predict_proba(series.X), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(NotFittedError):
        loaded.teacher_predict_proba(series.X, series.X_priv)


def test_2d_with_n_channels_is_3d(series, clf):
    by_3d = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    clf.set_params(n_channels=2, n_channels_priv=4)
    clf.fit(series.X.reshape(120, -1), series.y, X_priv=series.X_priv.reshape(120, -1))
    np.testing.assert_array_equal(clf.predict_proba(series.X.reshape(120, -1)), by_3d)
    np.testing.assert_array_equal(clf.predict_proba(series.X), by_3d)


def test_lists_and_data_frames(series, clf):
    expected = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    clf.fit(series.X.tolist(), series.y.tolist(), X_priv=series.X_priv.tolist())
    np.testing.assert_array_equal(clf.predict_proba(series.X.tolist()), expected)
    X = pd.DataFrame(series.X.reshape(120, -1)).add_prefix("column_")
    X_priv = pd.DataFrame(series.X_priv.reshape(120, -1))
    clf.set_params(n_channels=2, n_channels_priv=4).fit(X, pd.Series(series.y), X_priv=X_priv)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert clf.feature_names_in_.tolist() == X.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X[X.columns[::-1]])


def test_raw_units_are_scaled_inside(series, clf):
    expected = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    clf.fit(4 * series.X, series.y, X_priv=series.X_priv / 1024)
    np.testing.assert_allclose(clf.predict_proba(4 * series.X), expected, rtol=1e-3, atol=1e-4)


def test_scaling_is_of_the_training_rows(series, clf):
    valid = np.arange(0, 120, 4)
    train = np.setdiff1d(np.arange(120), valid)
    X, X_priv = series.X.astype("f8"), series.X_priv.astype("f8")
    X_priv[train[:9]] = np.nan
    clf.fit(X[train], series.y[train], X_priv[train], X_val=X[valid] + 99, y_val=series.y[valid])
    np.testing.assert_allclose(clf.student_.module_.mean_0, X[train].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(clf.student_.module_.scale_0, X[train].std((0, 1)), rtol=1e-5)

    X = X.reshape(120, -1)
    X[:, 0] = 7
    clf.set_params(beta=0, gamma=0).fit(X, series.y, X_val=X, y_val=series.y)
    np.testing.assert_allclose(clf.student_.module_.mean_0[:, 0], X.mean(0), rtol=1e-5)
    scale = np.concatenate([[1], X.std(0)[1:]])
    np.testing.assert_allclose(clf.student_.module_.scale_0[:, 0], scale, rtol=1e-5)


def test_a_failed_refit_leaves_the_fitted_estimator(series, clf):
    before = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    with pytest.raises(ValueError, match="X_priv has 5 rows"):
        clf.fit(series.X[:, :4], series.y, X_priv=series.X_priv[:5])
    np.testing.assert_array_equal(clf.predict_proba(series.X), before)


def test_predict_refuses_other_series(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    with pytest.raises(ValueError, match=r"\(T, C\) = \(5, 2\), .* fitted on \(6, 2\)"):
        clf.predict(series.X[:, :5])
    with pytest.raises(ValueError, match=r"\(T, C\) = \(4, 3\), .* fitted on \(6, 2\)"):
        clf.predict(series.X.reshape(120, 4, 3))
    with pytest.raises(ValueError, match="10 features"):
        clf.predict(series.X[:, :5].reshape(120, -1))
    with pytest.raises(ValueError, match="NaN"):
        clf.predict(np.where(np.arange(2) == 0, np.nan, series.X))


def test_a_clone_has_the_store_of_a_search(clf, recorder):
    assert clone(clf)._store is None
    clf._store = recorder
    assert clone(make_pipeline(clf))[0]._store is recorder
    assert clone(clf).get_params().keys() == clf.get_params().keys()


def test_where_states_are_kept_draws_without_a_seed_are_always_the_same(clf, recorder):
    clf.set_params(random_state=None)
    assert clf._draw_seeds(3) != clf._draw_seeds(3)
    clf._store = recorder
    assert clf._draw_seeds(3) == clf._draw_seeds(3)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_are_logits_and_their_softmax_is_the_probabilities(series, clf, n_classes):
    rows = np.isin(series.y, ["forest", "maize", "meadow"][:n_classes])
    series.X[:5] *= 1e6  # so sure that some probabilities are 0
    clf.set_params(max_epochs=40).fit(series.X[rows], series.y[rows], X_priv=series.X_priv[rows])
    probabilities = clf.predict_proba(series.X)
    decisions = clf.decision_function(series.X)
    logarithms = clf.predict_log_proba(series.X)
    assert np.isfinite(logarithms).all()
    np.testing.assert_allclose(np.exp(logarithms), probabilities)
    if n_classes == 2:
        assert decisions.shape == (120,)
        np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), probabilities[:, 1])
        predicted = clf.classes_[(decisions > 0).astype(int)]
    else:
        assert decisions.shape == (120, 3)
        exponentials = np.exp(decisions - decisions.max(axis=1, keepdims=True))
        np.testing.assert_allclose(
            exponentials / exponentials.sum(axis=1, keepdims=True), probabilities
        )
        predicted = clf.classes_[decisions.argmax(axis=1)]
    np.testing.assert_array_equal(predicted, clf.predict(series.X))


def test_n_iter_is_the_number_of_epochs(series, clf):
    assert not hasattr(clf, "n_iter_")
    clf.set_params(student__max_epochs=3).fit(series.X, series.y, X_priv=series.X_priv)
    assert clf.n_iter_ == 3
    clf.set_params(student__max_epochs=40, n_iter_no_change=2)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    accuracies = clf.student_.history[:, "valid_acc"]
    assert clf.n_iter_ == len(accuracies) == np.argmax(accuracies) + 3
    assert SeriesClassifier("mlp", max_epochs=1).fit(series.X, series.y).n_iter_ == 1
