import pytest
import torch

from sklearn_gkd.networks import MLPEnsemble
from sklearn_gkd.networks._folding import folded, linear_steps


@pytest.fixture
def trained():
    """An ensemble whose batch normalisation is far from where it starts."""
    torch.manual_seed(0)
    network = MLPEnsemble([(3, 2), (4, 1)], 5, n_members=3, width=8, features=6, head=4)
    for _ in range(20):
        network(torch.randn(32, 3, 2) * 9 + 5, torch.randn(32, 4, 1))
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:  # of batch normalisation
            torch.nn.init.uniform_(parameter, *((0.5, 2) if name.endswith("weight") else (-2, 2)))
    return network.eval()


@torch.inference_mode()
def test_folded_layers_decide_as_the_members_do(trained):
    views = torch.randn(50, 3, 2) * 9 + 5, torch.randn(50, 4, 1)
    logits, _ = trained.of_members(views)
    assert logits.std(dim=1).min() > 0.1
    torch.testing.assert_close(
        folded(trained)(*views), logits.transpose(0, 1), rtol=1e-4, atol=1e-5
    )


def test_a_step_lies_between_two_activations(trained):
    sizes = [tuple(weight.shape) for weight, _ in linear_steps(trained)]
    assert sizes == [(3, 10, 8), (3, 8, 8), (3, 8, 8), (3, 8, 4), (3, 4, 4), (3, 4, 5)]


@torch.inference_mode()
@pytest.mark.parametrize("n_classes", [2, 5, 6, 7, 9, 14])
def test_the_place_of_a_row_does_not_matter(n_classes):
    torch.manual_seed(0)
    decide = folded(MLPEnsemble([(31, 2)], n_classes).eval())
    copies = torch.randn(1, 31, 2).repeat(16, 1, 1)
    for n_rows in (16, 64, 1024):
        rows = torch.cat([torch.randn(n_rows - 16, 31, 2), copies])
        logits = decide(rows)
        assert logits.shape[-1] == n_classes
        assert (logits[-16:] == decide(copies)[0]).all()
