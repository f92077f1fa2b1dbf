"""Call a trained net on its views, batch by batch."""

import copy
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.series import Scaling, Shape
from sklearn_gkd._training.batches import Batches, SeriesDataset
from sklearn_gkd.networks._architectures import CNN, MLP, Averages, MLPEnsemble, mean_decision
from sklearn_gkd.networks._folding import folded
from sklearn_gkd.networks._sources import beside

PREDICTION_BATCH = 1024  # what stays in a CPU's cache; of convolutions, an eighth

WHOLE = 16  # rows: products of fewer, or of a part of them, are rounded otherwise


class Standardized(nn.Module):
    """A network behind the scaling of its inputs, which is kept as buffers.

    Parameters
    ----------
    network : callable
        Called as ``network(shapes, n_classes, **params)``.
    scalings : sequence of Scaling
        One for each view.
    shapes, n_classes, **params
        See `networks`.
    output_bias : sequence of float or None
        Added to the output layer's first bias, in a network of this package.
    averages : {"probabilities", "outputs"}, default="probabilities"
        Of the ensembles of this package in the network: see `MLPEnsemble`.
    """

    def __init__(
        self,
        network: Callable[..., nn.Module],
        scalings: Sequence[Scaling],
        shapes: Sequence[Shape],
        n_classes: int,
        output_bias: Sequence[float] | None = None,
        averages: Averages = "probabilities",
        **params: Any,
    ):
        super().__init__()
        self.network = network(shapes, n_classes, **params)
        self.may_lack = takes_present(self.network, len(shapes))
        if output_bias is not None and isinstance(self.network, CNN | MLP | MLPEnsemble):
            with torch.no_grad():
                self.network.head[-1].get_parameter("bias").add_(torch.tensor(output_bias))
        for part in self.network.modules():
            if isinstance(part, MLPEnsemble):
                part.averages = averages
        for i, (mean, scale) in enumerate(scalings):
            self.register_buffer(f"mean_{i}", torch.tensor(mean))
            self.register_buffer(f"scale_{i}", torch.tensor(scale))

    def forward(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (logits, features). Of a network without features, they have width 0.

        A row that is NaN throughout in a view lacks it.
        """
        scaled = self.scaled(views)
        if not self.may_lack:
            return logits_and_features(self.network, scaled)
        present = torch.stack([~view.isnan().flatten(1).all(dim=1) for view in views], dim=1)
        known = [
            view.where(beside(has, view), 0) for view, has in zip(scaled, present.T, strict=True)
        ]
        return logits_and_features(self.network, known, present)

    def scaled(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return the views as the network sees them."""
        return [
            (view - self.get_buffer(f"mean_{i}")) / self.get_buffer(f"scale_{i}")
            for i, view in enumerate(views)
        ]

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the network's parameters, by the network's own names."""
        return self.network.named_parameters(*args, **kwargs)


def accepts_missing(network: Callable[..., nn.Module]) -> bool:
    """Return whether a network learns from rows that lack a view: ``forward(*views, present)``."""
    forward = getattr(getattr(network, "func", network), "forward", None)  # also of a partial
    return forward is not None and "present" in signature(forward).parameters


def takes_present(network: nn.Module, n_views: int) -> bool:
    """Return whether a network is told which views each row has: one of several sources."""
    several = getattr(network, "n_sources", n_views) > 1
    return several and accepts_missing(network)


def prediction_params(shapes: Sequence[Shape], averages: Averages) -> dict[str, Any]:
    """Return the parameters of a skorch net by which it reads series and predicts."""
    return {
        "dataset": SeriesDataset,
        "dataset__shapes": tuple(shapes),
        "iterator_valid": Batches,
        "iterator_valid__n_views": len(shapes),
        "iterator_valid__batch_size": PREDICTION_BATCH,
        "predict_nonlinearity": _probabilities if averages == "probabilities" else _numbers,
    }


@torch.inference_mode()
def outputs(
    net: NeuralNet, views: Sequence[np.ndarray], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a trained net's (logits, features) on the device, batch by batch.

    On a CPU, those of a row do not depend on the rows beside it, to the last bit. Where the
    device's memory does not hold a batch, it is halved, with a warning.
    """
    module = _on(device, net)
    for (logits, features), n in _called(module, prediction_batch(module), views, device):
        yield logits[:n], features[:n]


@torch.inference_mode()
def decisions(
    net: NeuralNet, views: Sequence[np.ndarray], device: torch.device, of_members: bool = False
) -> Iterator[Tensor]:
    """Yield a trained net's logits as `outputs` does, but for rounding; an ensemble's sooner.

    With of_members they are those of each member of an ensemble, (n, k, n_outputs).
    """
    module = _on(device, net)
    logits_of = _deciding(module, of_members)
    for logits, n in _called(logits_of, prediction_batch(module), views, device):
        yield logits[:n]


def _deciding(module: Standardized, of_members: bool) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return a function that gives a batch's logits."""
    network = module.network
    if type(network) is not MLPEnsemble:
        return lambda batch: module(batch)[0]
    decide = folded(network)

    def logits_of(batch: Sequence[Tensor]) -> Tensor:
        logits = decide(*module.scaled(batch))
        return logits if of_members else mean_decision(logits, network.averages)

    return logits_of


def _on(device: torch.device, net: NeuralNet) -> Standardized:
    return net.module_ if device.type == "cpu" else copy.deepcopy(net.module_).to(device)


def _called(
    function: Callable[[list[Tensor]], Any],
    n_rows: int,
    views: Sequence[np.ndarray],
    device: torch.device,
) -> Iterator[tuple[Any, int]]:
    """Yield what a function gives for a padded batch, and the number of its rows."""
    start = 0
    while start < len(views[0]):
        batch = [view[start : start + n_rows] for view in views]
        try:
            padded = [torch.tensor(_padded(values), device=device) for values in batch]
            given = function(padded)
        except torch.OutOfMemoryError:
            if n_rows <= WHOLE:
                raise
            n_rows //= 2
            warn(f"{device} is out of memory: predicting {n_rows} rows at a time.")
            continue
        start += n_rows
        yield given, len(batch[0])


def prediction_batch(module: nn.Module) -> int:
    """Return how many rows a network is called on at a time, where it is not trained."""
    convolves = any(isinstance(layer, nn.Conv1d | nn.Conv2d) for layer in module.modules())
    return PREDICTION_BATCH // 8 if convolves else PREDICTION_BATCH


def _padded(values: np.ndarray) -> np.ndarray:
    missing = -len(values) % WHOLE
    if missing == 0:
        return np.ascontiguousarray(values)  # torch takes no array that runs backwards
    return np.pad(values, [(0, missing), *[(0, 0)] * (values.ndim - 1)], "edge")


def logits_and_features(
    network: nn.Module, views: Sequence[Tensor], present: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Call a network, and give logits alone features of width 0."""
    output = network(*views) if present is None else network(*views, present=present)
    if isinstance(output, Tensor):
        return output, output.new_empty(len(output), 0)
    return output


def _numbers(outputs: Tensor) -> Tensor:
    """Return the predicted numbers, (n, k), the mean of members' where there are."""
    return outputs.mean(dim=-2) if outputs.ndim > 2 else outputs


def _probabilities(logits: Tensor) -> Tensor:
    """Return each class's probability, (n, n_classes), the mean of members' where there are."""
    probabilities = logits.softmax(dim=-1)
    return probabilities.mean(dim=-2) if probabilities.ndim > 2 else probabilities
