"""Hashes that name what is computed: of values, of the code behind them, and of versions."""

import hashlib
import os
import sys
import sysconfig
import types
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from site import getsitepackages
from typing import Any

import numpy as np

from sklearn_gkd._common.files import versions

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_INSTALLED = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in [str(_PACKAGE), *_LIBRARIES, *getsitepackages()]
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, np.dtype)
_CODE = (type, types.FunctionType, types.ModuleType)
_OF_NO_MEANING = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__firstlineno__",
    "__static_attributes__",
    "_abc_impl",
}

# What a skorch net keeps of its training, durations among it; its predictions do not need it.
_OF_TRAINING = {"callbacks_", "criterion_", "history_", "optimizer_", "virtual_params_"}


def fingerprint(*content: Any) -> str | None:
    """Return a hash of the content, of the code behind it, and of the versions that compute.

    It is the same in every process. Arrays, tensors, estimators and whatever can be pickled are
    hashed by value; classes and functions outside of installed packages by their code, as it was
    loaded, and by all that it uses. None stands for what cannot be hashed: nothing is to be named
    by it.
    """
    try:
        return _Digest().of([content, versions(), _own_code()]).hex()
    except (_NoValueError, RecursionError):
        return None


class _NoValueError(Exception):
    """Something cannot be told from others by its value."""


@cache
def _own_code() -> str:
    """Return a hash of this package's files, which a version does not tell apart in a checkout."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Digest:
    """Hashes objects and all that they hold; code once, however often it is met."""

    def __init__(self) -> None:
        self.met: dict[int, bytes] = {}

    def of(self, content: Any, path: tuple[int, ...] = ()) -> bytes:
        """Return a hash of the content; `path` tells where it lies, for what contains itself."""
        if id(content) in path:
            content = ("an object around it", len(path) - path.index(id(content)))
        if id(content) in self.met:
            return self.met[id(content)]
        kind = type(content)
        digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__} ".encode())
        digest.update(_own_bytes(content))
        parts = [self.of(part, (*path, id(content))) for part in parts_of(content)]
        digest.update(b"".join(sorted(parts) if isinstance(content, set | frozenset) else parts))
        if isinstance(content, _CODE):
            self.met[id(content)] = digest.digest()
        return digest.digest()


def _own_bytes(content: Any) -> bytes:
    """Return what tells the content from others, but for its parts."""
    if type(content) in _PLAIN:
        return repr(content).encode()
    if isinstance(content, _CODE):
        return f"{getattr(content, '__qualname__', content.__name__)} ".encode()
    if isinstance(content, np.ndarray | np.generic):
        described = f"{content.dtype.descr} {content.shape} ".encode()
        by_parts = content.dtype.kind == "O" or content.dtype.names
        return described if by_parts else described + content.tobytes()
    return b""


def parts_of(content: Any) -> Iterable[Any]:
    """Return the objects that an object is made of."""
    kind = type(content)
    if kind in _PLAIN:
        return []
    if isinstance(content, np.ndarray | np.generic) and not isinstance(content, np.ma.MaskedArray):
        if content.dtype.names:  # field by field, for the bytes between them are anything
            return [np.asarray(content)[name] for name in content.dtype.names]
        return content.ravel().tolist() if content.dtype.kind == "O" else []
    if isinstance(content, _CODE):
        return _of_code(content)
    if kind is types.CodeType:
        return [content.co_code, content.co_consts, content.co_names, content.co_varnames]
    if _has(content, "detach", "cpu", "numpy"):
        return [str(content.dtype), _of_tensor(content)]
    if isinstance(content, os.PathLike):
        return [os.fsdecode(content)]
    if kind in (list, tuple, set, frozenset):
        return content
    if kind is dict:
        return chain.from_iterable(content.items())
    if _has(content, "acquire", "release"):
        return []  # a lock
    if _has(content, "_opener", "_args", "_mode", "_kwargs"):
        return [content._opener, content._args, content._mode, content._kwargs]  # xarray's files
    if any(base.__module__ == "skorch.net" for base in kind.__mro__):
        return [kind, *_sorted(vars(content), without=_OF_TRAINING)]
    return _of_pickled(content)


def _has(content: Any, *names: str) -> bool:
    return all(hasattr(content, name) for name in names)


def _of_tensor(tensor: Any) -> np.ndarray:
    values = tensor.detach().cpu()
    try:
        return values.numpy()
    except TypeError:  # numpy has no such type, bfloat16 for instance
        return values.double().numpy()


def _of_code(content: Any) -> Iterator[Any]:
    """Yield the name of a class, a function or a module and, if it is not installed, its code."""
    is_module = isinstance(content, types.ModuleType)
    module = content if is_module else sys.modules.get(content.__module__)
    yield content.__name__ if is_module else content.__module__
    if module is not None and _is_installed(module):
        yield None if is_module else _source(module.__name__)
    elif isinstance(content, types.FunctionType):
        names = _names(content.__code__)
        used = [name for name in sorted(names) if name in content.__globals__]
        yield from (content.__code__, content.__defaults__, content.__kwdefaults__)
        yield from (cell.cell_contents for cell in content.__closure__ or ())
        yield from chain.from_iterable((name, content.__globals__[name]) for name in used)
    elif is_module:
        yield from _sorted({k: v for k, v in vars(content).items() if not k.startswith("__")})
    else:
        yield from content.__bases__
        attributes = {name: _unwrapped(value) for name, value in vars(content).items()}
        yield from _sorted(attributes, without=_OF_NO_MEANING)


def _is_installed(module: types.ModuleType) -> bool:
    """Return whether a module is of this or an installed package, or of Python itself."""
    if module.__name__ == "__main__":
        return False
    path = getattr(module, "__file__", None)
    if path is None:
        return module.__name__ in sys.builtin_module_names
    return str(Path(path).resolve()).startswith(_INSTALLED)


@cache
def _source(module: str) -> bytes | None:
    """Return a hash of the file of a module that is written in Python."""
    path = getattr(sys.modules.get(module), "__file__", None) or ""
    if path.endswith(".py") and Path(path).is_file():
        return hashlib.sha256(Path(path).read_bytes()).digest()
    return None


def _names(code: types.CodeType) -> set[str]:
    nested = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*nested)


def _unwrapped(value: Any) -> Any:
    """Return the functions within what cannot be pickled."""
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    return value.__func__ if isinstance(value, staticmethod | classmethod) else value


def _of_pickled(content: Any) -> Iterator[Any]:
    """Yield what an object would be pickled as."""
    try:
        reduced = content.__reduce_ex__(4)
    except Exception as error:
        raise _NoValueError(type(content)) from error
    if isinstance(reduced, str):
        yield reduced
        return
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    yield from (function, arguments)
    yield from _sorted(state) if type(state) is dict else [state]
    yield from (list(items or ()), list(pairs or ()))


def _sorted(attributes: dict[Any, Any], without: Collection[str] = ()) -> list[Any]:
    """Return names and values by name, for unpickling may change their order."""
    names = sorted(set(attributes).difference(without), key=str)
    return [part for name in names for part in (name, attributes[name])]
