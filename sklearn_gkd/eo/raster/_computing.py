"""Blocks of an image stack, computed one by one by threads, or at once by a cluster."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from sklearn_gkd._common.files import missing_extra

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import dask
    import dask.array
    import xarray
    from dask.base import get_scheduler
    from dask.delayed import delayed


def computed(arrays: Iterable[Any]) -> Iterator[np.ndarray]:
    """Yield the values of arrays, in their order.

    Lazy ones are computed one by one, in threads; or, where a `dask.distributed` client is active,
    on the workers, which are given all of them and compute again what a worker that died had.
    """
    arrays = iter(arrays)
    for first in arrays:
        client = getattr(get_scheduler(), "__self__", None)
        if client is None or not isinstance(first, dask.array.Array):
            yield np.asarray(first)
            continue
        futures = client.compute([first, *arrays])
        while futures:
            yield futures.pop(0).result()


def applied(
    function: Any, block: xarray.DataArray, dimensions: str, sizes: Mapping[str, int], dtype: Any
) -> Any:
    """Return what a function makes of the values (T, C, height, width) of a block.

    Parameters
    ----------
    function : callable, or one that `sent_once` returns
    block : DataArray
    dimensions : str
        Of what it returns, a letter each: those of the block are t, c, y and x. It is given
        portions of the block along those that it leaves, and the whole of the others.
    sizes : mapping
        Sizes of the dimensions that it adds.
    dtype : dtype
        Of what it returns.

    Returns
    -------
    ndarray, or lazy Array where the block is in dask chunks
    """
    if block.chunks is None:
        return function(block.to_numpy())
    return dask.array.blockwise(
        _call,
        dimensions,
        block.data,
        "tcyx",
        function=sent_once(function),
        new_axes=dict(sizes),
        concatenate=True,
        dtype=dtype,
        meta=np.empty((0,) * len(dimensions), dtype),
    )


def sent_once(function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Return a function that is sent to a cluster once, however many blocks it is applied to."""
    return delayed(function, traverse=False)


def _call(values: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return function(values)
