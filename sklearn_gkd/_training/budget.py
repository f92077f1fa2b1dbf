"""How long, in which batches and at which rate a net learns, where it leaves that open."""

import math
from typing import NamedTuple

from skorch import NeuralNet

from sklearn_gkd.networks._architectures import MLPEnsemble

FALL = 0.3  # share of the passes in which the rate of larger steps falls to 0


class Budget(NamedTuple):
    """Passes over the training rows, rows in each step, and learning rate."""

    max_epochs: int
    batch_size: int
    lr: float


def budget_of(net: NeuralNet, n_rows: int, n_labelled: int) -> Budget:
    """Return the budget of a net: its own or, of what is None there, what suits most data.

    Over more than 1,024 rows, the small members of an `MLPEnsemble` bear larger steps, and so need
    fewer, but not where hardly a row of a batch has a label.
    """
    fewer = _larger_steps(net, n_rows) ** (2 / 3 * n_labelled / n_rows)
    return Budget(
        math.ceil(300 / n_rows**0.25 / fewer) if net.max_epochs is None else net.max_epochs,
        batch_size_of(net, n_rows),
        suited_lr(net, n_rows) if net.lr is None else net.lr,
    )


def suited_lr(net: NeuralNet, n_rows: int) -> float:
    """Return the learning rate that suits most data."""
    return 1e-3 * _larger_steps(net, n_rows) ** 1.3


def rate_shares(net: NeuralNet, n_rows: int, n_epochs: int) -> list[float]:
    """Return the share of its learning rate at which a net learns in each epoch.

    The rate of larger steps falls to 0 in the last epochs; without that, they cost accuracy.
    """
    if _larger_steps(net, n_rows) == 1:
        return [1.0] * n_epochs
    return [min(1.0, (1 - (epoch + 0.5) / n_epochs) / FALL) for epoch in range(n_epochs)]


def batch_size_of(net: NeuralNet, n_rows: int) -> int:
    """Return the rows in each training step of a net: its own number, or what suits most data."""
    batch_size = net.get_params_for("iterator_train").get("batch_size", net.batch_size)
    if batch_size is None:
        return min(max(64, n_rows // 16), 256) if _is_ensemble(net) else 64
    return n_rows if batch_size == -1 else batch_size


def _larger_steps(net: NeuralNet, n_rows: int) -> float:
    """Return how many times as large as one of 64 rows a step of a net can be, from 1 to 4."""
    batch_size = min(batch_size_of(net, n_rows), n_rows / 16, 256)
    return max(1, batch_size / 64) if _is_ensemble(net) else 1


def _is_ensemble(net: NeuralNet) -> bool:
    """Return whether a network is, or is built of, an `MLPEnsemble`."""
    parts = (net.module, *net.get_params_for("module").values())
    return any(isinstance(part, type) and issubclass(part, MLPEnsemble) for part in parts)
