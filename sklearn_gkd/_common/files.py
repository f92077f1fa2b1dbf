"""Files that are whole or not there, what names their content, and packages that are not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib

PACKAGES = ("sklearn-gkd", "scikit-learn", "skorch", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that what is computed depends on."""
    return {name: version(name) for name in PACKAGES}


def fingerprint(*content: Any) -> str:
    """Return a hash of the content, and of the versions that compute with it."""
    return joblib.hash([*content, list(versions().values())])


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Write a file that is there as a whole, or as it was before."""
    path = Path(path)
    partial_path = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial_path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


@contextmanager
def missing_extra(extra: str, what: str) -> Iterator[None]:
    """Say which extra to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs {error.name}: pip install 'sklearn-gkd[{extra}]'.", name=error.name
        ) from None
