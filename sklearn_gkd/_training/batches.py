"""Series in memory as a data set, iterated over in whole batches."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import TensorDataset

from sklearn_gkd._common.series import Shape, shape_text
from sklearn_gkd._common.targets import has_target


class SeriesDataset(TensorDataset, Dataset):
    """Views of the same rows and, where they are trained on, the targets: labels first.

    skorch's callbacks, which know one target alone, find the labelled rows in ``X`` and ``y``.

    Parameters
    ----------
    X : array-like or sequence of array-like
        The one view, or each of them, as (n, T, C) or (n, T * C).
    y : sequence of array-like of shape (n, ...), default=None
        Labels, as `_common.targets` describes them, and what else is learnt from.
    shapes : sequence of tuple of int
        (T, C) of each view, or (H, W, C) of images.
    device : torch.device, default="cpu"
        Where the tensors are.
    """

    def __init__(
        self,
        X: Any,
        y: Sequence[Any] | None = None,
        *,
        shapes: Sequence[Shape],
        device: torch.device | str = "cpu",
    ):
        views = X if isinstance(X, (list, tuple)) else [X]
        if len(views) != len(shapes):
            raise ValueError(
                f"X has {len(views)} views, but this net looks at {len(shapes)}. Give an array, "
                "or a list of one for each view."
            )
        dtype = torch.float32 if y is None else None
        tensors = [
            _as_series(view, shape).to(device, dtype)
            for view, shape in zip(views, shapes, strict=True)
        ]
        if y is None and not all(tensor.isfinite().all() for tensor in tensors):
            raise ValueError("X contains NaN or inf. Fill the gaps first, as before fit.")
        self.n_views = len(tensors)
        targets = [torch.as_tensor(target, device=device) for target in y or ()]
        super().__init__(*tensors, *targets)

    @property
    def X(self) -> list[Tensor]:
        """The views of the labelled rows."""
        return [view[self._labelled] for view in self.tensors[: self.n_views]]

    @property
    def y(self) -> Tensor | None:
        """The labels of the labelled rows."""
        return self.tensors[self.n_views][self._labelled] if self._has_labels else None

    @property
    def _has_labels(self) -> bool:
        return len(self.tensors) > self.n_views

    @property
    def _labelled(self) -> Any:
        return has_target(self.tensors[self.n_views]) if self._has_labels else slice(None)


class Batches:
    """Iterates over a data set in whole batches, as equal in size as can be.

    Batch normalisation learns badly from a last batch of few rows, and cannot from one.
    """

    def __init__(
        self, dataset: TensorDataset, batch_size: int, n_views: int, *, shuffle: bool = False
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.n_views = n_views
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
        n_rows = len(self.dataset)
        order = torch.randperm(n_rows) if self.shuffle else torch.arange(n_rows)
        order = order.to(self.dataset.tensors[0].device)
        for rows in order.tensor_split(n_batches(n_rows, self.batch_size)):
            tensors = self.dataset[rows]
            yield tensors[: self.n_views], tensors[self.n_views :]


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return the number of batches of so many rows, none of which is a single row of several."""
    return max(1, min(-(-n_rows // batch_size), n_rows // 2))


def _as_series(view: Any, shape: Shape) -> Tensor:
    if not isinstance(view, Tensor):
        view = np.asarray(view)
        runs_backwards = min(view.strides) < 0  # torch takes no such array
        view = np.require(view, None, ["C", "W"] if runs_backwards else "W")
    values = torch.as_tensor(view)
    if tuple(values.shape[1:]) not in (tuple(shape), (math.prod(shape),)):
        raise ValueError(
            f"X has a view of shape {tuple(values.shape)}, but fit saw {shape_text(shape)}. Give "
            "rows of that shape."
        )
    return values.reshape(-1, *shape)
