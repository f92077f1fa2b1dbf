"""Decide by a trained ensemble with fewer operations than its layers take."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sklearn_gkd.networks._architectures import MLPEnsemble, as_table
from sklearn_gkd.networks._layers import MemberBatchNorm, MemberLinear

WHOLE = 16  # outputs: of products of fewer, a row's rounding depends on its place


def folded(network: MLPEnsemble) -> Callable[..., Tensor]:
    """Return a function that gives each member's logits in evaluation, but for rounding.

    Batch normalisation is part of the linear layer after it, and so is the layer of features. Each
    member computes all its layers before the next begins, so that their values stay in the cache.
    """
    *steps, last = linear_steps(network)
    n_outputs = last[0].shape[-1]
    widened = [pad(parameter, (0, -n_outputs % WHOLE)) for parameter in last]
    by_step = [list(zip(*step, strict=True)) for step in [*steps, widened]]
    steps_of_members = list(zip(*by_step, strict=True))

    def decide(*views: Tensor) -> Tensor:
        table = as_table(views)
        logits = []
        for (weight, bias), *steps in steps_of_members:
            values = torch.addmm(bias, table, weight)
            for weight, bias in steps:
                values = torch.addmm(bias, values.relu_(), weight)
            logits.append(values)
        return torch.stack(logits, dim=1)[..., :n_outputs]

    return decide


def linear_steps(network: MLPEnsemble) -> list[tuple[Tensor, Tensor]]:
    """Return the weights and the bias of each linear step in evaluation; ReLUs lie between.

    Returns
    -------
    list of (Tensor of shape (k, n_inputs, n_outputs), Tensor of shape (k, 1, n_outputs))
        For the network's k members.
    """
    steps: list[tuple[Tensor, Tensor]] = []
    weight: Tensor
    bias: Tensor
    times: Callable[[Tensor], Tensor] | None = None  # with shift: the layers since the last ReLU
    for layer in [*network.body, *network.head]:
        match layer:
            case MemberBatchNorm():
                scale, shift = layer.scale_and_shift()
                times = scale.mul
            case MemberLinear(weight=weight, bias=bias):
                if times is not None:
                    weight, bias = times(weight), torch.baddbmm(bias, shift, weight)
                times, shift = weight.matmul, bias
            case nn.ReLU():
                steps.append((weight, bias))
                times = None
    return [*steps, (weight, bias)]
