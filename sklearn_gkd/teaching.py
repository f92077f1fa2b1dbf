"""What a fitted teacher tells of each row: its logits and its features, computed once."""

from collections.abc import Sequence

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd.training import outputs


def teach(
    teacher: NeuralNet, views: Sequence[np.ndarray], seen: np.ndarray, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute a trained teacher's targets for each row.

    Parameters
    ----------
    teacher : NeuralNet
        As `training.fit_net` returns it.
    views : sequence of ndarray of shape (n, T, C)
        What the teacher looks at.
    seen : ndarray of bool of shape (n,)
        The rows that have all of these views.
    device : torch.device
        Where to compute.

    Returns
    -------
    logits : Tensor of shape (n, n_classes)
    features : Tensor of shape (n, n_features)
    taught : Tensor of shape (n,)
        1.0 where the teacher has seen the row; elsewhere 0.0, and so are logits and features.
    """
    batches = outputs(teacher, [view[seen] for view in views], device)
    logits, features = (torch.cat(tensors).cpu() for tensors in zip(*batches, strict=True))
    taught = torch.as_tensor(seen)
    return _scatter(logits, taught), _scatter(features, taught), taught.float()


def _scatter(values: Tensor, rows: Tensor) -> Tensor:
    scattered = values.new_zeros(len(rows), values.shape[1])
    scattered[rows] = values
    return scattered
