"""Layers that replace PyTorch's: faster on a CPU, or of several members at once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Dropout(nn.Dropout):
    """Dropout whose random numbers cost a fifth on a CPU: 16 bits a value instead of a float.

    The share that is dropped is the nearest multiple of 1 / 65536, and the other values are scaled
    accordingly. On a GPU, and in evaluation, it is PyTorch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x, scaled, with a part of it set to 0."""
        n_dropped = round(self.p * 65536)
        if not self.training or x.device.type != "cpu" or n_dropped in (0, 65536):
            return super().forward(x)
        n = x.numel()
        bits = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[:n].view(x.shape) >= n_dropped - 32768
        return x * kept.to(x.dtype).mul_(65536 / (65536 - n_dropped))


class Linear(nn.Linear):
    """Linear layer that oneDNN computes where it is large, on a CPU.

    PyTorch's own choice of library takes up to twice as long on AMD's CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the weights, plus the bias."""
        by_onednn = (
            self.weight.numel() >= 2**18
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and torch.backends.mkldnn.is_available()
            and not torch.compiler.is_exporting()
        )
        return _OneDNNLinear.apply(x, self.weight, self.bias) if by_onednn else super().forward(x)


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x.to_mkldnn(), weight, bias).to_dense()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = None
        if ctx.needs_input_grad[0]:
            by_onednn = torch.ops.aten.mkldnn_linear_backward_input
            of_x = by_onednn(x.shape, gradient.to_mkldnn(), weight).to_dense()
        return of_x, gradient.t() @ x, gradient.sum(dim=0)


class MemberLinear(nn.Module):
    """Linear layer for each of k members: (k, n, n_inputs) to (k, n, n_outputs)."""

    def __init__(self, n_members: int, n_inputs: int, n_outputs: int):
        super().__init__()
        bound = n_inputs**-0.5  # as in nn.Linear
        self.weight = nn.Parameter(
            torch.empty(n_members, n_inputs, n_outputs).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(n_members, 1, n_outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return each member's x times its weights, plus its bias."""
        return torch.baddbmm(self.bias, x, self.weight)


class MemberBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of each of k members: (k, n, n_features)."""

    def __init__(self, n_members: int, n_features: int):
        super().__init__(n_members * n_features)
        self.n_members = n_members

    def forward(self, x: Tensor) -> Tensor:
        """Return x, normalised by member and feature."""
        side_by_side = super().forward(x.transpose(0, 1).flatten(1))
        return side_by_side.unflatten(1, (self.n_members, -1)).transpose(0, 1)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the factors (k, n_features, 1) and terms (k, 1, n_features) of evaluation."""
        scale = self.weight / torch.sqrt(self.get_buffer("running_var") + self.eps)
        shift = self.bias - self.get_buffer("running_mean") * scale
        return scale.view(self.n_members, -1, 1), shift.view(self.n_members, 1, -1)
