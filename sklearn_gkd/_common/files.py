"""Files replaced as a whole, versions, and errors for packages that are not installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("sklearn-gkd", "scikit-learn", "skorch", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that what is computed depends on."""
    return {name: version(name) for name in PACKAGES}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, and put that file in the place of `path` when it is complete.

    It lies beside `path` and ends as it does. Where the block raises, it is removed, and `path`
    stays as it was.
    """
    path = Path(path)
    partial_path = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial_path
        with partial_path.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that is there as a whole, or as it was before."""
    with replacing(path) as partial_path:
        partial_path.write_bytes(data)


@contextmanager
def missing_extra(extra: str, what: str) -> Iterator[None]:
    """Say which extra to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs {error.name}: pip install 'sklearn-gkd[{extra}]'.", name=error.name
        ) from None
