import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from torch import nn

from sklearn_gkd import GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor, eo
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import Unsaved, load_model, save_model
from sklearn_gkd.persistence._allowed import ESTIMATORS, fitted_steps, is_net_parameter


class Linear(nn.Module):
    """A network of the user's own, with a buffer that is not in its state_dict."""

    def __init__(self, shapes, n_classes, bias=True):
        super().__init__()
        ((n_steps, n_channels),) = shapes
        self.register_buffer("sign", -torch.ones(()), persistent=False)
        self.layer = nn.Linear(n_steps * n_channels, n_classes, bias=bias)

    def forward(self, view):
        return self.sign * self.layer(view.flatten(1))


def test_networks_of_ones_own(series, path, through_file, assert_predicts_alike):
    clf = SeriesClassifier(SeriesNet(Linear, module__bias=False, max_epochs=1))
    clf.fit(series.X, series.y)
    with pytest.raises(ValueError, match=r"The net is Linear.*networks={'mine': Mine}"):
        save_model(clf, path)
    loaded = through_file(clf, networks={"linear": Linear})
    assert_predicts_alike(loaded, clf, series.X)
    assert clone(loaded).fit(series.X, series.y).network_.module_.network.layer.bias is None
    with pytest.raises(ValueError, match=r"network 'linear', which is none of .*'mlp'"):
        load_model(path)
    with pytest.raises(ValueError, match=r"network.layer.weight is .* \(3, 12\).* \(3, 13\)"):
        load_model(path, networks={"linear": lambda shapes, n, bias: Linear([(13, 1)], n, bias)})


def test_a_file_names_these_estimators_alone():
    transformers = {getattr(eo, name) for name in eo.__all__ if hasattr(getattr(eo, name), "fit")}
    nets = {GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor}
    allowed = {*nets, Pipeline, *transformers}
    assert set(ESTIMATORS.values()) == allowed
    assert all(name == cls.__name__ for name, cls in ESTIMATORS.items())


def test_fit_refuses_what_was_not_saved(series):
    classifier = SeriesClassifier(Unsaved("a net of mine"))
    with pytest.raises(ValueError, match=r"'network' parameter .* Got <not saved: a net of mine>"):
        classifier.fit(series.X, series.y)


def test_steps_that_pass_through_are_not_fitted():
    filler = eo.GapFiller()
    pipeline = Pipeline([("a", "passthrough"), ("b", filler), ("c", None)])
    assert fitted_steps(pipeline) == [("b", filler)]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("lr", True), ("module__width", True), ("initialize", False), ("__class__", False)],
)
def test_parameters_of_a_net(name, allowed):
    assert is_net_parameter(name) == allowed
