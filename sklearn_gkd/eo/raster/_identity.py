"""Hashes that tell the pixels of stacks apart, and the files that a stack is read from."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from warnings import catch_warnings

import numpy as np

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd._common.hashing import fingerprint

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.errors import RasterioIOError

OF_ZARR = ("zarr.json", ".zgroup", ".zarray")  # what lies in a folder that is a zarr store


def fingerprint_of_pixels(stack: xarray.DataArray, n_rows: int) -> str | None:
    """Return a hash that tells the pixels of a stack from others'; None where it cannot be told.

    A stack in dask chunks is told by its graph and the path, size and time of change of each file
    that it is read from; any other by its values, `n_rows` rows of the image at a time.
    """
    grid = [str(stack.rio.crs), tuple(stack.rio.transform())]
    steps = [stack["time"].to_numpy(), stack["band"].to_numpy().tolist()]
    if stack.chunks is None:
        tops = range(0, stack.sizes["y"], n_rows)
        blocks = [fingerprint(stack.isel(y=slice(top, top + n_rows)).to_numpy()) for top in tops]
        return fingerprint(grid, steps, stack.shape, blocks)
    leaves = []
    for name, leaf in _leaves(stack):
        files = sorted(_files_in(leaf))
        if not files and not _is_value(getattr(leaf, "value", leaf)):
            return None  # a remote file, or what a function makes: nobody knows whether it changed
        leaves.append([str(name), leaf, [_state_of_file(path) for path in files]])
    leaves.sort(key=lambda leaf: leaf[0])
    return fingerprint(grid, steps, stack.shape, stack.data.name, leaves)


def source_files(stack: xarray.DataArray) -> set[Path]:
    """Return the local files that a stack is read from, as far as it knows them."""
    leaves = [] if stack.chunks is None else [leaf for _, leaf in _leaves(stack)]
    return set().union(*map(_files_in, [stack.encoding.get("source"), *leaves]))


def _leaves(stack: xarray.DataArray) -> Iterator[tuple[Any, Any]]:
    """Yield the names and contents of the tasks of a dask graph that depend on no other."""
    graph = stack.__dask_graph__()
    for name, others in graph.get_all_dependencies().items():
        if not others:
            yield name, graph[name]


def _is_value(content: Any) -> bool:
    """Return whether the content is an array or a number, or a sequence of these."""
    if isinstance(content, list | tuple):
        return all(map(_is_value, content))
    return content is None or isinstance(content, np.ndarray | np.generic | int | float | slice)


def _files_in(content: Any) -> set[Path]:
    """Return the local files whose paths stand in the content, and what these are made of."""
    files: set[Path] = set()
    for part in _strings_in(content):
        if any(os.path.isfile(os.path.join(part, name)) for name in OF_ZARR):
            files.update(file.resolve() for file in Path(part).rglob("*") if file.is_file())
        elif os.path.isfile(part):
            _add_raster(Path(part), files)
    return files


def _add_raster(path: Path, files: set[Path]) -> None:
    """Add a file with its sidecars and, of a virtual raster, the files that it shows."""
    path = path.resolve()
    if path in files or not path.is_file():
        return
    files.add(path)
    with suppress(RasterioIOError), catch_warnings(action="ignore"), rasterio.open(path) as file:
        for name in file.files:
            _add_raster(Path(name), files)


def _state_of_file(path: Path) -> list[str | int]:
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def _strings_in(content: Any, around: tuple[int, ...] = ()) -> Iterator[str]:
    """Yield the texts and paths that a task of dask holds, but for its code."""
    if isinstance(content, str | os.PathLike):
        yield os.fsdecode(content)
    elif id(content) not in around and not isinstance(content, type | FunctionType | ModuleType):
        for part in _held_by(content):
            yield from _strings_in(part, (*around, id(content)))


def _held_by(content: Any) -> list[Any]:
    """Return what a container or an object holds."""
    if isinstance(content, Mapping):
        return [*content.keys(), *content.values()]
    if isinstance(content, list | tuple | set | frozenset):
        return list(content)
    if isinstance(content, np.ndarray | np.generic):
        return content.ravel().tolist() if content.dtype.kind in "OU" else []
    if hasattr(content, "_opener"):  # xarray's open file, beside all others that it has open
        return [content._args, content._kwargs]
    slots = [name for kind in type(content).__mro__ for name in getattr(kind, "__slots__", ())]
    names = {*slots, *getattr(content, "__dict__", ())}
    return [getattr(content, name) for name in sorted(names) if hasattr(content, name)]
