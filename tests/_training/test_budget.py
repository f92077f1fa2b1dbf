import pytest

from sklearn_gkd._training.budget import Budget, batch_size_of, budget_of, rate_shares
from sklearn_gkd.networks import MLP, MLPEnsemble, SeriesNet

OPEN = {"max_epochs": None, "batch_size": None, "lr": None}


@pytest.mark.parametrize(("n_rows", "n_epochs"), [(1, 300), (50, 113), (1000, 54), (10_000, 30)])
def test_more_rows_ask_for_fewer_passes(n_rows, n_epochs):
    assert budget_of(SeriesNet(MLP, **OPEN), n_rows, n_rows) == (n_epochs, 64, 0.001)


@pytest.mark.parametrize(
    ("n_rows", "budget"),
    [
        (50, (113, 64, 0.001)),
        (1024, (54, 64, 0.001)),
        (2048, (29, 128, 0.002462)),  # 300 / 2048 ** 0.25 / 2 ** (2 / 3), 64 * 2, 1e-3 * 2 ** 1.3
        (4096, (15, 256, 0.006063)),
        (10_000, (12, 256, 0.006063)),
    ],
)
def test_an_ensemble_takes_fewer_and_larger_steps_over_many_rows(n_rows, budget):
    net = SeriesNet(MLPEnsemble, **OPEN)
    assert budget_of(net, n_rows, n_rows) == pytest.approx(budget, rel=1e-3)


@pytest.mark.parametrize(
    ("network", "batch_size", "n_rows", "falls"),
    [
        (MLPEnsemble, None, 1100, True),
        (MLPEnsemble, 256, 4096, True),
        (MLPEnsemble, None, 1024, False),
        (MLPEnsemble, 64, 4096, False),
        (MLP, 256, 4096, False),
    ],
)
def test_the_rate_of_larger_steps_falls_in_the_last_epochs(network, batch_size, n_rows, falls):
    shares = rate_shares(SeriesNet(network, batch_size=batch_size), n_rows, 10)
    assert shares == pytest.approx([1] * 7 + ([5 / 6, 3 / 6, 1 / 6] if falls else [1] * 3))
    assert rate_shares(SeriesNet(network, batch_size=batch_size), n_rows, 1) == [1]


def test_rows_without_a_label_ask_for_more_passes_of_an_ensemble():
    net = SeriesNet(MLPEnsemble, **OPEN)
    n_epochs = [budget_of(net, 4096, n_labelled).max_epochs for n_labelled in (4096, 1024, 0)]
    assert n_epochs == [15, 30, 38]  # 300 / 8 over 4 ** (2 / 3), 4 ** (1 / 6) and 1


def test_what_a_net_has_of_its_own_stays():
    net = SeriesNet(MLPEnsemble, max_epochs=3, batch_size=128, lr=0.5)
    assert budget_of(net, 5000, 5000) == Budget(3, 128, 0.5)
    net.set_params(iterator_train__batch_size=100)
    assert batch_size_of(net, 5000) == 100
    net.set_params(iterator_train__batch_size=-1)
    assert batch_size_of(net, 5000) == 5000


@pytest.mark.parametrize(
    ("batch_size", "n_rows", "lr"),
    [(32, 5000, 0.001), (128, 5000, 0.002462), (4096, 5000, 0.006063), (256, 200, 0.001)],
)
def test_the_rate_suits_a_batch_size_of_ones_own(batch_size, n_rows, lr):
    net = SeriesNet(MLPEnsemble, max_epochs=None, batch_size=batch_size, lr=None)
    assert budget_of(net, n_rows, n_rows).lr == pytest.approx(lr, rel=1e-3)
