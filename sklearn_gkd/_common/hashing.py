"""Hashes that name what is computed: of values, of the code behind them, and of versions."""

import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from site import getsitepackages
from typing import Any

from joblib.hashing import NumpyHasher

from sklearn_gkd._common.files import versions

_INSTALLED = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in {*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), *getsitepackages()}
)
_OF_NO_MEANING = {"__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__"}


def fingerprint(*content: Any) -> str | None:
    """Return a hash of the content, of the code behind it, and of the versions that compute.

    Code is that of the classes and functions in the content, and of what it uses, outside of
    installed packages. None stands for what cannot be hashed: nothing is to be named by it.
    """
    try:
        return _Hasher("md5").hash([content, list(versions().values())])
    except Exception:  # whatever an object raises that does not want to be pickled
        return None


class _Hasher(NumpyHasher):
    """Hashes classes and functions by their code, and tensors by their values."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.hashed: set[int] = set()

    def save(self, obj: Any) -> None:
        super().save(self._stand_in(obj))

    def _stand_in(self, obj: Any) -> Any:
        """Return what is hashed in the place of an object: itself, unless its name tells little."""
        if hasattr(obj, "detach") and hasattr(obj, "numpy") and not isinstance(obj, type):
            return "tensor", obj.detach().cpu().numpy()
        if not isinstance(obj, (type, types.FunctionType, types.ModuleType)):
            return obj
        module = obj if isinstance(obj, types.ModuleType) else sys.modules.get(obj.__module__)
        if module is not None and _is_installed(module):
            return ("module", module.__name__) if module is obj else obj
        name = getattr(obj, "__qualname__", obj.__name__)
        if id(obj) in self.hashed:
            return "known", name
        self.hashed.add(id(obj))
        files = sorted(_contents_of_all_used_by(module)) if module is not None else []
        stands_in_a_file = files and "<" not in name and not isinstance(obj, types.FunctionType)
        return name, files, None if stands_in_a_file else _by_value(obj)


def _is_installed(module: types.ModuleType) -> bool:
    """Return whether a module is of an installed package or of Python itself."""
    if module.__name__ == "__main__":
        return False
    path = _source(module)
    return str(path).startswith(_INSTALLED) if path else module.__name__ in sys.builtin_module_names


def _source(module: types.ModuleType | None) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path).resolve() if path else None


def _contents_of_all_used_by(module: types.ModuleType) -> set[tuple[str, bytes]]:
    """Return the file's content of a module, and those of all not installed that it uses."""
    found: dict[str, types.ModuleType] = {}
    left = [module]
    while left:
        one = left.pop()
        if one.__name__ not in found and not _is_installed(one):
            found[one.__name__] = one
            left += _used_by(one)
    contents = set()
    for name, one in found.items():
        path = _source(one)
        if path and path.is_file() and name != "__main__":
            contents.add((name, _content(path, path.stat().st_mtime_ns)))
    return contents


def _used_by(module: types.ModuleType) -> Iterator[types.ModuleType]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, types.ModuleType) else None
        name = name or getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules:
            yield sys.modules[name]


@lru_cache(maxsize=1024)
def _content(path: Path, modified: int) -> bytes:
    return path.read_bytes()


def _by_value(obj: Any) -> Any:
    """Return what a class or function is made of."""
    if isinstance(obj, types.FunctionType):
        names = _names(obj.__code__)
        used = {name: obj.__globals__[name] for name in names if name in obj.__globals__}
        cells = [cell.cell_contents for cell in obj.__closure__ or ()]
        return _code(obj.__code__), obj.__defaults__, obj.__kwdefaults__, cells, used
    parts = {name: _unwrapped(v) for name, v in vars(obj).items() if name not in _OF_NO_MEANING}
    return obj.__bases__, parts


def _code(code: types.CodeType) -> Any:
    constants = [_code(c) if isinstance(c, types.CodeType) else _ordered(c) for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def _names(code: types.CodeType) -> set[str]:
    nested = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*nested)


def _ordered(constant: Any) -> Any:
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant


def _unwrapped(value: Any) -> Any:
    """Return the functions within what cannot be pickled."""
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
