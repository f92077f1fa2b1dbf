import pytest
import torch
from torch import nn

from sklearn_gkd.networks._layers import Dropout, Linear, MemberLinear


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_dropout_is_pytorchs_but_for_its_random_numbers(p):
    x = torch.randn(4001, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
    torch.manual_seed(1)
    dropped = Dropout(p)(x)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], x[kept] / (1 - p), rtol=2e-5, atol=0)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, kept / (1 - p), rtol=2e-5, atol=0)
    # Four decisions share one random integer: none must tell of another.
    decisions = kept.flatten()[:200_000].reshape(-1, 4).double()
    error = (p * (1 - p) / len(decisions)) ** 0.5
    assert (decisions.mean(dim=0) - (1 - p)).abs().max() < 5 * error
    assert (torch.corrcoef(decisions.T) - torch.eye(4)).abs().max() < 5 / len(decisions) ** 0.5


def test_dropout_follows_torchs_seed_and_drops_nothing_in_evaluation():
    x = torch.ones(3, 7, dtype=torch.float64)
    dropout = Dropout(0.5)
    first, second, again = (torch.manual_seed(seed) and dropout(x) for seed in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert first.dtype == torch.float64
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(Dropout(0)(x), x)
    assert torch.equal(Dropout(1)(x), torch.zeros(3, 7, dtype=torch.float64))


@pytest.mark.parametrize("n_rows", [1, 33])
@pytest.mark.parametrize("shape", [(600, 500), (20, 30)])
def test_linear_is_pytorchs(shape, n_rows):
    torch.manual_seed(0)
    layer, reference = Linear(*shape), nn.Linear(*shape)
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(n_rows, shape[0])
    gradient = torch.randn(n_rows, shape[1])
    results = []
    for module in (layer, reference):
        inputs = x.clone().requires_grad_()
        y = module(inputs)
        y.backward(gradient)
        results.append([y, inputs.grad, module.weight.grad, module.bias.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        assert torch.equal(layer(x), results[0][0])


def test_a_large_linear_layer_in_double_precision_is_pytorchs():
    x = torch.randn(3, 600, dtype=torch.float64)
    layer = Linear(600, 500).double()
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_members_start_as_linear_layers_do():
    weight = MemberLinear(50, 100, 20).weight
    bound = nn.Linear(100, 20).weight.abs().max()
    assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    assert weight.abs().max().item() == pytest.approx(bound.item(), rel=0.01)
