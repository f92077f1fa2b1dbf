import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from sklearn_gkd import PAPER_SETTINGS, GKDClassifier, PrivilegedInformationWarning
from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import MLP, SeriesNet

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class LogitsOnly(nn.Module):
    """A network without features."""

    def __init__(self, shapes, n_classes):
        super().__init__()
        self.layer = nn.Linear(sum(t * c for t, c in shapes), n_classes)

    def forward(self, *views):
        return self.layer(torch.cat([view.flatten(1) for view in views], dim=1))


class TooManyLogits(LogitsOnly):
    """A network of one class more than there are."""

    def __init__(self, shapes, n_classes):
        super().__init__(shapes, n_classes + 1)


class Recorder(Store):
    """Keeps no states, but training and validation rows of each net that is fitted."""

    def __init__(self):
        self.rows = []

    def checkpoint(self, training):
        self.rows.append((training.train, training.valid))


class NoWork(Store):
    """Fails where a training begins."""

    def checkpoint(self, training):
        raise AssertionError(f"training of the {training.role} began before the error")


@pytest.fixture
def fitted_rows(clf):
    """Training and validation rows of each net that clf fits."""
    clf._store = Recorder()
    return clf._store.rows


@pytest.fixture
def clf(small):
    return GKDClassifier(small, small, validation_fraction=0.2, random_state=0)


def with_nan(X, rows=slice(None)):
    X = X.copy()
    X[rows, 1, 0] = np.nan
    return X


def test_the_teacher_sees_what_the_student_cannot(series, clf):
    clf.set_params(student__max_epochs=40).fit(series.X, series.y, X_priv=series.X_priv)
    teacher = clf.classes_[clf.teacher_predict_proba(series.X, series.X_priv).argmax(axis=1)]
    assert np.mean(teacher == series.y) > 0.95
    assert clf.score(series.X, series.y) > 0.5
    probabilities = clf.predict_proba(series.X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(clf.predict(series.X), clf.classes_[probabilities.argmax(axis=1)])


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


def test_teacher_is_scaled_by_the_rows_it_sees(series, clf):
    X_priv = series.X_priv.copy()
    X_priv[::3] = np.nan
    clf.set_params(validation_fraction=0).fit(series.X, series.y, X_priv=X_priv)
    seen = np.arange(120) % 3 != 0
    module = clf.teacher_.module_
    np.testing.assert_allclose(module.mean_0, series.X[seen].mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(module.mean_1, series.X_priv[seen].mean((0, 1)), rtol=1e-4)


def test_rows_without_privileged_information_teach_by_their_label_alone(series, clf):
    X_priv = series.X_priv.copy()
    X_priv[:60] = np.nan
    clf.fit(series.X, series.y, X_priv=X_priv)
    assert clf.teacher_.history[-1, "train_batch_count"] == 3
    assert clf.student_.history[-1, "train_batch_count"] == 6
    with pytest.raises(ValueError, match="X_priv is NaN throughout in 60 of its 120 rows"):
        clf.teacher_predict_proba(series.X, X_priv)
    with pytest.raises(ValueError, match="in all but 0 of the 96 training rows"):
        clf.fit(series.X, series.y, X_priv=np.full_like(X_priv, np.nan))


def test_teacher_validates_on_its_own_rows_where_the_given_ones_have_no_x_priv(series, clf):
    X_val, y_val = series.X[::2], series.y[::2]
    clf.fit(series.X, series.y, series.X_priv, X_val=X_val, y_val=y_val)
    assert clf.teacher_.history[-1, "train_batch_count"] == 6  # 96 rows of 120
    assert clf.student_.history[-1, "train_batch_count"] == 8
    clf.fit(
        series.X, series.y, series.X_priv, X_val=X_val, y_val=y_val, X_priv_val=series.X_priv[::2]
    )
    assert clf.teacher_.history[-1, "train_batch_count"] == 8


def test_teacher_view_privileged_ignores_x(series, clf):
    clf.set_params(teacher_view="privileged").fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(
        clf.teacher_predict_proba(series.X, series.X_priv),
        clf.teacher_predict_proba(np.zeros_like(series.X), series.X_priv),
    )


def test_priv_transformer_is_fitted_on_the_training_rows_that_have_information(series, clf):
    class Spy(GapFiller):
        def fit(self, X, y=None):
            Spy.n_rows = len(X)
            return super().fit(X, y)

    spy = Spy()
    X_priv = with_nan(series.X_priv, slice(30, None))
    X_priv[:24] = np.nan
    clf.set_params(priv_transformer=spy).fit(
        series.X, series.y, X_priv, X_val=series.X, y_val=series.y, X_priv_val=X_priv
    )
    assert Spy.n_rows == 96
    assert not hasattr(spy, "n_features_in_")
    assert np.isfinite(clf.teacher_predict_proba(series.X[24:], X_priv[24:])).all()


def test_groups_are_not_split(series, clf, fitted_rows):
    clf.fit(series.X, series.y, X_priv=series.X_priv, groups=series.groups)
    for kept, held_out in fitted_rows:
        assert len(held_out)
        assert not set(series.groups[kept]) & set(series.groups[held_out])
    assert len(fitted_rows) == 2
    with pytest.raises(ValueError, match="groups"):
        clf.fit(series.X, series.y, X_priv=series.X_priv, groups=np.zeros(120))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(
            series.X, series.y, series.X_priv, groups=np.zeros(9), X_val=series.X, y_val=series.y
        )


def test_the_teachers_own_split_does_not_split_groups(series, clf, fitted_rows):
    clf.fit(series.X, series.y, series.X_priv, groups=series.groups, X_val=series.X, y_val=series.y)
    kept, held_out = fitted_rows[0]
    assert len(held_out)
    assert not set(series.groups[kept]) & set(series.groups[held_out])


def test_validation_rows_keep_their_x_priv(series, clf):
    order = np.random.RandomState(0).permutation(120)
    clf.set_params(teacher__max_epochs=40).fit(
        series.X,
        series.y,
        series.X_priv,
        X_val=series.X[order],
        y_val=series.y[order],
        X_priv_val=series.X_priv[order],
    )
    # rows that are paired as in training are classified as well as in training
    assert max(clf.teacher_.history[:, "valid_acc"]) > 0.95
    nothing = np.full_like(series.X_priv, np.nan)
    clf.fit(series.X, series.y, series.X_priv, X_val=series.X, y_val=series.y, X_priv_val=nothing)
    assert clf.teacher_.history[-1, "train_batch_count"] == 6  # it held out rows of its own
    with pytest.raises(ValueError, match="NaN throughout in 120 of its 120 rows"):
        clf.teacher_predict_proba(series.X, nothing)


@pytest.mark.parametrize("budget", [{"max_epochs": 3}, {"batch_size": 48}, {"verbose": 2}])
def test_the_budget_is_that_of_named_networks(series, budget, capsys):
    clf = GKDClassifier(LogitsOnly, LogitsOnly, beta=0, validation_fraction=0.2, random_state=0)
    clf.set_params(**{"max_epochs": 2, "batch_size": 96, **budget})
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    for net in (clf.teacher_, clf.student_):
        assert len(net.history) == clf.max_epochs
        assert net.history[-1, "train_batch_count"] == 96 // clf.batch_size
    assert ("valid_acc" in capsys.readouterr().out) == bool(clf.verbose)


def test_lr_is_that_of_named_networks(series):
    clf = GKDClassifier(LogitsOnly, LogitsOnly, beta=0, gamma=0, lr=1e-30, random_state=0)
    still = clf.set_params(max_epochs=1).fit(series.X, series.y).student_.module_.state_dict()
    later = clf.set_params(max_epochs=5).fit(series.X, series.y).student_.module_.state_dict()
    moved = clf.set_params(lr=0.1).fit(series.X, series.y).student_.module_.state_dict()
    weights = "network.layer.weight"
    torch.testing.assert_close(still[weights], later[weights], rtol=0, atol=1e-7)
    assert (moved[weights] - later[weights]).abs().max() > 0.01


def test_columns_of_x_priv_keep_their_order(series, clf):
    frame = pd.DataFrame(series.X_priv.reshape(120, -1)).add_prefix("band_")
    clf.set_params(n_channels_priv=4).fit(series.X, series.y, X_priv=frame)
    with pytest.raises(ValueError, match="X_priv has other column names"):
        clf.teacher_predict_proba(series.X, frame[frame.columns[::-1]])
    expected = clf.teacher_predict_proba(series.X, frame)
    by_array = clf.teacher_predict_proba(series.X, series.X_priv)
    np.testing.assert_array_equal(by_array, expected)


def test_x_priv_may_be_a_table_where_fit_saw_3d(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(
        clf.teacher_predict_proba(series.X, series.X_priv.reshape(120, -1)),
        clf.teacher_predict_proba(series.X, series.X_priv),
    )


def test_a_supervised_priv_transformer_is_given_the_labels(series, clf):
    clf.set_params(priv_transformer=SelectKBest(k=3), beta=0, max_epochs=1)
    X_priv = series.X_priv.reshape(120, -1).copy()
    X_priv[::7] = np.nan
    clf.fit(series.X, series.y, X_priv=X_priv)
    assert clf.priv_shape_ == (3, 1)


@pytest.mark.parametrize(("beta", "gamma"), [(1, 0), (0, 1)])
def test_without_x_priv_a_plain_student_is_trained_with_a_warning(series, clf, beta, gamma):
    clf.set_params(beta=beta, gamma=gamma)
    with pytest.warns(PrivilegedInformationWarning, match="X_priv was not given"):
        clf.fit(series.X, series.y)
    plain = clf.predict_proba(series.X)
    assert not hasattr(clf, "teacher_")
    clf.set_params(beta=0, gamma=0).fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(clf.predict_proba(series.X), plain)


def test_refitting_without_x_priv_leaves_no_old_teacher(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    clf.set_params(beta=0, gamma=0).fit(series.X, series.y)
    assert not hasattr(clf, "teacher_")
    assert not hasattr(clf, "priv_shape_")


def test_an_own_network_without_features(series, small):
    clf = GKDClassifier(
        LogitsOnly, LogitsOnly, beta=0, max_epochs=2, validation_fraction=0.2, random_state=0
    )
    assert clf.fit(series.X, series.y, X_priv=series.X_priv).predict(series.X).shape == (120,)
    for teacher, student, role in [(LogitsOnly, small, "teacher"), (small, LogitsOnly, "student")]:
        with pytest.raises(ValueError, match=f"the {role} has none"):
            GKDClassifier(teacher, student).fit(series.X, series.y, X_priv=series.X_priv)


def test_grid_search_with_a_gap_filler(series, clf):
    pipeline = make_pipeline(FunctionTransformer(), clf.set_params(priv_transformer=GapFiller()))
    search = GridSearchCV(clf, {"gamma": [0, 10], "student__lr": [1e-3, 1e-2]}, cv=2)
    search.fit(series.X, series.y, X_priv=with_nan(series.X_priv))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    pipeline.fit(series.X, series.y, gkdclassifier__X_priv=with_nan(series.X_priv))
    assert pipeline.predict(series.X).shape == (120,)


def test_paper_settings():
    params = GKDClassifier(**PAPER_SETTINGS).get_params(deep=False)
    assert (params["teacher"], params["student"]) == ("cnn", "mlp")
    assert (params["alpha"], params["beta"], params["gamma"], params["temperature"]) == (
        1,
        1,
        10,
        1,
    )
    assert (params["lr"], params["batch_size"], params["max_epochs"]) == (5e-5, 32, 5000)
    assert params["n_iter_no_change"] is None


ERRORS = [
    ({}, lambda s: {"X_priv": s.X_priv[:100]}, "X_priv has 100 rows and X has 120"),
    ({}, lambda s: {"X": s.X[:, :, :, None]}, "X has 4 dimensions"),
    ({}, lambda s: {"X_priv": s.X_priv[..., None]}, "X_priv has 4 dimensions"),
    ({}, lambda s: {"X_priv": s.X_priv[:, 0, 0]}, r"X_priv has 1 dimension"),
    ({"n_channels": 5}, lambda s: {"X": s.X.reshape(120, -1)}, "n_channels=5 does not divide"),
    (
        {"n_channels_priv": 5},
        lambda s: {"X_priv": s.X_priv.reshape(120, -1)},
        "X_priv has 24 columns, which n_channels_priv=5 does not divide",
    ),
    ({"n_channels": 3}, lambda s: {}, "X is 3-D with 2 channels, but n_channels=3"),
    ({}, lambda s: {"X": np.where(s.X > -13, np.inf, s.X)}, "X contains inf"),
    (
        {},
        lambda s: {"X": with_nan(s.X, [5, 7])},
        r"X contains NaN in 2 rows .the first is row 5",
    ),
    ({}, lambda s: {"X_priv": with_nan(s.X_priv)}, r"X_priv contains NaN .*priv_transformer"),
    ({}, lambda s: {"y": np.full(120, "maize")}, "y holds one class, 'maize'"),
    (
        {},
        lambda s: {"X": s.X[:15], "y": np.arange(15), "X_priv": s.X_priv[:15]},
        "y has 15 rows of 15 classes",
    ),
    ({"alpha": -1}, lambda s: {}, "'alpha'"),
    ({"beta": -1}, lambda s: {}, "'beta'"),
    ({"gamma": -1}, lambda s: {}, "'gamma'"),
    ({"temperature": 0}, lambda s: {}, "'temperature'"),
    ({"batch_size": 1}, lambda s: {}, "'batch_size'"),
    ({"teacher": "rnn"}, lambda s: {}, r"teacher='rnn' is not .*\['cnn', 'ensemble', 'mlp'\]"),
    ({"student": "rnn"}, lambda s: {}, r"student='rnn' is not"),
    (
        {"student": SeriesNet(module__features=5)},
        lambda s: {},
        "teacher's 8 features .* student's 5",
    ),
    ({}, lambda s: {"X_val": s.X}, "X_val was given without y_val"),
    ({}, lambda s: {"y_val": s.y}, "y_val was given without X_val"),
    ({}, lambda s: {"X_priv_val": s.X_priv}, "X_priv_val was given without X_val"),
    ({}, lambda s: {"X_val": s.X, "y_val": s.y[:9]}, "y_val has 9 rows and X_val has 120"),
    ({}, lambda s: {"X_val": s.X, "y_val": ["rice"] * 120}, r"y_val holds classes .*\['rice'\]"),
    (
        {},
        lambda s: {"X_val": s.X, "y_val": s.y, "X_priv_val": s.X_priv[:, :3]},
        r"X_priv_val has series of \(T, C\) = \(3, 4\)",
    ),
    ({}, lambda s: {"X_val": s.X[:, :3], "y_val": s.y}, r"X_val has series of \(T, C\) = \(3, 2\)"),
    ({"student": SeriesNet(module__widht=5)}, lambda s: {}, "widht"),
    ({"student": MLP([(6, 2)], 3)}, lambda s: {}, "student is an instance of MLP"),
    (
        {"teacher": SeriesNet(iterator_train__drop_last=True)},
        lambda s: {},
        "teacher has .*drop_last",
    ),
    (
        {"student": SeriesNet(criterion__weight=None)},
        lambda s: {},
        "student has .*criterion__weight",
    ),
    ({"student": SeriesNet(batch_size=1)}, lambda s: {}, "student has batch_size=1"),
    ({"student": TooManyLogits}, lambda s: {}, r"student's network returned .* \(2, 4\)"),
    ({}, lambda s: {"X_priv": csr_array(s.X_priv[:, 0])}, "X_priv is a sparse matrix"),
    (
        {"priv_transformer": FunctionTransformer()},
        lambda s: {"X_priv": np.concatenate([s.X_priv[:60] * np.nan, with_nan(s.X_priv[60:], 1)])},
        r"X_priv contains NaN in 1 rows .the first is row 61.*FunctionTransformer",
    ),
]


@pytest.mark.parametrize(("params", "changed", "message"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors_name_the_argument_and_leave_nothing_half_fitted(
    series, clf, params, changed, message
):
    arguments = {"X": series.X, "y": series.y, "X_priv": series.X_priv, **changed(series)}
    clf.set_params(**params)
    clf._store = NoWork()
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit(**arguments)
    assert not [name for name in vars(clf) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        clf.predict(series.X)


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
        clf.predict(with_nan(series.X))


def test_x_priv_is_routed_without_being_requested(series, clf):
    pipeline = make_pipeline(GapFiller(), clf.set_params(priv_transformer=GapFiller()))
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.fit(with_nan(series.X), series.y, X_priv=with_nan(series.X_priv))
        params = {"X_priv": series.X_priv, "groups": series.groups}
        results = cross_validate(
            pipeline, series.X, series.y, cv=GroupKFold(2), params=params, return_estimator=True
        )
    assert np.isfinite(results["test_score"]).all()
    assert all(hasattr(fitted[-1], "teacher_") for fitted in results["estimator"])


def test_privileged_information_without_time(series, clf):
    clf.set_params(teacher="cnn", beta=0, max_epochs=2)
    clf.fit(series.X, series.y, X_priv=series.X_priv.reshape(120, 1, 24))
    assert clf.teacher_.module_.network.branches[1][0].in_channels == 24
    assert clf.predict(series.X).shape == (120,)


def test_a_pipeline_transforms_validation_and_unlabelled_rows_by_transform_input(series, clf):
    X = with_nan(series.X)
    arguments = {
        "X_priv": series.X_priv,
        "X_val": X,
        "y_val": series.y,
        "X_unlabeled": X,
        "X_priv_unlabeled": series.X_priv,
    }
    steps = [("gaps", GapFiller()), ("clf", clf)]
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = Pipeline(steps, transform_input=["X_val", "X_unlabeled"])
        assert pipeline.fit(X, series.y, **arguments).predict(X).shape == (120,)
        with pytest.raises(ValueError, match="X_val contains NaN"):
            Pipeline(steps).fit(X, series.y, **arguments)
