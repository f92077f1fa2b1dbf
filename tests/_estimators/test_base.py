import pickle
import re
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from sklearn_gkd import GKDClassifier, GKDGridSearchCV, SeriesClassifier
from sklearn_gkd.networks import MLP, SeriesNet

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


def test_values_that_float32_does_not_tell_apart_are_refused_in_fit(series, clf):
    X, X_priv = (view.astype(float) for view in (series.X, series.X_priv))
    with pytest.raises(ValueError, match=r"^X has values .* \(12 columns of this kind\)"):
        clf.fit(X + 1e9, series.y, X_priv=X_priv)
    with pytest.raises(ValueError, match=r"^X_priv has values .* \(24 columns of this kind\)"):
        clf.fit(X, series.y, X_priv=X_priv + 1e9)
    clf.fit(X, series.y, X_priv=X_priv)
    alike = [np.stack([view[0], view[0] * (1 + 1e-9)]) for view in (X, X_priv)]
    assert np.ptp(clf.teacher_predict_proba(*alike), axis=0).max() < 1e-6


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


@pytest.mark.parametrize(
    ("nets", "params", "message"),
    [
        (("net", "net"), {"lr": 0.1}, r"^lr=0.1 of this GKDC.* teacher and student came as skorch"),
        (("net", "net"), {"max_epochs": 3, "batch_size": 8}, r"^max_epochs=3 and batch_size=8 of"),
        (("bayes", "net"), {"max_epochs": 3}, r"nothing: student came .* Set student__max_epochs"),
        (("net", "net"), {"n_iter_no_change": 3}, r"^n_iter_no_change=3 does nothing without"),
        (("net", "mlp"), {"lr": 1e-3, "max_epochs": 1}, None),
        (("mlp", "net"), {"batch_size": 100, "max_epochs": 1}, None),
        (("net", "net"), {"n_iter_no_change": 3, "validation_fraction": 0.2}, None),
        (("net", "net"), {"lr": None, "max_epochs": None, "batch_size": None}, None),
    ],
)
def test_parameters_that_do_nothing_are_told(series, small, nets, params, message):
    small.set_params(max_epochs=1)
    given = {"net": small, "mlp": "mlp", "bayes": GaussianNB()}
    teacher, student = (given[net] for net in nets)
    clf = GKDClassifier(teacher, student, beta=0, random_state=0, **params)
    expected = pytest.warns(UserWarning, match=message) if message else nullcontext()
    with expected:
        clf.fit(series.X, series.y, series.X_priv)


def test_one_net_alone_is_told_of_what_does_nothing(series, small):
    with pytest.warns(UserWarning, match="^lr=0.1 of this SeriesC.* Set network__lr in its place"):
        SeriesClassifier(small, lr=0.1).fit(series.X, series.y)
    with pytest.warns(UserWarning, match="n_iter_no_change=2 does nothing"):
        SeriesClassifier(small, n_iter_no_change=2).fit(series.X, series.y)


@pytest.mark.parametrize(
    ("network", "remedy"), [("mlp", "SeriesNet('mlp')"), (MLP, "SeriesNet(MLP)")]
)
def test_a_network_by_name_has_no_parameters_to_set(series, network, remedy):
    message = re.escape(f"Give a skorch net, whose can be set and searched: student={remedy}.")
    clf = GKDClassifier(student=network)
    with pytest.raises(ValueError, match=f"^student__lr cannot be set: .* {message}"):
        clf.set_params(student__lr=0.1)
    for search in (GridSearchCV, GKDGridSearchCV):
        with pytest.raises(ValueError, match=message):
            search(clf, {"student__lr": [0.1]}, cv=2).fit(series.X, series.y, X_priv=series.X_priv)
    clf.set_params(student=SeriesNet(network), student__lr=0.1)
    assert clf.get_params()["student__lr"] == 0.1


def test_n_iter_is_the_number_of_epochs(series, clf):
    assert not hasattr(clf, "n_iter_")
    clf.set_params(student__max_epochs=2).fit(series.X, series.y, X_priv=series.X_priv)
    assert clf.n_iter_ == 2
    clf.set_params(student__max_epochs=40, n_iter_no_change=2)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    accuracies = clf.student_.history[:, "valid_acc"]
    assert clf.n_iter_ == len(accuracies) == np.argmax(accuracies) + 3
    assert SeriesClassifier("mlp", max_epochs=1).fit(series.X, series.y).n_iter_ == 1
