import pytest
from torch import nn

from sklearn_gkd import SeriesClassifier, SeriesRegressor
from sklearn_gkd.networks import CNN, MLP, SeriesNet


def test_the_papers_competitors(series):
    mlp = SeriesClassifier("mlp", max_epochs=1).fit(series.X, series.y).network_.module_.network
    cnn = SeriesClassifier("cnn", max_epochs=1).fit(series.X, series.y).network_.module_.network
    assert isinstance(mlp, MLP)
    assert isinstance(mlp.body[-1], nn.ReLU)
    for given in (SeriesNet(MLP, max_epochs=1), SeriesNet("mlp", max_epochs=1)):
        net = SeriesClassifier(given).fit(series.X, series.y).network_
        assert isinstance(net.module_.network.body[-1], nn.ReLU)
    linear = SeriesNet("mlp", max_epochs=1, module__feature_activation=nn.Identity)
    net = SeriesClassifier(linear).fit(series.X, series.y).network_
    assert isinstance(net.module_.network.body[-1], nn.Identity)
    assert isinstance(cnn, CNN)
    assert len(cnn.branches) == 1


def test_a_net_learns(series, small):
    clf = SeriesClassifier(small.set_params(max_epochs=40), random_state=0).fit(series.X, series.y)
    assert clf.score(series.X, series.y) > 0.6
    assert clf.predict_proba(series.X).shape == (120, 3)


@pytest.mark.parametrize("params", [{"network": "rnn"}, {"lr": 0}, {"max_epochs": 0}])
def test_wrong_parameters_are_named(series, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        SeriesClassifier(**params).fit(series.X, series.y)


def test_a_net_learns_a_quantity(series, small):
    y = 100 + 10 * series.X[:, 0, 0]
    reg = SeriesRegressor(small.set_params(max_epochs=40), random_state=0).fit(series.X, y)
    assert reg.score(series.X, y) > 0.6
    assert isinstance(reg.network_.module_.network.body[-1], nn.ReLU)
