"""Hashes that name what is computed: of values, of the code behind them, and of versions."""

import hashlib
import os
import sys
import sysconfig
import types
from functools import cache
from pathlib import Path
from site import getsitepackages
from typing import Any

from joblib.hashing import NumpyHasher

from sklearn_gkd._common.files import versions

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_INSTALLED = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in [str(_PACKAGE), *_LIBRARIES, *getsitepackages()]
)
_OF_NO_MEANING = {"__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__"}


def fingerprint(*content: Any) -> str | None:
    """Return a hash of the content, of the code behind it, and of the versions that compute.

    Code is that of the classes and functions in the content and of all that they use, as it was
    loaded, outside of installed packages. None stands for what cannot be hashed: nothing is to be
    named by it.
    """
    try:
        return _Hasher("md5").hash([content, list(versions().values()), _own_code()])
    except Exception:  # whatever an object raises that does not want to be pickled
        return None


@cache
def _own_code() -> str:
    """Return a hash of this package's files, which a version does not tell apart in a checkout."""
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
        return name, _parts(obj)


def _is_installed(module: types.ModuleType) -> bool:
    """Return whether a module is of an installed package or of Python itself."""
    if module.__name__ == "__main__":
        return False
    path = getattr(module, "__file__", None)
    if path is None:
        return module.__name__ in sys.builtin_module_names
    return str(Path(path).resolve()).startswith(_INSTALLED)


def _parts(obj: Any) -> Any:
    """Return what a class, a function or a module is made of, as it was loaded."""
    if isinstance(obj, types.FunctionType):
        names = _names(obj.__code__)
        used = {name: obj.__globals__[name] for name in names if name in obj.__globals__}
        cells = [cell.cell_contents for cell in obj.__closure__ or ()]
        return _code(obj.__code__), obj.__defaults__, obj.__kwdefaults__, cells, used
    parts = {name: _unwrapped(v) for name, v in vars(obj).items() if name not in _OF_NO_MEANING}
    if isinstance(obj, types.ModuleType):
        return {name: value for name, value in parts.items() if not name.startswith("__")}
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
