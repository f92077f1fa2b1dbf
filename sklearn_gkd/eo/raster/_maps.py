"""Maps of an image stack: every pixel is classified, block by block, and written to GeoTIFFs."""

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.files import fingerprint, missing_extra, write_whole
from sklearn_gkd.eo.raster._geotiff import palette_of, write_classes, write_numbers
from sklearn_gkd.eo.raster._pixels import masked_and_shifted
from sklearn_gkd.eo.raster._predicting import most_probable, predict_numbers, predict_probabilities
from sklearn_gkd.eo.raster._stacks import CHUNK, TOLERANCE, align, check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.windows import Window


BLOCK = 2**20  # pixels at a time; 16 rows of the image at least

CACHE = 128  # MB of what GDAL has read; it would keep a twentieth of the machine's memory

NUMBER, CONFIDENCE, PROBABILITIES = slice(0, 1), slice(1, 2), slice(2, None)  # layers of a pixel


def predict_map(
    estimator,
    stack,
    out,
    *,
    probabilities=None,
    confidence=None,
    colors: Mapping[Any, Sequence[int]] | None = None,
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Path:
    """Classify each pixel of an image stack, and write a map.

    The image is read and classified block by block. Finished blocks are kept in a hidden folder
    beside `out`: an interrupted call leaves no file that looks finished, and the same call
    goes on from there. On a stack in dask chunks, as `open_stack` returns it, blocks are
    computed by whatever scheduler or cluster is active.

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
        GeoTIFF of the classes, numbered from 1 in the order of ``classes_``, with their names and
        colours; 0 is no data.
    probabilities, confidence : str or path-like, default=None
        GeoTIFFs of the probability of each class, a band each, and of the highest of them, which
        is that of the predicted class.
    colors : mapping, default=None
        Red, green and blue, 0 to 255, of each class. None: evenly spaced hues. A map of more than
        255 classes has no colours.
    offset, mask, mask_values, mask_bits
        As in `object_series`: pixels that the mask marks have no data on that date.
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
        If the stack is not one, or does not have the estimator's dates and bands, or if a class
        has no colour in `colors`.

    See Also
    --------
    predict_objects : Classes of polygons.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack, predict_map
    >>> stack = open_stack(paths, dates, ["VV", "VH"])  # doctest: +SKIP
    >>> predict_map(clf, stack, "land_cover.tif", confidence="confidence.tif")  # doctest: +SKIP
    """
    stack = masked_and_shifted(check_stack(stack), mask, mask_values, mask_bits, offset)
    stack = _as_in_fit(estimator, stack, tolerance)
    palette = palette_of(estimator.classes_, colors)
    classify = _PixelClassifier(estimator, not (probabilities is confidence is None))
    out = Path(out)
    folder = out.with_name(f".{out.name}.{_key(classify, stack)[:16]}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [(window, folder / f"{number}.npy") for number, window in enumerate(_windows(stack))]
    _predict_blocks(classify, stack, blocks, progress)
    classes = [str(name) for name in estimator.classes_]
    if probabilities is not None:
        write_numbers(probabilities, stack, _read(blocks, PROBABILITIES), classes)
    if confidence is not None:
        write_numbers(confidence, stack, _read(blocks, CONFIDENCE), ["confidence"])
    write_classes(out, stack, _read(blocks, NUMBER), classes, palette)
    shutil.rmtree(folder)
    return out


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

    The first layer is the number of the class. With probabilities, the confidence and the
    probability of each class follow.
    """

    estimator: Any
    with_probabilities: bool

    @property
    def n_layers(self) -> int:
        return 2 + len(self.estimator.classes_) if self.with_probabilities else 1

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        table = pixels.reshape(-1, pixels.shape[-2] * pixels.shape[-1])
        names = getattr(self.estimator, "feature_names_in_", None)
        layers = np.zeros((len(table), self.n_layers), dtype=np.float32)
        if self.with_probabilities:
            of_classes = predict_probabilities(self.estimator, table, names)
            layers[:, 0] = most_probable(of_classes)
            layers[:, 1] = of_classes.max(axis=1)
            layers[:, 2:] = of_classes
        else:
            layers[:, 0] = predict_numbers(self.estimator, table, names)
        return layers.reshape(*pixels.shape[:-2], self.n_layers)


def _key(classify: _PixelClassifier, stack: xarray.DataArray) -> str:
    """Return what names a map that is begun: its grid, dates and bands, and what is predicted."""
    shape = (64, stack.sizes["time"], stack.sizes["band"])
    probe = np.random.RandomState(0).normal(0, 10, size=shape).astype(np.float32)
    return fingerprint(
        stack.shape,
        str(stack.rio.crs),
        tuple(stack.rio.transform()),
        stack["time"].to_numpy().tolist(),
        stack["band"].to_numpy().tolist(),
        [str(name) for name in classify.estimator.classes_],
        classify.n_layers,
        classify(probe),
    )


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
