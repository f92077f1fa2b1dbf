import pytest
import torch

from sklearn_gkd.networks import CNN, MLP, MLPEnsemble
from sklearn_gkd.networks._sources import SOURCE_DROPOUT, masked, shown

SHAPES = [(4, 2), (3, 3), (1, 5)]
SIZES = {
    CNN: {"filters": [6], "kernels": [3], "head": 4},
    MLP: {"width": 6, "features": 5, "head": 4},
    MLPEnsemble: {"n_members": 2, "width": 6, "features": 5, "head": 4},
}


@pytest.fixture
def views():
    torch.manual_seed(0)
    return [torch.randn(8, *shape) for shape in SHAPES]


@pytest.fixture
def present():
    """Rows 0 to 2 have both sources, 3 and 4 the first, 5 and 6 the second, 7 none."""
    return torch.tensor([[1, 1, 1]] * 3 + [[1, 1, 0]] * 2 + [[1, 0, 1]] * 2 + [[1, 0, 0]]).bool()


def test_in_training_some_sources_are_left_out_but_never_all():
    torch.manual_seed(0)
    present = torch.rand(20_000, 4) < 0.6
    has = present[:, 1:]
    views = [torch.zeros(20_000, 1, 1)] * 4
    assert torch.equal(shown(views, present, 3, training=False), has)
    kept = shown(views, present, 3, training=True)
    assert not kept[~has].any()
    assert torch.equal(kept.any(dim=1), has.any(dim=1))
    for n_sources in (1, 2, 3):
        p = SOURCE_DROPOUT
        rows = has.sum(dim=1) == n_sources
        expected = (1 - p) * n_sources + p**n_sources
        assert kept[rows].sum(dim=1).float().mean() == pytest.approx(expected, abs=0.02)
    assert shown(views, None, 3, training=False).all()


def test_what_a_row_lacks_adds_nothing_to_a_first_layer(views, present):
    own, one, two = masked(tuple(views), present, 2, training=False)
    torch.testing.assert_close(own, views[0])
    torch.testing.assert_close(one[:5], views[1][:5])
    torch.testing.assert_close(two[5:7], views[2][5:7])
    assert (one[5:] == 0).all()
    assert (two[3:5] == 0).all()


@pytest.mark.parametrize("network", SIZES)
def test_what_a_row_lacks_is_not_seen(network, views, present):
    net = network(SHAPES, 3, **SIZES[network], n_sources=2).eval()
    others = [views[0]] + [
        view.where(present[:, i, None, None], 100.0) for i, view in enumerate(views[1:], start=1)
    ]
    for output, expected in zip(
        net(*others, present=present), net(*views, present=present), strict=True
    ):
        torch.testing.assert_close(output, expected)
    everything = torch.ones(8, 3, dtype=torch.bool)
    torch.testing.assert_close(net(*views), net(*views, present=everything))
    assert (net(*views)[0][3:] != net(*views, present=present)[0][3:]).any(dim=1).all()


def test_cnn_features_are_the_own_ones_beside_the_mean_of_sources(views, present):
    net = CNN(SHAPES, 3, **SIZES[CNN], n_sources=2).eval()
    own, one, two = (
        branch(view.transpose(1, 2)).mean(dim=2)
        for branch, view in zip(net.branches, views, strict=True)
    )
    _, features = net(*views, present=present)
    mean = torch.cat([(one[:3] + two[:3]) / 2, one[3:5], two[5:7], torch.zeros(1, 6)])
    torch.testing.assert_close(features, torch.cat([own, mean], dim=1))


def test_rows_without_a_source_do_not_reach_its_batch_normalisation(views, present):
    net = CNN(SHAPES, 3, **SIZES[CNN], n_sources=2)
    for _ in range(3):
        views[2][:, :, 0] = torch.where(present[:, 2, None], views[2][:, :, 0], 1e6)
        net(*views, present=present)
    assert all(layer.abs().max() < 1e3 for name, layer in net.named_buffers())
    one_row = present.clone()
    one_row[1:, 2] = False
    net(*views, present=one_row)


@pytest.mark.parametrize("network", SIZES)
def test_with_one_source_nothing_is_drawn(network, views):
    net = network(SHAPES[:2], 3, **SIZES[network], dropout=0.0)
    before = torch.get_rng_state()
    net(*views[:2])
    assert torch.equal(torch.get_rng_state(), before)
