import pickle

import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from skorch.dataset import ValidSplit

from sklearn_gkd.networks import SeriesNet


def test_a_net_is_cloned_with_its_nested_parameters():
    net = SeriesNet("cnn", lr=0.1, optimizer=torch.optim.SGD, module__dropout=0.2)
    copy = clone(net.set_params(module__head=8, max_epochs=3, warm_start=True))
    assert (copy.module, copy.lr, copy.optimizer) == ("cnn", 0.1, torch.optim.SGD)
    assert (copy.max_epochs, copy.warm_start) == (3, True)
    assert copy.get_params()["module__head"] == 8
    assert copy.get_params()["module__dropout"] == 0.2


def test_a_net_shows_what_was_chosen():
    assert repr(Pipeline([("net", SeriesNet(lr=0.1, module__width=9))])) == (
        "Pipeline(steps=[('net', SeriesNet(lr=0.1, module__width=9))])"
    )


def test_a_net_from_another_process_shows_the_same():
    for given in (SeriesNet(), SeriesNet(lr=0.1, train_split=None)):
        copy = pickle.loads(pickle.dumps(given))
        assert copy.get_params(deep=False).keys() == given.get_params(deep=False).keys()
        assert repr(Pipeline([("net", clone(copy))])) == repr(Pipeline([("net", given)]))
    assert "train_split" in SeriesNet(train_split=ValidSplit(3)).get_params(deep=False)
