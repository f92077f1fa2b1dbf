import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sklearn_gkd.networks import CNN, MLP, NETWORKS, MLPEnsemble
from sklearn_gkd.networks._layers import Dropout, Linear, MemberBatchNorm, MemberLinear

CONVOLUTIONS = [(128, 5), (128, 5), (256, 3), (256, 3), (256, 3), (256, 3), (512, 3), (512, 1)]
CONVOLUTIONS += [(512, 1)]
HEAD = [Linear, nn.ReLU, nn.BatchNorm1d] * 2 + [Linear]


def kinds(layers):
    return [type(layer) for layer in layers]


def linear_widths(layers):
    return [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]


def test_cnn_is_tables_2_and_3():
    teacher = CNN([(31, 2), (23, 5)], n_classes=7)
    assert len(teacher.branches) == 2
    for branch, n_channels in zip(teacher.branches, [2, 5], strict=True):
        assert kinds(branch) == [nn.Conv1d, nn.ReLU, nn.BatchNorm1d, Dropout] * 9
        convolutions = [layer for layer in branch if isinstance(layer, nn.Conv1d)]
        assert [(c.out_channels, *c.kernel_size) for c in convolutions] == CONVOLUTIONS
        assert convolutions[0].in_channels == n_channels
        assert {c.stride for c in convolutions} == {(1,)}
        assert {layer.p for layer in branch if isinstance(layer, nn.Dropout)} == {0.3}
    assert kinds(teacher.head) == HEAD
    assert linear_widths(teacher.head) == [512, 512, 7]
    assert teacher.head[0].in_features == 1024


def test_cnn_features_are_averages_over_time():
    net = CNN([(8, 2)], n_classes=3, filters=[4, 6], kernels=[3, 1]).eval()
    view = torch.randn(5, 8, 2)
    logits, features = net(view)
    maps = net.branches[0](view.permute(0, 2, 1))
    torch.testing.assert_close(features, maps.sum(dim=2) / 8)
    torch.testing.assert_close(logits, net.head(features))


def test_mlp_is_tables_4_and_3():
    student = MLP([(31, 2)], n_classes=7)
    block = [Linear, nn.ReLU, nn.BatchNorm1d, Dropout]
    assert kinds(student.body) == [*block * 3, Linear, nn.Identity]
    assert linear_widths(student.body) == [2048, 2048, 2048, 1024]
    assert student.body[0].in_features == 62
    assert kinds(student.head) == HEAD
    assert linear_widths(student.head) == [512, 512, 7]


def test_members_of_an_ensemble_are_mlps():
    sizes = {"width": 7, "features": 5, "head": 6}
    shapes = [(4, 2), (3, 1)]
    ensemble = MLPEnsemble(shapes, 3, n_members=3, **sizes, dropout=0.0)
    members = [MLP(shapes, 3, **sizes, dropout=0.0) for _ in range(3)]
    of_ensemble = [
        layer
        for layer in [*ensemble.body, *ensemble.head]
        if isinstance(layer, MemberLinear | MemberBatchNorm)
    ]
    for i, member in enumerate(members):
        own = [
            layer
            for layer in [*member.body, *member.head]
            if isinstance(layer, nn.Linear | nn.BatchNorm1d)
        ]
        assert len(own) == len(of_ensemble)
        for layer, stacked in zip(own, of_ensemble, strict=True):
            if isinstance(layer, nn.Linear):
                layer.weight.data = stacked.weight[i].T
                layer.bias.data = stacked.bias[i, 0]
    views = [torch.randn(8, *shape) for shape in shapes]

    logits, features = ensemble(*views)
    outputs = [member(*views) for member in members]
    torch.testing.assert_close(logits, torch.stack([z for z, _ in outputs], dim=1))
    torch.testing.assert_close(features, torch.cat([f for _, f in outputs], dim=1))

    logits, _ = ensemble.eval()(*views)
    means = sum(member.eval()(*views)[0].softmax(dim=1) for member in members) / 3
    torch.testing.assert_close(logits.exp(), means)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_steps", [1, 2, 31])
def test_networks_work_for_any_length_and_number_of_views(name, n_steps):
    net = NETWORKS[name]([(n_steps, 2), (3, 5), (1, 9)], 4).eval()
    logits, features = net(torch.zeros(6, n_steps, 2), torch.zeros(6, 3, 5), torch.zeros(6, 1, 9))
    assert logits.shape == (6, 4)
    assert len(features) == 6


def test_a_branch_of_images_is_convolved_and_averaged():
    torch.manual_seed(0)
    net = CNN([(5, 4, 3)], 2, filters=[7], kernels=[1], image_filters=[6], head=4).eval()
    first, last = (layer for layer in net.branches[0] if isinstance(layer, nn.Conv2d))
    images = torch.randn(2, 5, 4, 3)
    half = functional.conv2d(images.permute(0, 3, 1, 2), first.weight, first.bias, padding=1)
    half = functional.max_pool2d(half.relu() / np.sqrt(1 + 1e-5), 2, ceil_mode=True)
    assert half.shape == (2, 6, 3, 2)
    whole = functional.conv2d(half, last.weight, last.bias, padding=1)
    expected = whole.relu().mean(dim=(2, 3)) / np.sqrt(1 + 1e-5)
    torch.testing.assert_close(net(images)[1], expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (3, 8)])
def test_networks_see_images_of_any_size_beside_series(name, size):
    net = NETWORKS[name]([(3, 2), (*size, 4)], 4)
    logits, features = net.eval()(torch.randn(6, 3, 2), torch.randn(6, *size, 4))
    assert logits.shape == (6, 4)
    assert len(features) == 6
    assert torch.isfinite(logits).all()


def test_an_ensemble_of_a_quantity_averages_numbers():
    torch.manual_seed(0)
    ensemble = MLPEnsemble([(3, 2)], 2, n_members=3, width=8, features=8, head=8).eval()
    ensemble.averages = "outputs"
    view = torch.randn(5, 3, 2)
    of_members, _ = ensemble.of_members([view])
    torch.testing.assert_close(ensemble(view)[0], of_members.mean(dim=0))
