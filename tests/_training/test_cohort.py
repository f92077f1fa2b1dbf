import copy
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import Bunch
from torch import nn

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training import cohort as stacking
from sklearn_gkd._training import fitting as training
from sklearn_gkd._training.cohort import Candidates, Setting, Stack, is_stackable
from sklearn_gkd.losses import DistillationLoss, LabelLoss
from sklearn_gkd.networks import CNN, MLP, MLPEnsemble, SeriesNet

LR = 1e-2
SETTINGS = [
    Setting(1.0, 1.0, 1.0, 1.0, LR),
    Setting(0.5, 1.0, 10.0, 1.0, LR),
    Setting(2.0, 0.2, 1.0, 4.0, LR),
    Setting(0.0, 3.0, 0.1, 1.0, LR),
    Setting(1.0, 0.5, 2.0, 2.0, LR),
]
RATES = [Setting(1.0, 1.0, 1.0, 1.0, lr) for lr in (1e-3, 3e-3, LR)]


def small(network, **params):
    sizes = {"module__width": 16, "module__features": 8, "module__head": 8}
    budget = {"lr": LR, "max_epochs": 2, "batch_size": 16}
    return SeriesNet(network, **sizes | budget | params)


def fit(series, folder, student, setting, *, valid=None, rows=None, **params):
    """Fit the student of a teacher with as many features."""
    held_out = {}
    if valid is not None:
        held_out = {f"{name}_val": valid[name][rows] for name in ("X", "y", "X_priv")}
    n_members = 1 if student.module == "mlp" else student.get_params()["module__n_members"]
    teacher = small("mlp", module__features=8 * n_members)
    weights = setting._asdict()
    student = clone(student).set_params(lr=weights.pop("lr"))
    clf = GKDClassifier(teacher, student, **weights, checkpoint=folder, random_state=0, **params)
    return clf.fit(series.X, series.y, X_priv=series.X_priv, **held_out)


@pytest.fixture
def stacks(monkeypatch):
    """The settings of each stack that is trained."""
    trained = []
    train = stacking._train

    def spy(net, data, settings, *args):
        trained.append(settings)
        return train(net, data, settings, *args)

    monkeypatch.setattr(stacking, "_train", spy)
    return trained


@pytest.fixture
def folder(tmp_path):
    candidates = Candidates(tmp_path)
    candidates.expect([SETTINGS])
    return candidates


NETS = [
    small("mlp"),
    small("mlp", module__feature_activation=nn.ReLU, optimizer=torch.optim.SGD),
    small("ensemble", module__n_members=3, module__dropout=0.0),
]


@pytest.mark.parametrize("net", NETS, ids=["dropout", "ReLU and SGD", "ensemble"])
@pytest.mark.parametrize("params", [{}, {"validation_fraction": 0.3, "class_weight": "balanced"}])
@pytest.mark.parametrize("settings", [SETTINGS, RATES], ids=["losses", "learning rates"])
def test_each_candidate_learns_what_it_would_alone(series, stacks, tmp_path, net, params, settings):
    folder = Candidates(tmp_path)
    folder.expect([settings])
    for setting in settings:
        stacked, alone = (fit(series, where, net, setting, **params) for where in (folder, None))
        np.testing.assert_allclose(
            stacked.predict_proba(series.X), alone.predict_proba(series.X), atol=3e-3
        )
        assert len(stacked.student_.history) == 2
        for epoch, expected in zip(stacked.student_.history, alone.student_.history, strict=True):
            counts = {"train_batch_count", "valid_batch_count"}
            assert epoch.keys() == expected.keys() - counts
            for name in epoch.keys() - {"batches", "dur"}:
                assert epoch[name] == pytest.approx(expected[name], rel=1e-3)
    assert stacks == [sorted(settings)]


class CapturedError(Exception):
    """The fit has come to its stack."""


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
def test_in_double_precision_they_agree_to_1e_6(series, folder, monkeypatch, student, settings):
    """The stack beside a plain loop over each candidate; nets and data in double precision."""
    captured = {}

    def capture(net, data, *args):
        captured.update(net=net, data=data)
        raise CapturedError

    monkeypatch.setattr(training, "train_candidates", capture)
    with pytest.raises(CapturedError):
        fit(series, folder, clone(student), SETTINGS[0])
    net, data = captured["net"], captured["data"]
    data.tensors = [t.double() if t.is_floating_point() else t for t in data.tensors]
    torch.manual_seed(0)
    net.initialize()
    net.module_.double()
    start, seed = copy.deepcopy(net.module_.state_dict()), torch.get_rng_state()
    monkeypatch.setattr(stacking, "Stack", lambda *args: Stack(*args).double())
    states = list(stacking._train(net, data, settings, None, None, None))
    (group,) = net.optimizer_.param_groups
    for setting, state in zip(settings, states, strict=True):
        torch.set_rng_state(seed)
        net.module_.load_state_dict(start)
        net.optimizer_.state.clear()
        *weights, group["lr"] = setting
        criterion = DistillationLoss(*weights)
        for _ in range(net.max_epochs):
            for views, targets in net.get_iterator(data, training=True):
                net.optimizer_.zero_grad()
                criterion(net.module_(views), targets).backward()
                net.optimizer_.step()
        for name, value in net.module_.state_dict().items():
            torch.testing.assert_close(state["module"][name], value, rtol=1e-6, atol=1e-6)
        assert state["optimizer"]["param_groups"][0]["lr"] == setting.lr


def test_each_candidate_ends_in_time_and_keeps_its_best_epoch(series, stacks, folder):
    train, valid = np.arange(0, 120, 2), np.arange(1, 120, 2)
    part = Bunch(X=series.X[train], X_priv=series.X_priv[train], y=series.y[train])
    student = small("mlp", max_epochs=30)
    ends = set()
    settings = [*SETTINGS, RATES[0]]
    folder.expect([settings])
    for setting in settings:
        clf = fit(part, folder, student, setting, valid=series, rows=valid, n_iter_no_change=2)
        accuracies = clf.student_.history[:, "valid_acc"]
        best = int(np.argmax(accuracies))
        ends.add((len(accuracies), best))
        assert len(accuracies) == best + 3
        assert clf.score(series.X[valid], series.y[valid]) == pytest.approx(accuracies[best])
    assert len(stacks) == 1
    assert len(ends) > 1


def test_a_candidate_that_diverges_harms_no_other(series, tmp_path):
    settings = [*SETTINGS, Setting(1.0, 1.0, 1e38, 1.0, LR)]
    folder = Candidates(tmp_path)
    folder.expect([settings])
    with pytest.raises(ValueError, match="The loss of the student is no number"):
        fit(series, folder, small("mlp", optimizer=torch.optim.SGD), settings[-1])
    stacked, alone = (
        fit(series, where, small("mlp", optimizer=torch.optim.SGD), SETTINGS[0])
        for where in (folder, None)
    )
    np.testing.assert_allclose(
        stacked.predict_proba(series.X), alone.predict_proba(series.X), atol=1e-3
    )


def test_what_has_other_terms_is_apart(tmp_path):
    folder = Candidates(tmp_path)
    no_features = [Setting(1.0, 0.0, float(gamma), 1.0, LR) for gamma in range(1, 6)]
    no_decisions = [Setting(0.0, float(beta), 0.0, 1.0, LR) for beta in range(1, 6)]
    folder.expect([[*SETTINGS, *no_features, *no_decisions]])
    assert folder.stack_of(no_features[0], 10) == no_features
    assert folder.stack_of(no_decisions[0], 10) == no_decisions
    assert folder.stack_of(SETTINGS[0], 10) == sorted(SETTINGS)


def test_no_stack_trains_what_the_grid_has_not(tmp_path):
    folder = Candidates(tmp_path)
    folder.expect([SETTINGS[:3], SETTINGS[2:], RATES[1:]])
    assert folder.stack_of(SETTINGS[1], 10) == sorted(SETTINGS[:3])
    assert folder.stack_of(SETTINGS[2], 10) == [SETTINGS[2]]
    assert folder.stack_of(RATES[0], 10) == []


def test_stacks_are_no_wider_than_what_gains(tmp_path):
    folder = Candidates(tmp_path)
    settings = [Setting(1.0, 1.0, float(gamma), 1.0, LR) for gamma in range(27)]
    folder.expect([settings])
    stacks = {tuple(folder.stack_of(setting, 512)) for setting in settings}
    assert sorted(map(len, stacks)) == [13, 14]
    assert sorted(sum(stacks, ())) == settings
    folder.expect([])
    assert folder.stack_of(settings[0], 256) == []


def test_a_large_net_trains_by_itself(series, stacks, folder, monkeypatch):
    monkeypatch.setattr(stacking, "LARGEST", 16 * 16 - 1)
    fit(series, folder, small("mlp"), SETTINGS[0])
    assert stacks == []
    monkeypatch.setattr(stacking, "LARGEST", 16 * 16)
    fit(series, folder, small("mlp"), SETTINGS[1])
    assert stacks == [sorted(SETTINGS)]


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
def test_other_nets_train_by_themselves(net):
    distilled = partial(DistillationLoss, *SETTINGS[0][:4], None)
    assert not is_stackable(net, distilled)
    assert is_stackable(small(MLP), distilled)
    assert not is_stackable(small(MLP), LabelLoss)


def test_a_stack_is_its_network_many_times(series):
    torch.manual_seed(0)
    views = [torch.randn(10, 6, 2)]
    for network in (
        MLP([(6, 2)], 3, width=16, features=8, head=8).eval(),
        MLPEnsemble([(6, 2)], 3, n_members=2, width=16, features=8, head=8).eval(),
    ):
        state = torch.get_rng_state()
        stack = Stack(network, 4).eval()
        assert torch.equal(state, torch.get_rng_state())
        logits, features = network(*views)
        stacked_logits, stacked_features = stack(*views)
        for candidate in range(4):
            torch.testing.assert_close(
                stacked_logits[candidate, :, 0].softmax(1), logits.softmax(1)
            )
            torch.testing.assert_close(stacked_features[candidate], features)
            own = stack.candidate(candidate)
            for name, value in network.state_dict().items():
                assert torch.equal(own[name], value)
