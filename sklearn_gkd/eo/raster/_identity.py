"""Hashes that tell stacks and estimators apart, and the files that a stack is read from."""

import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any
from warnings import catch_warnings

import numpy as np

from sklearn_gkd._common.files import missing_extra, versions

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.errors import RasterioIOError

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, np.dtype)

# What a skorch net keeps of its training, durations among it; its predictions do not need it.
OF_TRAINING = {"callbacks", "callbacks_", "criterion_", "history_", "optimizer_", "virtual_params_"}


OF_ZARR = ("zarr.json", ".zgroup", ".zarray")  # what lies in a folder that is a zarr store


class _NoIdentityError(Exception):
    """Something cannot be told from others by its content."""


def fingerprint(*content: Any) -> str | None:
    """Return a hash of the content by value, the same in every process; None if it has none.

    Estimators, arrays, tensors and whatever can be pickled are hashed with all they hold, with the
    source code of their classes and functions, and with the versions that compute with them.
    """
    try:
        return _digest([content, versions()]).hex()
    except (_NoIdentityError, RecursionError):
        return None


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
        if not files and not isinstance(getattr(leaf, "value", leaf), np.ndarray):
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


def _state_of_file(path: Path) -> list:
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def _strings_in(content: Any, path: tuple[int, ...] = ()) -> Iterator[str]:
    """Yield the texts that the content holds, but for its code."""
    if isinstance(content, str):
        yield content
    elif id(content) not in path and not isinstance(content, type | FunctionType | ModuleType):
        for part in _parts(content):
            yield from _strings_in(part, (*path, id(content)))


def _digest(content: Any, path: tuple[int, ...] = ()) -> bytes:
    """Return a hash of the content; `path` tells where it lies, for what contains itself."""
    if id(content) in path:
        content = ("an object around it", len(path) - path.index(id(content)))
    of_type = type(content)
    digest = hashlib.sha256(f"{of_type.__module__}.{of_type.__qualname__} ".encode())
    digest.update(_own_bytes(content))
    parts = [_digest(part, (*path, id(content))) for part in _parts(content)]
    digest.update(b"".join(sorted(parts) if isinstance(content, set | frozenset) else parts))
    return digest.digest()


def _own_bytes(content: Any) -> bytes:
    """Return what tells the content from others, but for its parts."""
    if type(content) in PLAIN:
        return repr(content).encode()
    if isinstance(content, np.ndarray | np.generic):
        described = f"{content.dtype.descr} {content.shape} ".encode()
        return (
            described
            if content.dtype.kind == "O" or content.dtype.names
            else (described + content.tobytes())
        )
    return b""


def _parts(content: Any) -> Iterable[Any]:
    """Return the objects that the content is made of."""
    kind = type(content)
    if kind in PLAIN:
        return []
    if isinstance(content, np.ndarray | np.generic) and not isinstance(content, np.ma.MaskedArray):
        if content.dtype.names:  # field by field, for the bytes between them are anything
            return [np.asarray(content)[name] for name in content.dtype.names]
        return content.ravel().tolist() if content.dtype.kind == "O" else []
    if all(hasattr(content, name) for name in ("detach", "cpu", "numpy")):
        return [_of_tensor(content)]
    if isinstance(content, os.PathLike):
        return [os.fsdecode(content)]
    if kind in (list, tuple, set, frozenset):
        return content
    if kind is dict:
        return chain.from_iterable(content.items())
    if isinstance(content, type | FunctionType):
        return _of_code(content)
    if kind is CodeType:
        return [content.co_code, content.co_consts, content.co_names]
    if kind is ModuleType:
        return [content.__name__]
    if all(hasattr(content, name) for name in ("acquire", "release")):
        return []  # a lock
    if all(hasattr(content, name) for name in ("_opener", "_args", "_mode", "_kwargs")):
        return [content._opener, content._args, content._mode, content._kwargs]  # an open file
    if any(base.__module__ == "skorch.net" for base in kind.__mro__):
        return [kind, *_sorted(vars(content), without=OF_TRAINING)]
    return _of_pickled(content)


def _of_tensor(tensor: Any) -> np.ndarray:
    values = tensor.detach().cpu()
    try:
        return values.numpy()
    except TypeError:  # numpy has no such type, bfloat16 for instance
        return values.double().numpy()


def _of_code(content: type | FunctionType) -> Iterator[Any]:
    """Yield the name and the source code of a class or function, with what it was made with."""
    yield from (content.__module__, content.__qualname__)
    source = _source(content.__module__)
    yield source
    if isinstance(content, FunctionType):
        yield from (content.__code__, content.__defaults__, content.__kwdefaults__)
        yield from (cell.cell_contents for cell in content.__closure__ or ())
    elif content.__module__ != "builtins":
        yield from content.__bases__
        if source is None:
            yield from (value for value in vars(content).values() if type(value) is FunctionType)


@cache
def _source(module: str) -> bytes | None:
    """Return a hash of the file of a module that is written in Python."""
    path = getattr(sys.modules.get(module), "__file__", None) or ""
    if path.endswith(".py") and Path(path).is_file():
        return hashlib.sha256(Path(path).read_bytes()).digest()
    return None


def _of_pickled(content: Any) -> Iterator[Any]:
    """Yield what an object would be pickled as."""
    try:
        reduced = content.__reduce_ex__(4)
    except Exception as error:
        raise _NoIdentityError(type(content)) from error
    if isinstance(reduced, str):
        yield reduced
        return
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    yield from (function, arguments)
    yield from _sorted(state) if type(state) is dict else [state]
    yield from (list(items or ()), list(pairs or ()))


def _sorted(attributes: dict, without: Collection[str] = ()) -> list:
    """Return names and values by name, for unpickling may change their order."""
    names = sorted(set(attributes).difference(without), key=str)
    return [part for name in names for part in (name, attributes[name])]
