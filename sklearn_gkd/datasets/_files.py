"""Read radar and optical series of the same objects from a file."""

import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

SERIES = ("X_s1", "X_s2")

NEEDED = (*SERIES, "y")

KEYS = (*NEEDED, "groups", "class_names", "bands_s1", "bands_s2", "dates_s1", "dates_s2")

PAIRS = {"X_unlabeled": "X_s1", "X_priv_unlabeled": "X_s2"}
"""Series without a label, and those whose dates and bands they have."""

FORMAT = "load_sits describes the format; numpy.savez writes it"


def load_sits(path: str | os.PathLike[str]) -> Bunch:
    """Load radar and optical series of the same objects from an npz file.

    Nothing is ever unpickled. Arrays of other names in the file are left there.

    Parameters
    ----------
    path : str or path-like
        An npz (`numpy.savez`) with the arrays listed below; X_s1, X_s2 and y are needed.

    Returns
    -------
    Bunch
        X_s1 : ndarray of shape (n, T1, C1), float
            Radar series, in dB; NaN where there is no observation.
        X_s2 : ndarray of shape (n, T2, C2), float
            Optical series, reflectance x 10,000; NaN where there is no observation.
        y : ndarray of shape (n,)
            Classes.
        groups : ndarray of shape (n,)
            Spatial cell of each object, for spatially disjoint splits. Not in the file: one for
            each object.
        class_names : ndarray of shape (n_classes,)
            Not in the file: the classes of y, sorted.
        bands_s1, bands_s2 : ndarrays of shape (C1,) and (C2,)
            Not in the file: numbers from 0.
        dates_s1, dates_s2 : ndarrays of shape (T1,) and (T2,)
            Not in the file: numbers from 0, as of steps that are equally spaced.
        X_unlabeled, X_priv_unlabeled : ndarrays of shape (m, T1, C1) and (m, T2, C2), float
            Radar and optical series of objects without a class. Not in the file: absent, as is
            ``groups_unlabeled`` of shape (m,), the spatial cell of each.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no npz, or if an array is missing, mis-shaped or pickled.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sklearn_gkd.datasets import load_sits, make_sits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "dordogne.npz")
    ...     np.savez(path, **make_sits(100, random_state=0))
    ...     data = load_sits(path)
    >>> data.X_s1.shape, data.X_s2.shape
    ((100, 31, 2), (100, 23, 5))
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of an npz; {FORMAT}.")
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} is no npz, or is cut short. Write it again; {FORMAT}."
            ) from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} holds a single array and is no npz. {FORMAT}.")
        keys = [key for key in KEYS if key in archive or key in NEEDED]
        data = {key: _read(archive, key, path) for key in keys}
        pairs = {key: _read(archive, key, path) for key in _pair_keys(archive)}
    _check_series(data, SERIES, path)
    _check_series(pairs, [key for key in PAIRS if key in pairs], path)
    data = _derived(data) | data
    _check_shapes(data, path)
    _check_pairs(data, pairs, path)
    return Bunch(**{key: data[key] for key in KEYS}, **pairs)


def _pair_keys(archive: np.lib.npyio.NpzFile) -> list[str]:
    """Return the arrays of pairs without a label: all that they need, where there are any."""
    if not any(key in archive for key in PAIRS):
        return []
    return [*PAIRS, *(["groups_unlabeled"] if "groups_unlabeled" in archive else [])]


def _read(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    if key not in archive:
        raise ValueError(f"{path} has no array {key!r}. Add it; {FORMAT}.")
    try:
        return np.asarray(archive[key])
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: {key!r} is pickled (object dtype), which is never loaded, or is damaged. "
            f"Write it again as an array of floats or, with .astype(str), of strings; {FORMAT}."
        ) from error


def _check_series(data: dict[str, np.ndarray], keys: Iterable[str], path: Path) -> None:
    for key in keys:
        if data[key].ndim != 3 or data[key].dtype.kind != "f":
            raise ValueError(
                f"{path}: {key!r} is {data[key].dtype} of shape {data[key].shape}. "
                "Give floats of shape (n, T, C): n objects, T dates, C bands."
            )


def _derived(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a file may leave out, from what it has."""
    n, n_dates_s1, n_bands_s1 = data["X_s1"].shape
    _, n_dates_s2, n_bands_s2 = data["X_s2"].shape
    return {
        "groups": np.arange(n),
        "class_names": np.unique(data["y"]),
        "bands_s1": np.arange(n_bands_s1),
        "bands_s2": np.arange(n_bands_s2),
        "dates_s1": np.arange(n_dates_s1),
        "dates_s2": np.arange(n_dates_s2),
    }


def _check_shapes(data: dict[str, np.ndarray], path: Path) -> None:
    n, n_dates_s1, n_bands_s1 = data["X_s1"].shape
    _, n_dates_s2, n_bands_s2 = data["X_s2"].shape
    expected = {
        "X_s2": (n, n_dates_s2, n_bands_s2),
        "y": (n,),
        "groups": (n,),
        "bands_s1": (n_bands_s1,),
        "bands_s2": (n_bands_s2,),
        "dates_s1": (n_dates_s1,),
        "dates_s2": (n_dates_s2,),
    }
    unknown = np.setdiff1d(data["y"], data["class_names"])
    if len(unknown):
        raise ValueError(
            f"{path}: 'y' holds {unknown.tolist()[:5]}, which 'class_names' does not. Give every "
            "class by its name, as it stands in 'class_names'."
        )
    for key, shape in expected.items():
        if data[key].shape != shape:
            raise ValueError(
                f"{path}: {key!r} has shape {data[key].shape}, but X_s1 is {data['X_s1'].shape} "
                f"and X_s2 is {data['X_s2'].shape}, (n, T, C) each. Give {key!r} the shape {shape}."
            )


def _check_pairs(data: dict[str, np.ndarray], pairs: dict[str, np.ndarray], path: Path) -> None:
    for key, array in pairs.items():
        like = data[PAIRS[key]] if key in PAIRS else data["y"]
        expected = (len(pairs["X_unlabeled"]), *like.shape[1:])
        if array.shape != expected:
            raise ValueError(
                f"{path}: {key!r} has shape {array.shape} and not {expected}: one row for each of "
                "X_unlabeled, and the dates and bands of the series with a label. Give it that "
                "shape, or leave pairs without a label out."
            )
