import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline
from skorch.dataset import ValidSplit

from sklearn_gkd import GKDClassifier
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import load_model, save_model


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


@pytest.mark.parametrize("network", ["mlp", "ensemble", "cnn"])
def test_a_fitted_net_predicts_codes_and_probabilities_of_raw_series(series, tmp_path, network):
    params = {"cnn": {"module__filters": [4] * 9, "module__head": 4}}.get(
        network, {"module__width": 16}
    )
    net = SeriesNet(network, max_epochs=2, **params)
    clf = GKDClassifier(net, net, beta=0, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    save_model(clf, tmp_path / "clf.safetensors")
    for student in (clf.student_, load_model(tmp_path / "clf.safetensors").student_):
        for X in (series.X, series.X.reshape(120, 12)):
            np.testing.assert_allclose(student.predict_proba(X), clf.predict_proba(X), atol=1e-6)
            np.testing.assert_array_equal(clf.classes_[student.predict(X)], clf.predict(X))
        np.testing.assert_array_equal(student.classes_, [0, 1, 2])
        expected = accuracy_score(series.y, clf.predict(series.X))
        assert student.score(series.X, np.searchsorted(clf.classes_, series.y)) == expected
    views = [series.X, series.X_priv]
    np.testing.assert_allclose(
        clf.teacher_.predict_proba(views), clf.teacher_predict_proba(*views), atol=1e-6
    )


class Named(SeriesNet):
    """Has a parameter of its own, as skorch's subclasses do."""

    def __init__(self, *args, name="none", **kwargs):
        super().__init__(*args, **kwargs)
        self.name = name


def test_a_clone_of_a_subclass_has_what_is_usual_in_skorch_and_not_here():
    given = {"optimizer": torch.optim.SGD, "lr": 0.01, "max_epochs": 10, "batch_size": 128}
    cloned = clone(Named("mlp", name="mine", **given))
    assert {name: getattr(cloned, name) for name in given} == given
    assert cloned.name == "mine"
