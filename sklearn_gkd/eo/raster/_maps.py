"""Maps of an image stack: every pixel is classified, block by block, and written to GeoTIFFs."""

import io
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.files import missing_extra, write_whole
from sklearn_gkd._common.hashing import fingerprint
from sklearn_gkd.eo.raster._geotiff import Blocks, write_classes, write_numbers
from sklearn_gkd.eo.raster._identity import fingerprint_of_pixels, source_files
from sklearn_gkd.eo.raster._legend import legend_of
from sklearn_gkd.eo.raster._predicting import most_probable, predict_numbers, predict_probabilities
from sklearn_gkd.eo.raster._stacks import CHUNK, TOLERANCE, align, check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import rasterio.features
    import xarray
    from rasterio.windows import Window


BLOCK = 2**20  # pixels at a time; 16 rows of the image at least

CACHE = 128  # MB of what GDAL has read; it would keep a twentieth of the machine's memory

NUMBER, PROBABILITIES = slice(0, 1), slice(1, None)  # layers of a pixel


def predict_map(
    estimator,
    stack,
    out,
    *,
    probabilities=None,
    confidence=None,
    entropy=None,
    margin=None,
    names: Mapping[Any, str] | None = None,
    colors: Mapping[Any, Any] | None = None,
    sieve: int = 1,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Path:
    """Classify each pixel of an image stack, and write a map.

    The image is read and classified block by block. Finished blocks are kept in a hidden folder
    beside `out`: an interrupted call leaves no file that looks finished, and the same call, with
    the same fitted estimator and unchanged images, goes on from there. (A stack that is read from
    elsewhere than local files is begun anew.) On a stack in dask chunks, as `open_stack` returns
    it, blocks are computed by whatever scheduler or cluster is active.

    To a model that was trained on means of objects, pixels are unlike what it has seen, for they
    are noisier: prefer `predict_objects`, or filter the speckle (`eo.despeckle`).

    Parameters
    ----------
    estimator : classifier
        Fitted, on tables (n, T * C), time-major, or series (n, T, C). If on named columns, these
        choose the dates and bands of the stack.
    stack : DataArray with dimensions time, band, y and x
        In the units that fit saw. A pixel with gaps (NaN) is not classified; where the estimator
        takes NaN, only a pixel without any value is not.
    out : str or path-like
        GeoTIFF of the classes with their names and colours. Integers from 0 to 65,535 are its
        values; other classes are numbered from 1 in the order of ``classes_``. No data is 0 or,
        where 0 is a class, the highest value of the file's dtype.
    probabilities, confidence : str or path-like, default=None
        GeoTIFFs of the probability of each class, a band each, and of the highest of them, which
        is that of the predicted class.
    entropy, margin : str or path-like, default=None
        GeoTIFFs of how undecided the classifier is: the entropy of the probabilities in nats, from
        0 to the logarithm of the number of classes; and the highest less the second highest.
    names : mapping, default=None
        Name of each class. None: the class itself.
    colors : mapping, default=None
        Colour of each class: ``"#rrggbb"``, or red, green and blue as integers from 0 to 255 or
        floats from 0 to 1. None: evenly spaced hues.
    sieve : int, default=1
        Minimum mapping unit: patches (of pixels that share a side) of fewer pixels than this take
        the class of their largest neighbour in `out`. The other files stay as they are.
    tolerance : float, default=6
        Days by which an acquisition may lie off the day of a named column.
    progress : bool, default=True
        Whether to show a bar.

    Returns
    -------
    Path
        `out`.

    Warns
    -----
    UserWarning
        If the estimator was fitted on named columns, as `object_series` gives them.

    Raises
    ------
    ValueError
        If the stack is not one, or does not have the estimator's dates and bands, if a class has no
        proper name or colour, or if two outputs are one file or one is a file of the stack.

    See Also
    --------
    predict_objects : Classes of polygons.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack, predict_map
    >>> stack = open_stack(paths, dates, ["VV", "VH"])  # doctest: +SKIP
    >>> predict_map(clf, stack, "land_cover.tif", confidence="confidence.tif")  # doctest: +SKIP
    """
    files = source_files(check_stack(stack))
    stack = _as_in_fit(estimator, check_stack(stack), tolerance)
    legend = legend_of(estimator.classes_, names, colors)
    if isinstance(sieve, bool) or not isinstance(sieve, Integral) or sieve < 1:
        raise ValueError(f"sieve is {sieve!r}. Give a number of pixels, 1 or more.")
    of_probabilities = {
        "probabilities": (probabilities, lambda of_classes: of_classes, legend.names),
        "confidence": (confidence, _confidence, ["confidence"]),
        "entropy": (entropy, _entropy, ["entropy"]),
        "margin": (margin, _margin, ["margin"]),
    }
    wanted = {name: file for name, file in of_probabilities.items() if file[0] is not None}
    out = Path(out)
    _check_outputs({"out": out} | {name: path for name, (path, *_) in wanted.items()}, files)
    classify = _PixelClassifier(estimator, bool(wanted))
    windows = _windows(stack)
    with _partial_folder(out, _key(classify, stack, windows)) as folder:
        blocks = [(window, folder / f"{number}.npy") for number, window in enumerate(windows)]
        _predict_blocks(classify, stack, blocks, progress)
        for path, measure, bands in wanted.values():
            measured = ((window, measure(found)) for window, found in _read(blocks, PROBABILITIES))
            write_numbers(path, stack, measured, bands)
        numbers = _read(blocks, NUMBER)
        write_classes(out, stack, numbers if sieve == 1 else _sieved(numbers, stack, sieve), legend)
    return out


def _check_outputs(paths: Mapping[str, Any], sources: Collection[Path]) -> None:
    """Raise an error if outputs overwrite each other or what the stack is read from."""
    taken = {path: "which the stack is read from" for path in sources}
    for name, path in paths.items():
        path = Path(path).resolve()
        if path.is_dir():
            raise ValueError(f"{name} is {path}, a folder. Give the path of a file.")
        same = [other for other in taken if other == path or _is_same(other, path)]
        if same:
            raise ValueError(f"{name} is {path}, {taken[same[0]]}. Give another path.")
        taken[path] = f"which {name} is as well"
        path.parent.mkdir(parents=True, exist_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _confidence(probabilities: np.ndarray) -> np.ndarray:
    return probabilities.max(axis=0, keepdims=True)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return entr(probabilities).sum(axis=0, keepdims=True)


def _margin(probabilities: np.ndarray) -> np.ndarray:
    ranked = np.sort(probabilities, axis=0)
    return ranked[-1:] - ranked[-2:-1] if len(ranked) > 1 else ranked


def _sieved(blocks: Blocks, stack: xarray.DataArray, size: int) -> Blocks:
    """Yield the numbers of the classes with patches smaller than `size` pixels merged."""
    numbers = np.zeros((stack.sizes["y"], stack.sizes["x"]), dtype=np.uint16)
    windows = []
    for window, block in blocks:
        numbers[window.row_off : window.row_off + window.height] = block[0]
        windows.append(window)
    merged = rasterio.features.sieve(numbers, size, mask=numbers > 0)
    for window in windows:
        yield window, merged[None, window.row_off : window.row_off + window.height]


def _as_in_fit(estimator, stack: xarray.DataArray, tolerance: float) -> xarray.DataArray:
    """Return the dates and bands of the stack that the estimator was fitted on."""
    check_is_fitted(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        stack = align(stack, names.tolist(), tolerance)
        warn(
            "The estimator was fitted on named columns, as object_series gives them. Pixels are "
            "noisier than means of objects; predict_objects is the better use of it."
        )
    n_columns = stack.sizes["time"] * stack.sizes["band"]
    if getattr(estimator, "n_features_in_", n_columns) != n_columns:
        raise ValueError(
            f"stack has {stack.sizes['time']} dates of {stack.sizes['band']} bands, but the "
            f"estimator was fitted on {estimator.n_features_in_} columns. Give the same dates and "
            "bands as in fit."
        )
    return stack


@dataclass(frozen=True)
class _PixelClassifier:
    """A classifier that is given pixels (..., T, C) and returns their layers (..., n_layers).

    The first layer is the number of the class; the probability of each class may follow.
    """

    estimator: Any
    with_probabilities: bool

    @property
    def n_layers(self) -> int:
        return 1 + len(self.estimator.classes_) if self.with_probabilities else 1

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        table = pixels.reshape(-1, pixels.shape[-2] * pixels.shape[-1])
        names = getattr(self.estimator, "feature_names_in_", None)
        layers = np.zeros((len(table), self.n_layers), dtype=np.float32)
        if self.with_probabilities:
            of_classes = predict_probabilities(self.estimator, table, names)
            layers[:, 0] = most_probable(of_classes)
            layers[:, 1:] = of_classes
        else:
            layers[:, 0] = predict_numbers(self.estimator, table, names)
        return layers.reshape(*pixels.shape[:-2], self.n_layers)


def _key(
    classify: _PixelClassifier, stack: xarray.DataArray, windows: Sequence[Window]
) -> str | None:
    """Return what names a map that is begun: its pixels, the model and its blocks."""
    pixels = fingerprint_of_pixels(stack, windows[0].height)
    rows = [window.row_off for window in windows]
    return None if pixels is None else fingerprint(pixels, classify, rows)


@contextmanager
def _partial_folder(out: Path, key: str | None) -> Iterator[Path]:
    """Give the folder of finished blocks, which outlives an error where a key finds it again."""
    if key is None:
        with TemporaryDirectory(".partial", f".{out.name}.", dir=out.parent) as name:
            yield Path(name)
        return
    folder = out.with_name(f".{out.name}.{key[:32]}.partial")
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def _windows(stack: xarray.DataArray) -> list[Window]:
    height, width = stack.sizes["y"], stack.sizes["x"]
    n_rows = max(16, min(CHUNK["y"], BLOCK // width // 16 * 16))
    return [Window(0, top, width, min(n_rows, height - top)) for top in range(0, height, n_rows)]


def _predict_blocks(
    classify: _PixelClassifier, stack: xarray.DataArray, blocks: list, progress: bool
) -> None:
    """Write the layers of each window to its file, where an earlier call has not done so."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        for window, path in tqdm(blocks, unit="block", disable=not progress):
            if not path.exists():
                rows = slice(window.row_off, window.row_off + window.height)
                buffer = io.BytesIO()
                np.save(buffer, _predict_block(classify, stack.isel(y=rows)))
                write_whole(path, buffer.getvalue())


def _predict_block(classify: _PixelClassifier, block: xarray.DataArray) -> np.ndarray:
    """Return the layers (n_layers, height, width) of a block, by dask where it is in its chunks."""
    if block.chunks is not None:
        block = block.chunk({"time": -1, "band": -1, "y": -1, "x": CHUNK["x"]})
    layers = xarray.apply_ufunc(
        classify,
        block.astype(np.float32),
        input_core_dims=[["time", "band"]],
        output_core_dims=[["layer"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"layer": classify.n_layers}},
    )
    return layers.transpose("layer", "y", "x").to_numpy()


def _read(blocks: list, layers: slice) -> Iterator[tuple[Window, np.ndarray]]:
    for window, path in blocks:
        yield window, np.load(path)[layers]
