"""Sources of privileged information that a row may lack: which of them a network is shown."""

from collections.abc import Sequence

import torch
from torch import Tensor

SOURCE_DROPOUT = 0.3  # share of a row's sources that a network is not shown, while it is trained


def shown(
    views: Sequence[Tensor], present: Tensor | None, n_sources: int, training: bool
) -> Tensor:
    """Return a mask of the sources, the last views, that are shown of each row, (n, n_sources).

    In training some of those that a row has are left out at random, but never all, so that one
    network learns from any of them.

    Parameters
    ----------
    views : sequence of Tensor of shape (n, T, C) or (n, H, W, C)
        What the network looks at.
    present : Tensor of bool of shape (n, n_views) or None
        The views that each row has; None for all.
    n_sources : int
        How many of the views are sources.
    training : bool
        Whether to leave out some.
    """
    if present is None:
        present = torch.ones(len(views[0]), n_sources, dtype=torch.bool, device=views[0].device)
    has = present[:, -n_sources:]
    if not training:
        return has
    draws = torch.rand(has.shape, device=has.device).masked_fill(~has, -1)
    largest = draws == draws.amax(dim=1, keepdim=True)
    return has & (largest | (draws >= SOURCE_DROPOUT))


def masked(
    views: tuple[Tensor, ...], present: Tensor | None, n_sources: int, training: bool
) -> tuple[Tensor, ...]:
    """Return the views, 0 where a source is not `shown`: it adds nothing to a linear layer."""
    if n_sources == 1:
        return views
    seen = shown(views, present, n_sources, training)
    sources = (
        source * beside(kept, source)
        for source, kept in zip(views[-n_sources:], seen.T, strict=True)
    )
    return (*views[:-n_sources], *sources)


def beside(of_rows: Tensor, view: Tensor) -> Tensor:
    """Return a value of each row, (n,), in a shape that is broadcast over a view."""
    return of_rows.view(-1, *[1] * (view.ndim - 1))
