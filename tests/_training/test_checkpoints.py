import errno
import multiprocessing
import os
import shutil
import time

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import EarlyStopping
from torch import nn

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd._training import checkpoints
from sklearn_gkd.networks import MLP, SeriesNet


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoint"


@pytest.fixture
def clf(small, folder):
    net = small.set_params(module__dropout=0.5, max_epochs=20, batch_size=64)
    return GKDClassifier(
        net,
        clone(net),
        teacher_cv=2,
        validation_fraction=0.2,
        checkpoint=folder,
        random_state=0,
    )


def fit(clf, series):
    return clf.fit(series.X, series.y, X_priv=series.X_priv)


def content(clf, series):
    """Return all that a fit leaves but durations."""
    nets = [clf.teacher_, clf.student_]
    histories = [net.history[:, ("epoch", "train_loss", "valid_loss", "valid_acc")] for net in nets]
    weights = [{k: v.numpy() for k, v in net.module_.state_dict().items()} for net in nets]
    return joblib.hash([clf.predict_proba(series.X), weights, np.array(histories)])


def fit_in_a_process(clf, series):
    """Start a fit in a process of its own; fork spares it the imports."""
    process = multiprocessing.get_context("fork").Process(target=fit, args=(clf, series))
    process.start()
    return process


def kill_and_go_on(clf, series, n_kills, seed):
    whole = fit(clone(clf).set_params(checkpoint=None), series)
    start = time.monotonic()
    fit(clone(clf).set_params(checkpoint=clf.checkpoint.with_name("other")), series)
    duration = time.monotonic() - start
    rng = np.random.RandomState(seed)
    n_killed = 0
    while n_killed < n_kills:
        process = fit_in_a_process(clf, series)
        time.sleep(rng.uniform(0.02, 0.5) * duration)
        if process.is_alive():
            n_killed += 1
        else:
            shutil.rmtree(clf.checkpoint)
        process.kill()
        process.join()
    assert content(fit(clf, series), series) == content(whole, series)


def test_killed_fits_go_on_and_end_with_the_same_bits(clf, series):
    kill_and_go_on(clf, series, n_kills=2, seed=0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
def test_fits_killed_at_twenty_points_end_with_the_same_bits(clf, series, seed):
    kill_and_go_on(clf, series, n_kills=20, seed=seed)


@pytest.fixture
def written(monkeypatch):
    """Write every epoch, and count the epochs that are trained."""
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 1.0)
    epochs = []

    class Killed(BaseException):
        pass

    def kill_after(n_epochs):
        write = checkpoints.Checkpoint.write

        def write_or_die(self, state):
            write(self, state)
            epochs.append(len(state["history"]))
            if len(epochs) == n_epochs:
                raise Killed

        monkeypatch.setattr(checkpoints.Checkpoint, "write", write_or_die)
        return Killed

    kill_after.epochs = epochs
    return kill_after


@pytest.mark.filterwarnings("ignore:n_iter_no_change=4 does nothing without validation rows")
@pytest.mark.parametrize("n_iter_no_change", [None, 4])
def test_a_net_goes_on_at_the_next_epoch(series, small, folder, written, n_iter_no_change):
    clf = SeriesClassifier(
        small.set_params(max_epochs=20),
        checkpoint=folder,
        n_iter_no_change=n_iter_no_change,
        random_state=0,
    )
    whole = clone(clf).set_params(checkpoint=None).fit(series.X, series.y)
    n_epochs = len(whole.network_.history)
    with pytest.raises(written(3)):
        clf.fit(series.X, series.y)
    clf.fit(series.X, series.y)
    assert written.epochs == [1, 2, 3, *range(4, n_epochs + 1), n_epochs]
    np.testing.assert_array_equal(clf.predict_proba(series.X), whole.predict_proba(series.X))
    clf.fit(series.X, series.y)
    assert len(written.epochs) == n_epochs + 1
    np.testing.assert_array_equal(clf.predict_proba(series.X), whole.predict_proba(series.X))


@pytest.mark.parametrize(
    "change",
    [
        lambda clf, series: clf.set_params(random_state=1),
        lambda clf, series: clf.set_params(student__lr=0.02),
        lambda clf, series: clf.set_params(gamma=9),
        lambda clf, series: series.X_priv.__setitem__((0, 0, 0), 0),
    ],
)
def test_what_is_other_starts_anew(clf, series, folder, change):
    clf.set_params(teacher__max_epochs=2, student__max_epochs=2)
    fit(clf, series)
    change(clf, series)
    whole = fit(clone(clf).set_params(checkpoint=None), series)
    before = set(folder.iterdir())
    assert content(fit(clf, series), series) == content(whole, series)
    assert set(folder.iterdir()) > before


def test_versions_and_threads_are_part_of_the_name(series, small, folder, monkeypatch):
    small.set_params(max_epochs=1)

    def fit_anew():
        SeriesClassifier(small, checkpoint=folder, random_state=0).fit(series.X, series.y)

    fit_anew()
    monkeypatch.setattr("sklearn_gkd._common.hashing.versions", lambda: {"torch": "0"})
    fit_anew()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    fit_anew()
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_file_is_not_used(series, small, folder, damage):
    clf = SeriesClassifier(small, checkpoint=folder, random_state=0).fit(series.X, series.y)
    expected = clf.predict_proba(series.X)
    [path] = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "altered":
        data[len(data) // 2] ^= 1
    path.write_bytes({"truncated": data[:-100], "altered": data, "empty": b""}[damage])
    with pytest.warns(UserWarning, match="truncated or altered"):
        clf.fit(series.X, series.y)
    np.testing.assert_array_equal(clf.predict_proba(series.X), expected)


def test_a_full_disk_is_an_error_and_leaves_the_last_good_state(
    series, small, folder, written, monkeypatch
):
    clf = SeriesClassifier(small, checkpoint=folder, random_state=0)
    with pytest.raises(written(3)):
        clf.fit(series.X, series.y)
    [path] = folder.iterdir()
    good = path.read_bytes()
    full = OSError(errno.ENOSPC, "No space left on device")

    def no_space(descriptor):
        raise full

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        clf.fit(series.X, series.y)
    assert [p.read_bytes() for p in folder.iterdir()] == [good]


def test_writing_takes_at_most_a_tenth_of_the_time(folder, monkeypatch):
    clock = iter([0.0, 0.0, 2.0, 19.9, 20.0, 20.0, 21.0])
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    checkpoint = checkpoints.Checkpoint(folder / "student.checkpoint")
    numbers = iter(range(9))
    for expected in (0, 0, 1):  # written, too early, written
        checkpoint.write_when_due(lambda: {"number": next(numbers)})
        assert checkpoint.read() == {"number": expected}


def test_without_a_seed_a_fit_goes_on_too(clf, series, folder):
    clf.set_params(random_state=None, teacher__max_epochs=1, student__max_epochs=1)
    first, second = (content(fit(clf, series), series) for _ in range(2))
    assert first == second
    assert len(list(folder.iterdir())) == 4  # a teacher, two of folds, the student


def test_callbacks_cannot_be_kept(clf, series, folder):
    clf.set_params(student__callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match=r"student has callbacks.*Set checkpoint=None"):
        fit(clf, series)
    assert not folder.exists()


def network(factor):
    namespace = {"__name__": "__main__", "nn": nn, "torch": torch}
    exec(
        "class Net(nn.Module):\n"
        "    def __init__(self, shapes, n_classes):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(12, n_classes)\n"
        f"    def forward(self, x): return self.layer({factor} * x.flatten(1))\n",
        namespace,
    )
    return namespace["Net"]


def test_a_network_that_was_edited_starts_anew(series, folder):
    accuracies = []
    for factor in (-1, 1, 1):
        net = SeriesNet(network(factor), max_epochs=3)
        clf = SeriesClassifier(net, checkpoint=folder, random_state=0).fit(series.X, series.y)
        fresh = clone(clf).set_params(checkpoint=None).fit(series.X, series.y)
        np.testing.assert_array_equal(clf.predict_proba(series.X), fresh.predict_proba(series.X))
        accuracies.append(clf.score(series.X, series.y))
    assert len(list(folder.iterdir())) == 2
    assert accuracies[1] == accuracies[2]


def test_a_net_that_cannot_be_hashed_is_trained_with_a_warning(series, small, folder):
    class Lock:
        def __deepcopy__(self, memo):
            return self

        def __reduce__(self):
            raise TypeError("cannot be pickled")

    class Net(MLP):
        def __init__(self, *args, lock, **params):
            super().__init__(*args, **params)

    small.set_params(module=Net, module__lock=Lock(), max_epochs=1)
    clf = SeriesClassifier(small, checkpoint=folder, random_state=0)
    with pytest.warns(UserWarning, match="checkpoint: the network has parameters that cannot"):
        clf.fit(series.X, series.y)
    assert clf.predict(series.X).shape == (120,)
    assert not folder.exists() or list(folder.iterdir()) == []
