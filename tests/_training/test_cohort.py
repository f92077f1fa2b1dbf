import dataclasses

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import Bunch
from torch import nn

from sklearn_gkd import GKDClassifier
from sklearn_gkd._search._candidates import Candidates
from sklearn_gkd._training.cohort import CohortNetwork, can_join, train_cohort
from sklearn_gkd._training.fitting import prepare
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd._training.training import Setting
from sklearn_gkd.losses import LossWeights
from sklearn_gkd.networks import CNN, MLP, MLPEnsemble, SeriesNet

LR = 1e-2
SETTINGS = [
    Setting(LossWeights(*weights), LR)
    for weights in [
        (1.0, 1.0, 1.0, 1.0),
        (0.5, 1.0, 10.0, 1.0),
        (2.0, 0.2, 1.0, 4.0),
        (0.0, 3.0, 0.1, 1.0),
        (1.0, 0.5, 2.0, 2.0),
    ]
]
RATES = [Setting(LossWeights(1.0, 1.0, 1.0, 1.0), lr) for lr in (1e-3, 3e-3, LR)]


def small(network, **params):
    sizes = {"module__width": 16, "module__features": 8, "module__head": 8}
    budget = {"lr": LR, "max_epochs": 2, "batch_size": 16}
    return SeriesNet(network, **sizes | budget | params)


def fit(series, store, student, setting, *, valid=None, rows=None, sample_weight=None, **params):
    """Fit the student of a teacher with as many features."""
    held_out = {}
    if valid is not None:
        held_out = {f"{name}_val": valid[name][rows] for name in ("X", "y", "X_priv")}
    n_members = 1 if student.module == "mlp" else student.get_params()["module__n_members"]
    teacher = small("mlp", module__features=8 * n_members)
    student = clone(student).set_params(lr=setting.lr)
    clf = GKDClassifier(teacher, student, **setting.weights._asdict(), random_state=0, **params)
    clf._store = store
    held_out["sample_weight"] = sample_weight
    return clf.fit(series.X, series.y, X_priv=series.X_priv, **held_out)


def n_cohorts(folder):
    return len(list(folder.glob("*.trained")))


NETS = [
    small("mlp"),
    small("mlp", module__feature_activation=nn.ReLU, optimizer=torch.optim.SGD),
    small("ensemble", module__n_members=3, module__dropout=0.0),
]


BALANCED = {"validation_fraction": 0.3, "class_weight": "balanced"}


@pytest.mark.parametrize("net", NETS, ids=["dropout", "ReLU and SGD", "ensemble"])
@pytest.mark.parametrize(
    ("settings", "params"),
    [(SETTINGS[:3], {}), (SETTINGS[1:4], BALANCED), (RATES, BALANCED)],
    ids=["losses", "losses, balanced", "learning rates, balanced"],
)
def test_each_net_learns_what_it_would_alone(series, tmp_path, net, settings, params):
    candidates = Candidates(tmp_path, [settings])
    for setting in settings:
        together, alone = (
            fit(series, store, net, setting, **params) for store in (candidates, None)
        )
        np.testing.assert_allclose(
            together.predict_proba(series.X), alone.predict_proba(series.X), atol=5e-3
        )
        assert len(together.student_.history) == 2
        for epoch, expected in zip(together.student_.history, alone.student_.history, strict=True):
            counts = {"train_batch_count", "valid_batch_count"}
            assert epoch.keys() == expected.keys() - counts
            for name in epoch.keys() - {"batches", "dur"}:
                assert epoch[name] == pytest.approx(expected[name], rel=1e-3)
    assert n_cohorts(tmp_path) == 1
    assert len(list(tmp_path.glob("student-*.checkpoint"))) == len(settings)


def test_weights_of_rows_count_in_loss_and_score_as_alone(series, tmp_path):
    given = BALANCED | {"sample_weight": np.random.RandomState(0).choice([1.0, 50.0], size=120)}
    candidates = Candidates(tmp_path, [SETTINGS])
    for setting in SETTINGS:
        together, alone = (
            fit(series, store, small("mlp"), setting, **given).student_
            for store in (candidates, None)
        )
        names = ("train_loss", "valid_loss", "valid_acc")
        np.testing.assert_allclose(together.history[:, names], alone.history[:, names], rtol=1e-3)
    assert n_cohorts(tmp_path) == 1


@pytest.mark.parametrize("settings", [SETTINGS, RATES], ids=["losses", "learning rates"])
@pytest.mark.parametrize(
    "student",
    [
        *NETS,
        small("mlp", optimizer=torch.optim.AdamW, optimizer__weight_decay=0.1),
        small("mlp", optimizer=torch.optim.SGD, optimizer__momentum=0.9),
    ],
    ids=["dropout", "ReLU and SGD", "ensemble", "AdamW", "momentum"],
)
def test_in_double_precision_they_agree_to_1e_6(series, recorder, student, settings):
    """The cohort beside a plain loop over each net; nets and data in double precision."""
    fit(series, recorder, clone(student), SETTINGS[0])
    training = in_double_precision(recorder.trainings[-1])
    torch.set_default_dtype(torch.float64)
    try:
        states = list(train_cohort(training, settings))
        for setting, state in zip(settings, states, strict=True):
            expected = plain_loop(training, setting)
            for name, value in expected.items():
                torch.testing.assert_close(state["module"][name], value, rtol=1e-6, atol=1e-6)
            assert state["optimizer"]["param_groups"][0]["lr"] == setting.lr
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("settings", [SETTINGS, RATES], ids=["losses", "learning rates"])
def test_the_rates_of_larger_steps_fall_as_alone(series, recorder, settings):
    many = Bunch(**{name: np.repeat(series[name], 10, axis=0) for name in ("X", "X_priv", "y")})
    student = clone(NETS[2]).set_params(batch_size=None, max_epochs=3)
    fit(many, recorder, student, settings[0])
    training = in_double_precision(recorder.trainings[-1])
    torch.set_default_dtype(torch.float64)
    try:
        for setting, state in zip(settings, train_cohort(training, settings), strict=True):
            for name, value in plain_loop(training, setting, [1, 1, 5 / 9]).items():
                torch.testing.assert_close(state["module"][name], value, rtol=1e-6, atol=1e-6)
    finally:
        torch.set_default_dtype(torch.float32)


def in_double_precision(training):
    views = [view._replace(series=view.series.astype(np.float64)) for view in training.views]
    codes, *taught = training.targets
    targets = [codes, *(values.double() for values in taught)]
    return dataclasses.replace(training, views=views, targets=targets)


def plain_loop(training, setting, shares=None):
    """Return the weights of a net of this setting after its epochs, each at a share of its rate."""
    with seeded(training.seed, training.device):
        net = prepare(training).initialize()
        criterion = training.outcome.loss(setting.weights)
        data = training.dataset(training.train)
        for share in shares or [1] * net.max_epochs:
            net.optimizer_.param_groups[0]["lr"] = setting.lr * share
            for views, targets in net.get_iterator(data, training=True):
                net.optimizer_.zero_grad()
                criterion(net.module_(views), targets).backward()
                net.optimizer_.step()
    return net.module_.state_dict()


def test_each_net_ends_in_time_and_keeps_its_best_epoch(series, tmp_path):
    train, valid = np.arange(0, 120, 2), np.arange(1, 120, 2)
    part = Bunch(X=series.X[train], X_priv=series.X_priv[train], y=series.y[train])
    student = small("mlp", max_epochs=30)
    ends = set()
    settings = [*SETTINGS, RATES[0]]
    candidates = Candidates(tmp_path, [settings])
    for setting in settings:
        clf = fit(part, candidates, student, setting, valid=series, rows=valid, n_iter_no_change=2)
        accuracies = clf.student_.history[:, "valid_acc"]
        best = int(np.argmax(accuracies))
        ends.add((len(accuracies), best))
        assert len(accuracies) == best + 3
        assert clf.score(series.X[valid], series.y[valid]) == pytest.approx(accuracies[best])
    assert n_cohorts(tmp_path) == 1
    assert len(ends) > 1


def test_a_net_that_diverges_harms_no_other(series, tmp_path):
    settings = [*SETTINGS, Setting(LossWeights(1.0, 1.0, 1e38, 1.0), LR)]
    candidates = Candidates(tmp_path, [settings])
    with pytest.raises(ValueError, match="The loss of the student became NaN"):
        fit(series, candidates, small("mlp", optimizer=torch.optim.SGD), settings[-1])
    together, alone = (
        fit(series, store, small("mlp", optimizer=torch.optim.SGD), SETTINGS[0])
        for store in (candidates, None)
    )
    np.testing.assert_allclose(
        together.predict_proba(series.X), alone.predict_proba(series.X), atol=1e-3
    )


@pytest.mark.parametrize(
    "net",
    [
        SeriesNet(CNN),
        small(MLP, callbacks="disable"),
        small(MLP, optimizer=torch.optim.Adadelta),
        small(MLP, verbose=2),
        small(MLP, optimizer__lr=1e-3),
    ],
    ids=["cnn", "callbacks", "optimizer", "verbose", "the optimizer's own learning rate"],
)
def test_other_nets_are_trained_by_themselves(series, recorder, net):
    fit(series, recorder, small("mlp"), SETTINGS[0])
    of_teacher, training = recorder.trainings
    assert can_join(training)
    assert not can_join(dataclasses.replace(training, net=net))
    assert not can_join(of_teacher)


def test_a_cohort_s_network_is_its_network_many_times(series):
    torch.manual_seed(0)
    views = [torch.randn(10, 6, 2)]
    for network in (
        MLP([(6, 2)], 3, width=16, features=8, head=8).eval(),
        MLPEnsemble([(6, 2)], 3, n_members=2, width=16, features=8, head=8).eval(),
    ):
        state = torch.get_rng_state()
        cohort = CohortNetwork(network, 4, "probabilities").eval()
        assert torch.equal(state, torch.get_rng_state())
        logits, features = network(*views)
        together_logits, together_features = cohort(*views)
        for number in range(4):
            torch.testing.assert_close(together_logits[number, :, 0].softmax(1), logits.softmax(1))
            torch.testing.assert_close(together_features[number], features)
            own = cohort.of_net(number)
            for name, value in network.state_dict().items():
                assert torch.equal(own[name], value)
