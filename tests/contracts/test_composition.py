"""The classifiers as parts of what scikit-learn users build: loops, grids, clones, data frames."""

from functools import partial

import numpy as np
import pytest
import sklearn
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr
from sklearn.utils.fixes import parse_version
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import MLP, SeriesNet

EACH_ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
NARROW = {"module__width": 16, "module__features": 8, "module__head": 8}


class RecordOptimizer(Callback):
    """Records each epoch what the optimizer is, and with which settings it steps."""

    def on_epoch_end(self, net, **kwargs):
        (group,) = net.optimizer_.param_groups
        net.history.record("optimizer", type(net.optimizer_).__name__)
        for name in ("lr", "momentum", "weight_decay"):
            net.history.record(name, group.get(name))


@pytest.fixture
def clf(small):
    return GKDClassifier(clone(small), clone(small), distillation="always", random_state=0)


def fitted_attributes(estimator):
    return [name for name in vars(estimator) if name.endswith("_")]


# In one loop with what does not know X_priv


@EACH_ROUTING
def test_one_loop_for_classifiers_with_and_without_privileged_information(series, clf, routing):
    forest = RandomForestClassifier(n_estimators=5, random_state=0)
    folds = list(StratifiedKFold(2, shuffle=True, random_state=0).split(series.X, series.y))
    results = {}
    for name, estimator in {"GKD": clf, "forest": IgnorePrivileged(forest)}.items():
        with sklearn.config_context(enable_metadata_routing=routing):
            params = {"X_priv": series.X_priv}
            results[name] = cross_validate(estimator, series.X, series.y, cv=folds, params=params)
    table = series.X.reshape(120, -1)
    for i, (train, test) in enumerate(folds):
        y = series.y[train]
        gkd = clone(clf).fit(series.X[train], y, X_priv=series.X_priv[train])
        assert results["GKD"]["test_score"][i] == gkd.score(series.X[test], series.y[test])
        forest.fit(table[train], y)
        assert results["forest"]["test_score"][i] == forest.score(table[test], series.y[test])


# Masked arrays


def test_masked_values_are_missing_in_every_argument(series, clf):
    rng = np.random.RandomState(0)

    def both(X, hidden):
        hidden = np.broadcast_to(hidden, X.shape)
        return np.ma.masked_array(np.where(hidden, -9999, X), hidden), np.where(hidden, np.nan, X)

    gaps = rng.uniform(size=series.X.shape) < 0.1
    X, X_missing = both(series.X, gaps)
    gaps = rng.uniform(size=series.X_priv.shape) < 0.1
    X_priv, priv_missing = both(series.X_priv, gaps | (np.arange(120) % 5 == 0)[:, None, None])
    filler = GapFiller().fit(X_missing)
    clf.set_params(priv_transformer=GapFiller())
    results = []
    for given, priv in [(X, X_priv), (X_missing, priv_missing), (list(X), list(X_priv))]:
        pairs = {"X_unlabeled": series.X[:50], "X_priv_unlabeled": priv[:50]}
        held_out = {"X_val": series.X[:50], "y_val": series.y[:50], "X_priv_val": priv[:50]}
        filled = filler.transform(given)
        model = clone(clf).fit(filled, series.y, X_priv=priv, **pairs, **held_out)
        results.append(model.predict_proba(filled))
        with pytest.raises(ValueError, match="X contains NaN"):
            model.predict(given)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[1])

    boosting = IgnorePrivileged(HistGradientBoostingClassifier(max_iter=3))
    expected = clone(boosting).fit(X_missing, series.y).predict_proba(X_missing)
    np.testing.assert_array_equal(boosting.fit(X, series.y).predict_proba(X), expected)


# Output as frames


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_transformers_within_give_the_same_with_any_output(series, clf, library):
    X = np.where(np.random.RandomState(0).uniform(size=series.X.shape) < 0.1, np.nan, series.X)
    clf.set_params(priv_transformer=GapFiller())
    of_series = make_pipeline(GapFiller(), clf)
    table, priv_table = X.reshape(120, -1), series.X_priv.reshape(120, -1)
    channels = {"n_channels": 2, "n_channels_priv": 4, "priv_transformer": GapFiller(4)}
    of_tables = make_pipeline(GapFiller(2), clone(clf).set_params(**channels))
    calls = [(of_series, X, series.X_priv), (of_tables, table, priv_table)]

    def predicted(pipeline, X, X_priv):
        return clone(pipeline).fit(X, series.y, gkdclassifier__X_priv=X_priv).predict_proba(X)

    expected = [predicted(*call) for call in calls]
    with sklearn.config_context(transform_output=library):
        for call, probabilities in zip(calls, expected, strict=True):
            np.testing.assert_array_equal(predicted(*call), probabilities)


# Nested parameters


def test_nested_parameters_reach_the_fitted_nets(series, clf):
    clf.set_params(teacher__callbacks=[RecordOptimizer()], student__callbacks=[RecordOptimizer()])
    grid = {
        "student__module__width": [12, 24],
        "student__max_epochs": [1, 2],
        "teacher__lr": [0.02, 0.05],
        "teacher__module__dropout": [0.1],
    }
    search = GridSearchCV(clf, grid, cv=2, error_score="raise")
    search.fit(series.X, series.y, X_priv=series.X_priv)
    best, chosen = search.best_estimator_, search.best_params_
    assert len(search.cv_results_["params"]) == 8
    student, teacher = best.student_.module_.network, best.teacher_.module_.network
    assert student.body[0].out_features == chosen["student__module__width"]
    assert teacher.body[0].out_features == 16
    assert len(best.student_.history) == chosen["student__max_epochs"]
    assert len(best.teacher_.history) == 3
    assert set(best.teacher_.history[:, "lr"]) == {chosen["teacher__lr"]}
    assert set(best.student_.history[:, "lr"]) == {0.01}
    dropouts = [
        {layer.p for layer in net.modules() if isinstance(layer, torch.nn.Dropout)}
        for net in (teacher, student)
    ]
    assert dropouts == [{0.1}, {0.3}]
    assert clf.get_params()["student__max_epochs"] == 3


def test_a_grid_over_the_whole_net_and_the_forest(series, clf, small):
    wide = clone(small).set_params(module__width=20)
    search = GridSearchCV(clf, {"student": [wide]}, cv=2, error_score="raise")
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert search.best_estimator_.student_.module_.network.body[0].out_features == 20

    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=3, random_state=0))
    search = GridSearchCV(forest, {"estimator__max_depth": [2]}, cv=2, error_score="raise")
    search.fit(series.X, series.y, X_priv=series.X_priv)
    depths = [tree.get_depth() for tree in search.best_estimator_.estimator_.estimators_]
    assert depths == [2, 2, 2]


def test_set_params_and_get_params(clf):
    assert clf.set_params(student__module__dropout=0.5, gamma=2, teacher__lr=0.3) is clf
    params = clf.get_params()
    assert params["student__module__dropout"] == 0.5
    assert params["gamma"] == 2
    assert (params["teacher__lr"], params["student__lr"]) == (0.3, 0.01)
    assert "teacher__module__dropout" not in params
    for wrong in ("nonsense", "student__nonsense", "teacher__callbacks__nonsense__lr"):
        with pytest.raises(ValueError, match="nonsense"):
            clf.set_params(**{wrong: 1})


# Clones and what is shown


def test_a_clone_is_equal_and_shares_nothing(clf):
    clf.set_params(gamma=3, student__callbacks=[("lr", LRScheduler("StepLR", step_size=1))])
    other = clone(clf)
    given, cloned = clf.get_params(), other.get_params()
    assert given.keys() == cloned.keys()
    assert all(type(cloned[name]) is type(value) for name, value in given.items())
    plain = (int, float, str, type, type(None))
    assert all(cloned[name] == v for name, v in given.items() if isinstance(v, plain))
    assert clf.student is not other.student
    assert clf.teacher is not other.teacher
    assert clf.student.callbacks[0][1] is not other.student.callbacks[0][1]
    other.set_params(student__lr=7.0, student__module__width=9)
    assert clf.student.lr == 0.01
    assert clf.student.module__width == 16


def test_fit_leaves_the_parameters_and_a_clone_of_it_is_unfitted(series, clf):
    before = clf.get_params()
    shown = repr(clf)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    after = clf.get_params()
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before if "__callbacks__" not in name)
    assert repr(clf) == shown
    assert not clf.student.initialized_
    unfitted = clone(clf)
    assert fitted_attributes(clf)
    assert not fitted_attributes(unfitted)
    assert repr(unfitted) == shown
    with pytest.raises(NotFittedError):
        unfitted.predict(series.X)
    expected = clf.predict_proba(series.X)
    again = unfitted.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    np.testing.assert_array_equal(again, expected)


def test_repr_is_what_was_set_and_nothing_else(small):
    """Exact texts: the same in every process, so without addresses."""
    assert repr(GKDClassifier()) == "GKDClassifier()"
    assert repr(SeriesClassifier("cnn", lr=0.1)) == "SeriesClassifier(lr=0.1, network='cnn')"
    net = (
        "SeriesNet(batch_size=16, lr=0.01, max_epochs=3, module__features=8, module__head=8, "
        "module__width=16)"
    )
    clf = GKDClassifier(student=small, gamma=3, priv_transformer=GapFiller(4))
    assert " ".join(repr(clf).split()) == (
        f"GKDClassifier(gamma=3, priv_transformer=GapFiller(n_channels=4), student={net})"
    )
    own = GKDClassifier(SeriesNet(MLP, optimizer=torch.optim.SGD, optimizer__momentum=0.9))
    assert " ".join(repr(own).split()) == (
        "GKDClassifier(teacher=SeriesNet(module=<class 'sklearn_gkd.networks._architectures.MLP'>, "
        "optimizer=<class 'torch.optim.sgd.SGD'>, optimizer__momentum=0.9))"
    )


def test_html_diagram(series, clf):
    pipeline = make_pipeline(GapFiller(), IgnorePrivileged(clf))
    for shown in (
        clf,
        pipeline,
        GridSearchCV(pipeline, {}),
        GKDClassifier(),
        IgnorePrivileged(clf),
    ):
        html = estimator_html_repr(shown)
        assert "GKDClassifier" in html
        assert " at 0x" not in html
    html = estimator_html_repr(clf)
    assert all(name in html for name in ("SeriesNet", "teacher", "student", "module__width"))
    assert ">Not fitted<" in html
    clf.set_params(student__max_epochs=1, teacher__max_epochs=1)
    html = estimator_html_repr(clf.fit(series.X, series.y, X_priv=series.X_priv))
    assert ">Fitted<" in html
    assert ">Not fitted<" not in html
    assert "GKDClassifier" in clf._repr_mimebundle_()["text/html"]


# Data frames


@pytest.fixture(params=["pandas", "polars"])
def frames(request, series):
    """X, y and X_priv as a library's data frames and series."""
    library = pytest.importorskip(request.param)
    if request.param == "polars" and parse_version(sklearn.__version__) < parse_version("1.9"):
        pytest.skip("older versions of scikit-learn do not see the names of polars' columns")

    def frame(values, prefix):
        values = values.reshape(120, -1)
        return library.DataFrame({f"{prefix}{i}": column for i, column in enumerate(values.T)})

    return frame(series.X, "VV_"), library.Series(series.y.tolist()), frame(series.X_priv, "B_")


def backwards(frame):
    return frame[list(frame.columns)[::-1]]


@pytest.fixture
def table_clf(clf):
    clf.set_params(student__max_epochs=2, teacher__max_epochs=2)
    return clf.set_params(n_channels=2, n_channels_priv=4)


def test_data_frames_are_their_values(series, frames, table_clf):
    X, y, X_priv = frames
    expected = clone(table_clf).fit(series.X, series.y, X_priv=series.X_priv)
    table_clf.fit(X, y, X_priv=X_priv)
    assert table_clf.feature_names_in_.tolist() == [f"VV_{i}" for i in range(12)]
    np.testing.assert_array_equal(table_clf.predict(X), expected.predict(series.X))
    np.testing.assert_array_equal(table_clf.predict_proba(X), expected.predict_proba(series.X))
    np.testing.assert_array_equal(
        table_clf.teacher_predict_proba(X, X_priv),
        expected.teacher_predict_proba(series.X, series.X_priv),
    )


def test_columns_in_another_order_are_refused(frames, table_clf):
    X, y, X_priv = frames
    table_clf.fit(X, y, X_priv=X_priv)
    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=3)).fit(X, y, X_priv=X_priv)
    assert forest.feature_names_in_.tolist() == list(X.columns)
    assert not fitted_attributes(forest.estimator)
    calls = [
        table_clf.predict,
        table_clf.predict_proba,
        forest.predict,
        lambda X: table_clf.teacher_predict_proba(X, X_priv),
        lambda X_val: clone(table_clf).fit(X, y, X_priv=X_priv, X_val=X_val, y_val=y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="feature names should match"):
            call(backwards(X))
    for call in (
        lambda other: table_clf.teacher_predict_proba(X, other),
        lambda other: clone(table_clf).fit(X, y, X_priv=X_priv, X_val=X, y_val=y, X_priv_val=other),
    ):
        with pytest.raises(ValueError, match=r"X_priv(_val)? has other column names"):
            call(backwards(X_priv))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        table_clf.predict(X.to_numpy())


@EACH_ROUTING
def test_data_frames_are_split_alike(series, frames, table_clf, routing):
    X, y, X_priv = frames
    table_clf.set_params(priv_transformer=GapFiller(4))
    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=3, random_state=0))
    for estimator in (table_clf, forest):
        pipeline = make_pipeline(GapFiller(2), estimator)
        prefix = "" if routing else f"{type(estimator).__name__.lower()}__"
        with sklearn.config_context(enable_metadata_routing=routing):
            by_frame = cross_val_score(pipeline, X, y, cv=2, params={f"{prefix}X_priv": X_priv})
            by_array = cross_val_score(
                pipeline,
                series.X.reshape(120, -1),
                series.y,
                cv=2,
                params={f"{prefix}X_priv": series.X_priv.reshape(120, -1)},
            )
        np.testing.assert_array_equal(by_frame, by_array)


# skorch nets of the user's own

CALLBACKS = {
    "named": [("record", RecordOptimizer()), ("lr", LRScheduler("StepLR", step_size=1, gamma=0.5))],
    "instances": [RecordOptimizer(), LRScheduler("StepLR", step_size=1, gamma=0.5)],
    "classes": [RecordOptimizer, LRScheduler("StepLR", step_size=1, gamma=0.5)],
}


@pytest.mark.parametrize("callbacks", CALLBACKS.values(), ids=CALLBACKS)
def test_a_given_net_keeps_its_callbacks_and_optimizer(series, callbacks):
    net = NeuralNetClassifier(
        MLP,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.08,
        max_epochs=3,
        batch_size=16,
        verbose=0,
        callbacks=callbacks,
        **NARROW,
    )
    adamw = SeriesNet(
        optimizer=partial(torch.optim.AdamW, weight_decay=0.25),
        max_epochs=2,
        callbacks=[RecordOptimizer()],
        **NARROW,
    )
    clf = GKDClassifier(net, adamw, random_state=0)
    for given in (clf, clone(clf), clone(clone(clf).fit(series.X, series.y, X_priv=series.X_priv))):
        given.fit(series.X, series.y, X_priv=series.X_priv)
        rows = given.teacher_.history[:, ("optimizer", "lr", "momentum")]
        assert [(name, momentum) for name, _, momentum in rows] == [("SGD", 0.9)] * 3
        np.testing.assert_allclose([lr for _, lr, _ in rows], [0.08, 0.04, 0.02])
        rows = given.student_.history[:, ("optimizer", "lr", "weight_decay")]
        assert rows == [("AdamW", 0.001, 0.25)] * 2
        assert len(given.teacher.callbacks) == 2
    assert clf.teacher is net
    assert clf.teacher.callbacks is callbacks
    assert clf.teacher.optimizer is torch.optim.SGD
    assert isinstance(clf.teacher_, NeuralNetClassifier)


def test_parameters_of_given_callbacks_are_searched(series, clf):
    clf.set_params(teacher__callbacks=CALLBACKS["named"], teacher__max_epochs=3)
    grid = {"teacher__callbacks__lr__gamma": [0.1]}
    search = GridSearchCV(clf, grid, cv=2, error_score="raise")
    search.fit(series.X, series.y, X_priv=series.X_priv)
    rates = search.best_estimator_.teacher_.history[:, "lr"]
    np.testing.assert_allclose(rates, [0.01, 0.001, 0.0001])


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.long)])
def test_a_search_is_the_same_by_one_worker_or_four(series, small, backend):
    clf = GKDClassifier(small, clone(small), random_state=0)
    grid = {"gamma": [1, 10], "student__module__dropout": [0, 0.3]}
    found = []
    for n_jobs in (1, 4):
        with parallel_config(backend=backend, n_jobs=n_jobs):
            search = GridSearchCV(clf, grid, cv=2).fit(series.X, series.y, X_priv=series.X_priv)
        scores = [search.cv_results_[f"split{i}_test_score"] for i in (0, 1)]
        found.append((*scores, search.predict_proba(series.X)))
    for one, four in zip(*found, strict=True):
        np.testing.assert_array_equal(one, four)


def test_predictions_do_not_depend_on_the_number_of_threads(series):
    wide = SeriesNet("mlp", module__width=600, max_epochs=1)
    clf = GKDClassifier(wide, wide, random_state=0).fit(series.X, series.y, X_priv=series.X_priv)
    by_one = clf.predict_proba(series.X)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        np.testing.assert_allclose(clf.predict_proba(series.X), by_one, atol=1e-5)
    finally:
        torch.set_num_threads(before)
