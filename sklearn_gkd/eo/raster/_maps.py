"""Maps of an image stack: classes or a quantity in every pixel, block by block, as GeoTIFFs."""

import io
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklearn_gkd._common.checks import counted, warn
from sklearn_gkd._common.files import missing_extra, write_whole
from sklearn_gkd._common.hashing import fingerprint
from sklearn_gkd.eo._optical import SpectralIndices
from sklearn_gkd.eo.raster._computing import applied, computed, sent_once
from sklearn_gkd.eo.raster._geotiff import Blocks, write_classes, write_numbers
from sklearn_gkd.eo.raster._identity import fingerprint_of_pixels, source_files
from sklearn_gkd.eo.raster._legend import legend_of
from sklearn_gkd.eo.raster._pixels import indices_of, masked_and_shifted
from sklearn_gkd.eo.raster._predicting import (
    PixelClassifier,
    PixelPredictor,
    PixelRegressor,
    names_of_numbers,
    numbers_per_row,
    refuse_options_of_classes,
    refuse_options_of_probabilities,
)
from sklearn_gkd.eo.raster._stacks import CHUNK, TOLERANCE, align, check_stack, order_of

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import rasterio.features
    import xarray
    from rasterio.windows import Window


BLOCK = 2**20  # pixels at a time; 16 rows of the image at least

CACHE = 128  # MB of what GDAL has read; it would keep a twentieth of the machine's memory


def predict_map(
    estimator: Any,
    stack: xarray.DataArray,
    out: str | os.PathLike[str],
    *,
    probabilities: str | os.PathLike[str] | None = None,
    confidence: str | os.PathLike[str] | None = None,
    entropy: str | os.PathLike[str] | None = None,
    margin: str | os.PathLike[str] | None = None,
    names: Mapping[Any, str] | None = None,
    colors: Mapping[Any, Any] | None = None,
    sieve: int = 1,
    indices: Sequence[str] = (),
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Path:
    """Predict the class, or the quantity, of each pixel of an image stack, and write a map.

    The image is read and predicted block by block. Finished blocks are kept in a hidden folder
    beside `out`: an interrupted call leaves no file that looks finished, and the same call, with
    the same fitted estimator and unchanged images, goes on from there. (A stack that is read from
    elsewhere than local files is begun anew.)

    On a stack in dask chunks, as `open_stack` returns it, blocks are computed in threads or, where
    a `dask.distributed.Client` is active, by its workers. These read the images, so they need the
    same paths; this process alone writes. What a worker that died had is computed again.

    To a model that was trained on means of objects, pixels are unlike what it has seen, for they
    are noisier: prefer `predict_objects`, or filter the speckle (`eo.despeckle`).

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted, on tables (n, T * C), time-major, or series (n, T, C). If on named columns, these
        choose the dates and bands of the stack.
    stack : DataArray with dimensions time, band, y and x
        In the units that fit saw. A pixel with gaps (NaN) is not classified; where the estimator
        takes any gaps, or fills them, only a pixel without any value is not.
    out : str or path-like
        GeoTIFF of the classes with their names and colours. Integers from 0 to 65,535, not
        both 0 and 65,535, are its values; other classes are numbered from 1 in the order of
        ``classes_``. No data is 0 or, where 0 is a class, the highest value of the file's dtype.
        Of a regressor, it has float32 numbers, a band for each that is predicted, and no data is
        NaN; the options that follow, up to `sieve`, are then an error.
    probabilities, confidence : str or path-like, default=None
        GeoTIFFs of the probability of each class, a band each, and of the highest of them, which
        is that of the predicted class unless ``predict`` has a threshold of its own.
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
    indices, offset, mask, mask_values, mask_bits : object
        As in `object_series`: pixels that the mask marks have no data on that date, and indices
        are computed in each pixel, after mask and offset, and follow the bands of each date.
    tolerance : float, default=6
        Days by which an acquisition may lie off the day of a named column.
    progress : bool, default=True
        Whether to show a bar.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ValueError
        If the stack is not one, or does not have the estimator's dates, bands and indices, if a
        class has no proper name or colour, if measures are wanted of a classifier that has no
        probabilities, or if two outputs are one file or one is a file of the stack.

    Warns
    -----
    UserWarning
        If the estimator was fitted on named columns, as `object_series` gives them.

    See Also
    --------
    predict_objects : Classes, or a quantity, of polygons.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack, predict_map
    >>> stack = open_stack(paths, dates, ["VV", "VH"])  # doctest: +SKIP
    >>> predict_map(clf, stack, "land_cover.tif", confidence="confidence.tif")  # doctest: +SKIP
    """
    files = source_files(check_stack(stack))
    stack = masked_and_shifted(check_stack(stack), mask, mask_values, mask_bits, offset)
    if isinstance(indices, str):
        raise ValueError(f"indices is {indices!r}. Give a list: [{indices!r}].")
    stack, appended, order, n_columns = _as_in_fit(estimator, stack, tolerance, indices)
    if isinstance(sieve, bool) or not isinstance(sieve, Integral) or sieve < 1:
        raise ValueError(f"sieve is {sieve!r}. Give a number of pixels, 1 or more.")
    paths: dict[str, Any] = {
        "probabilities": probabilities,
        "confidence": confidence,
        "entropy": entropy,
        "margin": margin,
    }
    paths = {name: path for name, path in paths.items() if path is not None}
    out = Path(out)
    if is_regressor(estimator):
        refuse_options_of_classes(**paths, names=names, colors=colors, sieve=sieve > 1 or None)
        _check_outputs({"out": out}, files)
        predict = PixelRegressor(estimator, appended, order, numbers_per_row(estimator, n_columns))
        with _predicted(predict, stack, out, progress) as blocks:
            bands = names_of_numbers(predict.n_layers)
            write_numbers(out, stack, _read(blocks, slice(None)), bands)
        return out
    refuse_options_of_probabilities(estimator, **paths)
    legend = legend_of(estimator.classes_, names, colors)
    _check_outputs({"out": out} | paths, files)
    classify = PixelClassifier(estimator, appended, order, tuple(paths))
    with _predicted(classify, stack, out, progress) as blocks:
        for name, path in paths.items():
            bands = legend.names if name == "probabilities" else [name]
            write_numbers(path, stack, _read(blocks, classify.layers[name]), bands)
        numbers = _read(blocks, classify.layers["number"])
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


def _as_in_fit(
    estimator: Any, stack: xarray.DataArray, tolerance: float, indices: Sequence[str]
) -> tuple[xarray.DataArray, SpectralIndices | None, list[int] | None, int]:
    """Return the dates and bands that the estimator was fitted on, and how they become its table.

    That is by what appends the indices, and by the order of the columns, if it has names; the last
    is their number.
    """
    check_is_fitted(estimator)
    names, order = getattr(estimator, "feature_names_in_", None), None
    if names is not None:
        stack = align(stack, names.tolist(), tolerance, indices)
        order = order_of(stack, names.tolist(), indices)
        warn(
            "The estimator was fitted on named columns, as object_series gives them. Pixels are "
            "noisier than means of objects; predict_objects is the better use of it."
        )
    appended = indices_of(stack, indices)
    n_bands = stack.sizes["band"] + len(indices)
    n_columns = stack.sizes["time"] * n_bands if order is None else len(order)
    if getattr(estimator, "n_features_in_", n_columns) != n_columns:
        of_stack, of_fit = (counted(n, "column") for n in (n_columns, estimator.n_features_in_))
        raise ValueError(
            f"stack has {of_stack}, {counted(stack.sizes['time'], 'date')} of "
            f"{counted(stack.sizes['band'], 'band')} with indices={list(indices)}, but the "
            f"estimator was fitted on {of_fit}. Give the same dates, bands and indices as in fit."
        )
    return stack, appended, order, n_columns


@contextmanager
def _predicted(
    predict: PixelPredictor, stack: xarray.DataArray, out: Path, progress: bool
) -> Iterator[list[tuple[Window, Path]]]:
    """Give the windows of a map, each with the file of its layers."""
    windows = _windows(stack)
    with _partial_folder(out, _key(predict, stack, windows)) as folder:
        blocks = [(window, folder / f"{number}.npy") for number, window in enumerate(windows)]
        _predict_blocks(predict, stack, blocks, progress)
        yield blocks


def _key(predict: PixelPredictor, stack: xarray.DataArray, windows: Sequence[Window]) -> str | None:
    """Return what names a map that is begun: its pixels, the model and its blocks."""
    pixels = fingerprint_of_pixels(stack, windows[0].height)
    rows = [window.row_off for window in windows]
    return None if pixels is None else fingerprint(pixels, predict, rows)


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
    predict: PixelPredictor,
    stack: xarray.DataArray,
    blocks: list[tuple[Window, Path]],
    progress: bool,
) -> None:
    """Write the layers of each window to its file, where an earlier call has not done so."""
    function = predict if stack.chunks is None else sent_once(predict)
    missing = [(window, path) for window, path in blocks if not path.exists()]
    found = computed(_layers(function, predict.n_layers, stack, window) for window, _ in missing)
    shown = tqdm(missing, unit="block", disable=not progress)
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        for (_, path), layers in zip(shown, found, strict=True):
            buffer = io.BytesIO()
            np.save(buffer, layers)
            write_whole(path, buffer.getvalue())


def _layers(function: Any, n_layers: int, stack: xarray.DataArray, window: Window) -> Any:
    """Return the layers (n_layers, height, width) of a window, lazily where the stack is lazy."""
    block = stack.isel(y=slice(window.row_off, window.row_off + window.height)).astype(np.float32)
    if block.chunks is not None:
        block = block.chunk({"y": -1, "x": CHUNK["x"]})
    return applied(function, block, "lyx", {"l": n_layers}, np.float32)


def _read(blocks: list[tuple[Window, Path]], layers: slice) -> Iterator[tuple[Window, np.ndarray]]:
    for window, path in blocks:
        yield window, np.load(path)[layers]
