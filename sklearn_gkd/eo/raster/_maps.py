"""Maps of an image stack and classes of its objects, by a classifier; public as `raster`."""

import colorsys
import io
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklearn_gkd._common.files import fingerprint, missing_extra, write_whole
from sklearn_gkd.eo.raster._stacks import CHUNK, TOLERANCE, align, check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.windows import Window


BLOCK = 2**20  # pixels at a time; 16 rows of the image at least

CACHE = 128  # MB of what GDAL has read; it would keep a twentieth of the machine's memory


def predict_map(
    estimator,
    stack,
    out,
    *,
    probabilities=None,
    confidence=None,
    colors: Mapping[Any, Sequence[int]] | None = None,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Path:
    """Classify each pixel of an image stack, and write a map.

    The image is read and classified block by block. What is done is kept in a hidden folder
    beside `out`: an interrupted call leaves no file that looks finished, and the same call
    goes on from there. On a stack in dask chunks, as `open_stack` returns it, blocks are
    computed by whatever scheduler or cluster is active.

    A model that was trained on means of objects sees another distribution in pixels, which are
    noisier: prefer `predict_objects`, or filter the speckle (`eo.despeckle`). For a model that
    was fitted on a table by `object_series`, a warning says so.

    Parameters
    ----------
    estimator : classifier
        Fitted. It is given tables (n, T * C), time-major; one that was fitted on named columns is
        given the stack's dates and bands of these names.
    stack : DataArray with dimensions time, band, y and x
        In the units that fit saw. A pixel that has gaps is not classified, or, where the
        estimator takes NaN, one that has nothing else.
    out : str or path-like
        GeoTIFF of the classes, numbered from 1 in the order of ``classes_``, with their names and
        colours; 0 is no data.
    probabilities, confidence : str or path-like, default=None
        GeoTIFFs of the probability of each class, a band each, and of that of the class that is
        predicted.
    colors : mapping, default=None
        Red, green and blue, 0 to 255, of each class. None: evenly spaced hues.
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
        If the stack does not have the estimator's dates and bands.

    See Also
    --------
    predict_objects : Classes of polygons.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack, predict_map
    >>> stack = open_stack(paths, dates, ["VV", "VH"])  # doctest: +SKIP
    >>> predict_map(clf, stack, "land_cover.tif", confidence="confidence.tif")  # doctest: +SKIP
    """
    stack = check_stack(stack)
    check_is_fitted(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        stack = align(stack, names.tolist(), tolerance)
        warnings.warn(
            "The estimator was fitted on named columns, as object_series gives them. Pixels are "
            "noisier than means of objects; predict_objects is the better use of it.",
            stacklevel=2,
        )
    n_columns = stack.sizes["time"] * stack.sizes["band"]
    if getattr(estimator, "n_features_in_", n_columns) != n_columns:
        raise ValueError(
            f"stack has {stack.sizes['time']} dates of {stack.sizes['band']} bands, and the "
            f"estimator was fitted on {estimator.n_features_in_} columns. Give the same dates and "
            "bands as in fit."
        )
    n_layers = 1 if probabilities is confidence is None else 2 + len(estimator.classes_)
    predict = partial(_layers, estimator, names, n_layers)
    windows = _windows(stack)
    out = Path(out)
    folder = out.with_name(f".{out.name}.{_key(predict, stack)[:16]}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        for number, window in enumerate(tqdm(windows, unit="block", disable=not progress)):
            path = folder / f"{number}.npy"
            if not path.exists():
                block = stack.isel(y=slice(window.row_off, window.row_off + window.height))
                buffer = io.BytesIO()
                np.save(buffer, _predict_block(predict, n_layers, block))
                write_whole(path, buffer.getvalue())
    blocks = [(window, folder / f"{number}.npy") for number, window in enumerate(windows)]
    classes = [str(name) for name in estimator.classes_]
    if probabilities is not None:
        _write(probabilities, stack, blocks, slice(2, None), "float32", classes)
    if confidence is not None:
        _write(confidence, stack, blocks, slice(1, 2), "float32", ["confidence"])
    dtype = "uint8" if len(classes) < 256 else "uint16"
    palette = _palette(estimator.classes_, colors) if dtype == "uint8" else None
    _write(out, stack, blocks, slice(0, 1), dtype, ["class"], classes, palette)
    shutil.rmtree(folder)
    return out


def _layers(estimator, names, n_layers: int, block: np.ndarray) -> np.ndarray:
    """Return class numbers, and confidence and probabilities if wanted: (..., n_layers).

    Parameters
    ----------
    block : ndarray of shape (..., T, C)
        Pixels.
    """
    table = block.reshape(-1, block.shape[-2] * block.shape[-1])
    layers = np.zeros((len(table), n_layers), dtype=np.float32)
    layers[:, 1:] = np.nan
    usable = _usable(estimator, table)
    if usable.any():
        given: Any = table if usable.all() else table[usable]
        if names is not None:
            given = pd.DataFrame(given, columns=names)
        if n_layers == 1:
            codes = np.searchsorted(estimator.classes_, estimator.predict(given))
        else:
            of_classes = estimator.predict_proba(given)
            codes = of_classes.argmax(axis=1)
            layers[usable, 1] = of_classes.max(axis=1)
            layers[usable, 2:] = of_classes
        layers[usable, 0] = codes + 1
    return layers.reshape(*block.shape[:-2], n_layers)


def _usable(estimator, table: np.ndarray) -> np.ndarray:
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    known = np.isfinite(table)
    return known.any(axis=1) if get_tags(first).input_tags.allow_nan else known.all(axis=1)


def _predict_block(predict, n_layers: int, block: xarray.DataArray) -> np.ndarray:
    """Return the layers (n_layers, height, width) of a block, by dask where it is in its chunks."""
    if block.chunks is not None:
        block = block.chunk({"time": -1, "band": -1, "y": -1, "x": CHUNK["x"]})
    layers = xarray.apply_ufunc(
        predict,
        block.astype(np.float32),
        input_core_dims=[["time", "band"]],
        output_core_dims=[["layer"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"layer": n_layers}},
    )
    return layers.transpose("layer", "y", "x").to_numpy()


def _windows(stack: xarray.DataArray) -> list[Window]:
    height, width = stack.sizes["y"], stack.sizes["x"]
    n_rows = max(16, min(CHUNK["y"], BLOCK // width // 16 * 16))
    return [Window(0, top, width, min(n_rows, height - top)) for top in range(0, height, n_rows)]


def _key(predict: partial, stack: xarray.DataArray) -> str:
    """Return what names a map that is begun: its grid, dates and bands, and what is predicted."""
    shape = (64, stack.sizes["time"], stack.sizes["band"])
    probe = np.random.RandomState(0).normal(0, 10, size=shape).astype(np.float32)
    estimator, _, n_layers = predict.args
    return fingerprint(
        stack.shape,
        str(stack.rio.crs),
        tuple(stack.rio.transform()),
        stack["time"].to_numpy().tolist(),
        stack["band"].to_numpy().tolist(),
        [str(name) for name in estimator.classes_],
        n_layers,
        predict(probe),
    )


def _palette(classes: np.ndarray, colors) -> dict[int, tuple[int, ...]]:
    if colors is None:
        hues = [colorsys.hsv_to_rgb(i / len(classes), 0.65, 0.9) for i in range(len(classes))]
        return {i + 1: tuple(round(255 * part) for part in hue) for i, hue in enumerate(hues)}
    missing = [name for name in classes.tolist() if name not in colors]
    if missing:
        raise ValueError(f"colors has none for {missing[0]!r}. Give one for each of {classes}.")
    return {i + 1: tuple(colors[name]) for i, name in enumerate(classes.tolist())}


def _write(
    path, stack, blocks, layers: slice, dtype: str, bands: list[str], classes=None, palette=None
) -> None:
    """Write layers of all blocks as a GeoTIFF that is there as a whole, or as it was before."""
    path = Path(path)
    partial_path = path.with_name(f".{path.stem}.{os.getpid()}.partial.tif")
    profile = {
        "driver": "GTiff",
        "width": stack.sizes["x"],
        "height": stack.sizes["y"],
        "count": len(bands),
        "dtype": dtype,
        "crs": stack.rio.crs,
        "transform": stack.rio.transform(),
        "nodata": np.nan if dtype == "float32" else 0,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    try:
        with rasterio.open(partial_path, "w", **profile) as file:
            for band, name in enumerate(bands, start=1):
                file.set_band_description(band, name)
            if classes is not None:
                file.update_tags(1, **{str(i + 1): name for i, name in enumerate(classes)})
            if palette is not None:
                file.write_colormap(1, palette)
            for window, block_path in blocks:
                file.write(np.load(block_path)[layers].astype(dtype), window=window)
        if classes is not None:
            _write_names(path, classes)
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def _write_names(path: Path, classes: list[str]) -> None:
    """Write the names of the classes where GDAL, and so QGIS, looks for them."""
    categories = "".join(f"<Category>{escape(name)}</Category>" for name in ["no data", *classes])
    content = (
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{categories}</CategoryNames>'
        "</PAMRasterBand></PAMDataset>\n"
    )
    write_whole(path.with_name(f"{path.name}.aux.xml"), content.encode())
