import dataclasses

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training.budget import budget_of
from sklearn_gkd._training.training import Setting
from sklearn_gkd.losses import LossWeights
from sklearn_gkd.networks import MLPEnsemble, SeriesNet


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


def test_a_net_that_leaves_its_budget_open_is_the_one_that_has_it(training):
    training.net.set_params(max_epochs=None, batch_size=None, lr=None)
    assert training.budget == (91, 64, 0.001)  # of 120 rows
    assert training.setting.lr == 0.001
    key = training.key(training.setting)
    training.net.set_params(max_epochs=91, batch_size=64)
    assert dataclasses.replace(training).key(training.setting) == key
    for changed in ({"max_epochs": 90}, {"batch_size": 32}):
        other = dataclasses.replace(training, net=clone(training.net).set_params(**changed))
        assert other.key(training.setting) != key


def test_a_budget_is_of_the_training_rows_and_their_labels(training):
    net = SeriesNet(MLPEnsemble, max_epochs=None, batch_size=None, lr=None)
    labels = np.where(np.arange(120) < 30, training.targets[0], -1)
    targets = [labels, *training.targets[1:]]
    many = np.tile(np.arange(120), 40)  # a quarter of which have a label
    pairs = dataclasses.replace(training, net=net, targets=targets, train=many)
    assert pairs.budget == budget_of(net, 4800, 1200) != budget_of(net, 4800, 4800)


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
