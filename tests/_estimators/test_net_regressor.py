import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring

from sklearn_gkd import SeriesRegressor
from sklearn_gkd.networks import MLP, SeriesNet

ENSEMBLE = SeriesNet(
    "ensemble",
    module__n_members=3,
    module__width=8,
    module__features=8,
    module__head=8,
    lr=1e-2,
    max_epochs=3,
    batch_size=16,
)


@pytest.fixture
def y(series):
    return 1000 + 50 * series.X[:, 0, 0].astype(float)


def test_numbers_come_back_in_the_units_and_the_shape_of_y(series, y):
    one = SeriesRegressor(ENSEMBLE, random_state=0).fit(series.X, y)
    assert one.predict(series.X).shape == (120,)
    assert one.target_mean_ == pytest.approx(y.mean())
    assert one.target_scale_ == pytest.approx(y.std())
    net = one.network_
    scaled = net.predict(series.X)
    assert scaled.shape == (120, 1)
    np.testing.assert_allclose(one.predict(series.X), scaled[:, 0] * y.std() + y.mean(), rtol=1e-6)
    column = clone(one).fit(series.X, y[:, None])
    np.testing.assert_array_equal(column.predict(series.X), one.predict(series.X)[:, None])
    both = clone(one).fit(series.X, np.column_stack([y, -1e-3 * y]))
    assert both.predict(series.X).shape == (120, 2)


def test_the_unit_of_y_changes_nothing_but_the_unit(series, y):
    reg = SeriesRegressor(ENSEMBLE, random_state=0).fit(series.X, y)
    other = clone(reg).fit(series.X, 2 * y - 7)
    np.testing.assert_allclose(other.predict(series.X), 2 * reg.predict(series.X) - 7, rtol=1e-4)


def test_an_ensemble_predicts_its_mean_and_tells_its_spread(series, y):
    reg = SeriesRegressor(ENSEMBLE, random_state=0).fit(series.X, np.column_stack([y, -y]))
    mean, spread = reg.predict(series.X, return_std=True)
    module = reg.network_.module_
    with torch.inference_mode():
        scaled = (torch.tensor(series.X) - module.mean_0) / module.scale_0
        members = module.network.of_members([scaled])[0].double().numpy()
    members = members * [y.std(), y.std()] + [y.mean(), -y.mean()]
    assert members.shape == (3, 120, 2)
    np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(spread, members.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(reg.predict(series.X), mean, rtol=1e-6)


def test_a_net_that_is_no_ensemble_has_no_spread(series, y, small):
    reg = SeriesRegressor(small).fit(series.X, y)
    with pytest.raises(ValueError, match=r"return_std=True asks .* of MLP\..* network=.ensemble"):
        reg.predict(series.X, return_std=True)


def test_score_is_r2_by_the_rows_weights(series, y, small):
    reg = SeriesRegressor(small).fit(series.X, y)
    weights = np.arange(120)
    expected = r2_score(y, reg.predict(series.X), sample_weight=weights)
    assert reg.score(series.X, y, weights) == expected


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_the_best_epoch_is_of_the_least_loss_on_validation_rows(series, y, small, loss):
    small.set_params(max_epochs=6, lr=0.1)
    reg = SeriesRegressor(small, loss=loss, random_state=0)
    reg.fit(series.X, y, X_val=series.X[:30], y_val=y[:30])
    scores = reg.network_.history[:, "valid_score"]
    errors = (reg.predict(series.X[:30]) - y[:30]) / y.std()
    distances = {
        "squared_error": errors**2,
        "absolute_error": np.abs(errors),
        "huber": np.where(np.abs(errors) < 1, errors**2 / 2, np.abs(errors) - 0.5),
    }
    assert max(scores) == pytest.approx(-distances[loss].mean(), rel=1e-4)
    assert reg.network_.history[:, "valid_score_best"] == [
        score > max(scores[:i], default=-np.inf) for i, score in enumerate(scores)
    ]


def test_training_ends_without_a_better_epoch(series, y, small):
    reg = SeriesRegressor(
        small.set_params(max_epochs=60, lr=0.1),
        validation_fraction=0.25,
        n_iter_no_change=2,
        random_state=0,
    )
    reg.fit(series.X, y, groups=series.groups)
    scores = reg.network_.history[:, "valid_score"]
    assert np.argmax(scores) == len(scores) - 3
    assert reg.network_.history[-1, "train_batch_count"] == 6  # 90 rows of 120


@pytest.mark.parametrize("net", [NeuralNet, NeuralNetRegressor])
def test_other_nets_learn_numbers(series, y, net):
    params = {"module__width": 8, "module__features": 8, "module__head": 8}
    net = net(MLP, criterion=torch.nn.MSELoss, max_epochs=2, optimizer=torch.optim.Adam, **params)
    reg = SeriesRegressor(net, random_state=0).fit(series.X, y)
    assert reg.predict(series.X).shape == (120,)


def test_a_score_of_skorch_is_of_standardised_numbers(series, y, small):
    scoring = EpochScoring("r2", lower_is_better=False, name="r2")
    reg = SeriesRegressor(small.set_params(callbacks=[scoring]), random_state=0)
    reg.fit(series.X, y, X_val=series.X[:30], y_val=y[:30])
    scores, r2 = reg.network_.history[:, "valid_score"], reg.network_.history[:, "r2"]
    assert r2[np.argmax(scores)] == pytest.approx(reg.score(series.X[:30], y[:30]), rel=1e-4)


def test_a_net_of_classes_is_refused(series, y):
    net = NeuralNetClassifier(MLP)
    with pytest.raises(ValueError, match="network is a NeuralNetClassifier, which cannot learn"):
        SeriesRegressor(net).fit(series.X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 120, "y: could not convert"),
        (np.full(120, np.inf), "y contains infinity"),
        (np.zeros((120, 2, 2)), "y.*dim 3"),
        (np.zeros(119), "y.*inconsistent"),
        (np.zeros(120, dtype=complex), "y.*[Cc]omplex"),
    ],
)
def test_what_is_no_quantity_is_named(series, small, y, message):
    with pytest.raises(ValueError, match=message):
        SeriesRegressor(small).fit(series.X, y)


def test_a_constant_is_learnt(series, small):
    reg = SeriesRegressor(small).fit(series.X, np.full(120, 7.0))
    assert reg.target_scale_ == 1
    np.testing.assert_allclose(reg.predict(series.X), 7, atol=1)
