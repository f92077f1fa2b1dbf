import pickle
from functools import partial

import pytest
import torch
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from skorch import NeuralNet, NeuralNetClassifier
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training.resolving import feature_width, resolve_device, resolve_net
from sklearn_gkd.networks import CNN, MLP, SeriesNet


@pytest.mark.parametrize("given", ["cpu", torch.device("cpu"), "auto"])
def test_a_device_by_its_name(given, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device(given) == torch.device("cpu")


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


def test_a_net_by_name_class_or_itself():
    budget = {"lr": 0.5, "max_epochs": 3, "batch_size": 7, "verbose": 0}
    for network, module in [("cnn", CNN), (MLP, MLP)]:
        net = resolve_net(network, "student", **budget)
        assert net.module is module
        assert (net.lr, net.max_epochs, net.batch_size) == (0.5, 3, 7)
    given = SeriesNet("mlp", lr=0.25)
    net = resolve_net(given, "student", **budget)
    assert net is not given
    assert net.lr == 0.25
    assert given.module == "mlp"
    with pytest.raises(ValueError, match="teacher='resnet' is not the name of a network"):
        resolve_net("resnet", "teacher")


def test_the_width_of_features_is_found_without_values(logits_only):
    shapes = [(6, 2), (4, 3)]
    assert feature_width(resolve_net("mlp", "student"), "student", shapes, 3) == 1024
    assert feature_width(resolve_net(logits_only, "student"), "student", shapes, 3) == 0


@pytest.mark.parametrize("budget", [{"max_epochs": 3}, {"batch_size": 48}, {"verbose": 2}])
def test_the_budget_is_that_of_named_networks(series, logits_only, budget, capsys):
    clf = GKDClassifier(logits_only, logits_only, beta=0, validation_fraction=0.2, random_state=0)
    clf.set_params(**{"max_epochs": 2, "batch_size": 96, **budget})
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    for net in (clf.teacher_, clf.student_):
        assert len(net.history) == clf.max_epochs
        assert net.history[-1, "train_batch_count"] == 96 // clf.batch_size
    assert ("valid_acc" in capsys.readouterr().out) == bool(clf.verbose)


def test_lr_is_that_of_named_networks(series, logits_only):
    clf = GKDClassifier(logits_only, logits_only, beta=0, gamma=0, lr=1e-30, random_state=0)
    still = clf.set_params(max_epochs=1).fit(series.X, series.y).student_.module_.state_dict()
    later = clf.set_params(max_epochs=5).fit(series.X, series.y).student_.module_.state_dict()
    moved = clf.set_params(lr=0.1).fit(series.X, series.y).student_.module_.state_dict()
    weights = "network.layer.weight"
    torch.testing.assert_close(still[weights], later[weights], rtol=0, atol=1e-7)
    assert (moved[weights] - later[weights]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"device": "cuda"}, "device='cuda', which does nothing here: set the estimator's device"),
        ({"train_split": None}, "train_split=None, .* set the estimator's validation_fraction"),
        ({"train_split": ValidSplit(3)}, "train_split=<skorch"),
        ({"warm_start": True}, "warm_start=True, .* every fit starts anew"),
        ({"criterion": nn.MSELoss}, "criterion=.*MSELoss.* loss is that of the method"),
        ({"iterator_train": list}, "iterator_train=.* batches are made of rows in memory"),
    ],
)
@pytest.mark.parametrize("make", [SeriesNet, partial(NeuralNetClassifier, MLP)])
def test_what_the_estimator_sets_itself_is_told(make, params, message):
    with pytest.warns(UserWarning, match=f"^student has {message}"):
        resolve_net(make(**params), "student")


@pytest.mark.parametrize(
    "net",
    [
        SeriesNet("cnn", lr=0.1),
        clone(SeriesNet()),
        pickle.loads(pickle.dumps(SeriesNet())),
        clone(NeuralNetClassifier(MLP)),
        NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss),
        NeuralNet(MLP, None),
    ],
)
def test_a_net_as_it_comes_is_no_cause_for_a_warning(net):
    assert resolve_net(net, "student").lr == net.lr


def test_a_class_that_is_no_network_is_an_error():
    with pytest.raises(ValueError, match="teacher is the class GaussianNB, which is no network"):
        resolve_net(GaussianNB, "teacher")
