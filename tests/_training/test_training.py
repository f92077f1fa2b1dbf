import dataclasses
import math

import numpy as np
import pytest
import torch

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training.training import Setting
from sklearn_gkd.losses import LossWeights


@pytest.fixture
def training(series, small, recorder):
    """The training of a student."""
    small.set_params(max_epochs=1)
    clf = GKDClassifier(small, small, class_weight="balanced", random_state=0)
    clf._store = recorder
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    return recorder.trainings[-1]


def test_a_setting_is_its_loss_weights_and_learning_rate(training):
    assert training.role == "student"
    assert training.setting == Setting(LossWeights(1.0, 0.1, 1.0, 1.0), 1e-2)
    training.net.set_params(lr=np.float32(0.5))
    assert training.setting.lr == 0.5
    assert type(training.setting.lr) is float


@pytest.mark.parametrize(("n_rows", "n_epochs"), [(50, 113), (1000, 54), (10_000, 30), (1, 300)])
def test_a_net_without_epochs_passes_over_more_rows_less_often(training, n_rows, n_epochs):
    training.net.set_params(max_epochs=None)
    some = dataclasses.replace(training, train=np.zeros(n_rows, dtype=int))
    assert some.n_epochs == n_epochs
    assert training.n_epochs == math.ceil(300 / 120**0.25) == 91
    key = training.key(training.setting)
    training.net.set_params(max_epochs=91)
    assert dataclasses.replace(training).key(training.setting) == key
    training.net.set_params(max_epochs=90)
    assert dataclasses.replace(training).key(training.setting) != key


def test_a_data_set_has_views_and_targets_of_its_rows(training, series):
    rows = np.array([3, 100])
    view, codes, logits, features, taught = training.dataset(rows).tensors
    np.testing.assert_array_equal(view, series.X[rows])
    assert codes.tolist() == np.unique(series.y, return_inverse=True)[1][rows].tolist()
    assert (logits.shape, features.shape, taught.tolist()) == ((2, 3), (2, 8), [1.0, 1.0])


CHANGES = {
    "rows": lambda t: dataclasses.replace(t, train=t.train[1:]),
    "validation rows": lambda t: dataclasses.replace(t, valid=t.train[:1]),
    "seed": lambda t: dataclasses.replace(t, seed=t.seed + 1),
    "patience": lambda t: dataclasses.replace(t, n_iter_no_change=3),
    "role": lambda t: dataclasses.replace(t, role="teacher"),
    "device": lambda t: dataclasses.replace(t, device=torch.device("meta")),
    "targets": lambda t: dataclasses.replace(t, targets=[t.targets[0] * 0, *t.targets[1:]]),
    "views": lambda t: dataclasses.replace(t, views=[t.views[0]._replace(per_column=True)]),
    "net": lambda t: dataclasses.replace(t, net=t.net.set_params(module__dropout=0.5)),
    "weights of rows": lambda t: dataclasses.replace(t, sample_weight=np.ones(120, "f4")),
    "class weights": lambda t: dataclasses.replace(
        t, outcome=dataclasses.replace(t.outcome, weights=None)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_key_is_of_all_that_a_training_depends_on(training, change):
    before = training.key(training.setting)
    assert dataclasses.replace(training).key(training.setting) == before
    assert change(training).key(training.setting) != before


def test_a_key_leaves_out_what_it_is_given_another_of(training):
    other = Setting(LossWeights(2.0, 1.0, 1.0, 1.0), 1e-2)
    by_itself = dataclasses.replace(training, weights=other.weights)
    assert by_itself.key(other) == training.key(other) != training.key(training.setting)
