import pickle
import signal
import threading
from importlib.util import find_spec
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping, MlflowLogger, TensorBoard

from sklearn_gkd import GKDClassifier, InterruptedFitWarning, SeriesClassifier

with_callbacks = pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="sklearn.callback came with scikit-learn 1.9"
)


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """It does not where a shell has started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def small(small):
    return small.set_params(max_epochs=8, batch_size=64)


@pytest.fixture
def clf(small):
    return GKDClassifier(small, clone(small), validation_fraction=0.2, random_state=0)


class Recorder:
    """A scikit-learn callback that writes down what it is told."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.begun = []
        self.ended = []
        self.n_torn_down = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.n_torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(self._path(context))

    def on_fit_task_end(self, estimator, context):
        self.ended.append(self._path(context))
        return self.ended[-1][-1] == self.stop_at

    def _path(self, context):
        name = f"{context.task_name} {context.task_id}"
        return (*(self._path(context.parent) if context.parent else ()), name)


class Scores(Recorder):
    """Scores the estimator on the rows that a task is given."""

    max_propagation_depth = 0

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        if fitted_estimator is not None:
            self.ended.append((context.task_name, fitted_estimator.score(X, y)))


class Interrupt(Callback):
    """Ctrl-C, as from the keyboard, in or at the end of an epoch."""

    def __init__(self, epoch, when="on_batch_begin"):
        self.epoch = epoch
        self.when = when

    def notify(self, net, when):
        if (len(net.history), when) == (self.epoch, self.when):
            signal.raise_signal(signal.SIGINT)

    def on_batch_begin(self, net, **kwargs):
        self.notify(net, "on_batch_begin")

    def on_epoch_end(self, net, **kwargs):
        self.notify(net, "on_epoch_end")


def tree(teacher_epochs, student_epochs, *above):
    """Tasks of a fit, in the order in which they end."""
    fit = (*above, "fit 0")
    for number, (net, n_epochs) in enumerate(
        [("teacher", teacher_epochs), ("student", student_epochs)]
    ):
        yield from ((*fit, f"{net} {number}", f"epoch {epoch}") for epoch in range(n_epochs))
        yield (*fit, f"{net} {number}")
    yield fit


@with_callbacks
def test_callbacks_are_told_of_both_nets_and_their_epochs(series, clf):
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(series.X, series.y, X_priv=series.X_priv)
    assert recorder.ended == list(tree(8, 8))
    assert sorted(recorder.begun) == sorted(recorder.ended)
    assert recorder.n_torn_down == 1
    recorder.begun.clear()
    recorder.ended.clear()
    clf.set_params(gamma=0, beta=0).fit(series.X, series.y)
    assert recorder.ended[-2:] == [("fit 0", "student 0"), ("fit 0",)]
    assert len(recorder.ended) == 8 + 2


@with_callbacks
def test_callbacks_are_told_of_one_net(series, small):
    recorder = Recorder()
    SeriesClassifier(small).set_callbacks(recorder).fit(series.X, series.y)
    epochs = [("fit 0", "network 0", f"epoch {epoch}") for epoch in range(8)]
    assert recorder.ended == [*epochs, ("fit 0", "network 0"), ("fit 0",)]


@with_callbacks
def test_callbacks_are_told_of_the_teachers_of_folds_and_of_any_classifier(series, clf):
    recorder = Recorder()
    clf.set_params(teacher=GaussianNB(), beta=0, teacher_cv=3).set_callbacks(recorder)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert recorder.ended[:5] == [
        *(("fit 0", f"teacher {number}") for number in range(4)),
        ("fit 0", "student 4", "epoch 0"),
    ]


@with_callbacks
def test_callbacks_change_nothing_and_a_memory_does_not_depend_on_them(series, clf, tmp_path):
    clf.set_params(memory=str(tmp_path))
    plain = clone(clf).fit(series.X, series.y, X_priv=series.X_priv)
    recorder, scores = Recorder(), Scores()
    clf.set_callbacks(recorder, scores).fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(plain.predict_proba(series.X), clf.predict_proba(series.X))
    assert recorder.ended[0] == ("fit 0", "student 0", "epoch 0")
    clone(clf)
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(plain.predict_proba(series.X), loaded.predict_proba(series.X))
    assert not [name for name in vars(clf) if "callback" in name and name != "_skl_callbacks"]


@with_callbacks
@pytest.mark.parametrize("validation_fraction", [0, 0.2])
def test_a_callback_scores_the_student_as_each_epoch_left_it(series, clf, validation_fraction):
    scores = Scores()
    clf.set_params(validation_fraction=validation_fraction, random_state=1)
    clf.set_params(teacher__batch_size=16, student__batch_size=16)  # the best epoch comes early
    clf.set_callbacks(scores).fit(series.X, series.y, X_priv=series.X_priv)
    expected = [
        clone(clf)
        .set_callbacks()
        .set_params(student__max_epochs=n, validation_fraction=0)
        .fit(series.X, series.y, X_priv=series.X_priv)
        .score(series.X, series.y)
        for n in (1, 2)
    ]
    names, values = zip(*scores.ended, strict=True)
    assert names == ("epoch",) * 8 + ("fit",)
    assert values[-1] == clf.score(series.X, series.y)
    if validation_fraction == 0:
        assert list(values[:2]) == expected
        assert values[-1] == values[-2]
    else:
        kept = np.argmax(clf.student_.history[:, "valid_acc"])
        assert kept < 7  # or the next line shows nothing
        assert values[-1] == values[kept]


@with_callbacks
def test_scoring_monitor(series, clf):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    clf.set_callbacks(monitor).fit(series.X, series.y, X_priv=series.X_priv)
    log = monitor.get_logs().data_as_pandas.set_index("task_id_path")
    assert sorted(log.index) == [(0,), *((0, 1, epoch) for epoch in range(8))]
    assert log.loc[[(0,)], "accuracy"].item() == clf.score(series.X, series.y)
    assert log["neg_log_loss"].notna().all()


@with_callbacks
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_progress_bar_nests_in_a_search(series, clf, n_jobs, capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    clf.set_callbacks(monitor)
    search = GridSearchCV(clf, {"gamma": [1, 10]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    search.fit(series.X, series.y, X_priv=series.X_priv)
    shown = capsys.readouterr().out
    for net in ("teacher #0", "student #1"):
        assert shown.count(f"GKDClassifier - {net}") == 2 * 2 + 1
    assert len(monitor.get_logs().data) == 5 * (8 + 1)


@with_callbacks
def test_callbacks_reach_through_a_pipeline(series, clf):
    recorder = Recorder()
    pipeline = make_pipeline(FunctionTransformer(), clf)
    with pytest.warns(UserWarning, match="FunctionTransformer does not support callbacks"):
        pipeline.set_callbacks(recorder).fit(
            series.X, series.y, gkdclassifier__X_priv=series.X_priv
        )
    assert ("fit 0", "fit 1", "student 1", "epoch 7") in recorder.ended


@with_callbacks
def test_a_callback_can_end_the_training_of_each_net(series, clf):
    recorder = Recorder(stop_at="epoch 2")
    clf.set_callbacks(recorder).fit(series.X, series.y, X_priv=series.X_priv)
    assert recorder.ended == list(tree(3, 3))
    assert len(clf.teacher_.history) == len(clf.student_.history) == 3


@with_callbacks
def test_callbacks_are_torn_down_where_fit_fails(series, clf):
    recorder = Recorder()
    clf.set_callbacks(recorder)
    with pytest.raises(ValueError, match="one class"):
        clf.fit(series.X, np.zeros(120), X_priv=series.X_priv)
    assert recorder.ended == []
    assert recorder.n_torn_down == 1


def test_verbose_1_is_a_bar_for_each_net_and_2_a_table(series, clf, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for net in (clf.teacher, clf.student):
        net.set_params(verbose=1)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    shown = capsys.readouterr()
    assert shown.out == ""
    for net, fitted in (("teacher", clf.teacher_), ("student", clf.student_)):
        last = shown.err.split(f"{net}: ")[-1]
        assert "8/8" in last
        assert f"valid_acc={fitted.history[-1, 'valid_acc']:.3g}" in last
    for verbose, line in ((0, None), (2, "valid_acc")):
        clf.set_params(teacher__verbose=verbose, student__verbose=verbose)
        clf.fit(series.X, series.y, X_priv=series.X_priv)
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.count("valid_acc") == (2 if line else 0)


class Writer:
    """Takes the place of TensorBoard's, and like it cannot be copied."""

    written: ClassVar[dict[str, list]] = {}

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()

    def add_scalar(self, tag, scalar_value, global_step):
        self.written.setdefault(self.folder, []).append((tag, global_step))

    def close(self):
        self.written[self.folder].append("closed")


class Log(TensorBoard):
    """Clone-safe, unlike skorch's: its writer is the name of a folder until training begins."""

    def on_train_begin(self, net, **kwargs):
        self.writer = Writer(self.writer)


def test_skorch_loggers_see_each_epoch_and_are_cloned(series, clf, tmp_path):
    Writer.written.clear()
    clf.teacher.set_params(callbacks=[("log", Log("teacher"))])
    clf.student.set_params(callbacks=[("log", Log("student")), EarlyStopping(patience=99)])
    GridSearchCV(clf, {"gamma": [1, 10]}, cv=2, refit=False).fit(
        series.X, series.y, X_priv=series.X_priv
    )
    for net in ("teacher", "student"):
        written = Writer.written[net]
        assert written.count("closed") == 4
        for tag in ("Loss/valid_acc", "Loss/train_loss", "dur"):
            assert [w[1] for w in written if w[0] == tag] == [*range(1, 9)] * 4
    fitted = clf.fit(series.X, series.y, X_priv=series.X_priv)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert loaded.student_.callbacks_ == []


class Client:
    """Takes the place of MLflow's run and client."""

    info = SimpleNamespace(run_id="run")
    logged: ClassVar[list] = []

    def log_metric(self, run_id, key, value, step):
        self.logged.append((key, step))


def test_mlflow_logs_both_nets_in_one_run(series, clf):
    Client.logged.clear()
    for net in ("teacher", "student"):
        log = MlflowLogger(
            Client(),
            Client(),
            terminate_after_train=False,
            create_artifact=False,
            epoch_suffix=f"_{net}",
        )
        clf.set_params(**{f"{net}__callbacks": [("log", log)]})
    cross_val_score(clf, series.X, series.y, cv=2, params={"X_priv": series.X_priv})
    for key in ("valid_acc_teacher", "train_loss_student"):
        assert [step for name, step in Client.logged if name == key] == [*range(1, 9)] * 2


@pytest.mark.parametrize("when", ["on_batch_begin", "on_epoch_end"])
def test_an_interrupted_teacher_ends_fit_and_leaves_the_estimator_as_it_was(series, clf, when):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    before = clf.student_
    clf.teacher.set_params(callbacks=[Interrupt(3, when)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert clf.student_ is before


def test_an_interrupted_first_epoch_ends_fit(series, clf):
    clf.student.set_params(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert not hasattr(clf, "teacher_")


@pytest.mark.parametrize(("when", "n_complete"), [("on_batch_begin", 3), ("on_epoch_end", 4)])
def test_an_interrupted_student_is_kept_as_of_its_best_epoch(series, clf, when, n_complete):
    whole = clone(clf).set_params(student__max_epochs=n_complete)
    whole.fit(series.X, series.y, X_priv=series.X_priv)
    clf.student.set_params(callbacks=[Interrupt(4, when)])
    message = rf"student was interrupted after {n_complete} of 8 epochs; the best of them is kept"
    with pytest.warns(InterruptedFitWarning, match=message) as record:
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert record[0].filename == __file__
    assert clf.student_.history[:, "valid_acc"] == whole.student_.history[:, "valid_acc"]
    np.testing.assert_array_equal(clf.predict_proba(series.X), whole.predict_proba(series.X))


def test_without_validation_rows_an_interrupted_net_is_kept_as_it_is(series, small):
    small.set_params(callbacks=[Interrupt(4)])
    clf = SeriesClassifier(small, validation_fraction=0, random_state=0)
    whole = clone(clf).set_params(network__callbacks=[], network__max_epochs=3)
    with pytest.warns(InterruptedFitWarning, match="network was .* 3 of 8 .* last state is kept"):
        clf.fit(series.X, series.y)
    assert len(clf.network_.history) == 3
    expected = whole.fit(series.X, series.y).predict_proba(series.X)
    np.testing.assert_array_equal(clf.predict_proba(series.X), expected)  # no batch was trained on


@with_callbacks
def test_an_interrupted_student_ends_its_tasks(series, clf):
    recorder = Recorder()
    clf.student.set_params(callbacks=[Interrupt(4)])
    with pytest.warns(InterruptedFitWarning):
        clf.set_callbacks(recorder).fit(series.X, series.y, X_priv=series.X_priv)
    assert recorder.ended == list(tree(8, 3))


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_early_stopping_is_no_interrupt(series, clf, role):
    getattr(clf, role).set_params(callbacks=[EarlyStopping("train_batch_count", patience=2)])
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    n_epochs = {net: len(getattr(clf, f"{net}_").history) for net in ("teacher", "student")}
    assert n_epochs == {"teacher": 8, "student": 8, role: 3}


def test_n_iter_no_change_is_no_interrupt(series, small):
    clf = SeriesClassifier(small, n_iter_no_change=2, validation_fraction=0.2, random_state=0)
    clf.set_params(network__lr=1e-9).fit(series.X, series.y)
    accuracies = clf.network_.history[:, "valid_acc"]
    assert len(accuracies) == int(np.argmax(accuracies)) + 1 + 2 < 8
    assert all(torch.isfinite(p).all() for p in clf.network_.module_.parameters())


@with_callbacks
@pytest.mark.parametrize("kept_by", ["checkpoint", "memory"])
def test_what_a_callback_cut_short_is_not_taken_for_the_whole(series, clf, tmp_path, kept_by):
    expected = clone(clf).fit(series.X, series.y, X_priv=series.X_priv)
    clf.set_params(**{kept_by: tmp_path})
    clone(clf).set_callbacks(Recorder(stop_at="epoch 2")).fit(
        series.X, series.y, X_priv=series.X_priv
    )
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(clf.predict_proba(series.X), expected.predict_proba(series.X))
