"""GeoTIFFs on the grid of a stack: of classes with their names and colours, or of numbers."""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from sklearn_gkd._common.files import missing_extra, replacing, write_whole

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.io import DatasetWriter
    from rasterio.windows import Window

Blocks = Iterable[tuple[Window, np.ndarray]]  # arrays (n_bands, height, width)
Palette = Mapping[int, tuple[int, ...]]


def write_numbers(path, stack: xarray.DataArray, blocks: Blocks, bands: Sequence[str]) -> None:
    """Write a GeoTIFF of float32 bands with these names; NaN is no data."""
    with (
        replacing(path) as partial_path,
        _create(partial_path, stack, bands, "float32", np.nan) as file,
    ):
        _fill(file, blocks)


def write_classes(
    path, stack: xarray.DataArray, blocks: Blocks, classes: Sequence[str], palette: Palette | None
) -> None:
    """Write a GeoTIFF of class numbers, from 1, with their names and colours; 0 is no data."""
    dtype = "uint16" if palette is None else "uint8"
    with replacing(path) as partial_path:
        with _create(partial_path, stack, ["class"], dtype, 0) as file:
            file.update_tags(1, **{str(i + 1): name for i, name in enumerate(classes)})
            if palette is not None:
                file.write_colormap(1, palette)
            _fill(file, blocks)
        _write_names(Path(path), classes)


def palette_of(classes: np.ndarray, colors: Mapping[Any, Sequence[int]] | None) -> Palette | None:
    """Return the colour of each class number; None for more classes than GDAL has colours for."""
    if len(classes) > 255:
        return None
    if colors is None:
        hues = [colorsys.hsv_to_rgb(i / len(classes), 0.65, 0.9) for i in range(len(classes))]
        return {i + 1: tuple(round(255 * part) for part in hue) for i, hue in enumerate(hues)}
    missing = [name for name in classes.tolist() if name not in colors]
    if missing:
        raise ValueError(
            f"colors has no colour for {missing[0]!r}. Give one for each of {classes.tolist()}."
        )
    return {i + 1: tuple(colors[name]) for i, name in enumerate(classes.tolist())}


def _create(
    path: Path, stack: xarray.DataArray, bands: Sequence[str], dtype: str, nodata: float
) -> DatasetWriter:
    file = rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=stack.sizes["x"],
        height=stack.sizes["y"],
        count=len(bands),
        dtype=dtype,
        crs=stack.rio.crs,
        transform=stack.rio.transform(),
        nodata=nodata,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        bigtiff="if_safer",
    )
    file.descriptions = bands
    return file


def _fill(file: DatasetWriter, blocks: Blocks) -> None:
    for window, block in blocks:
        file.write(block.astype(file.dtypes[0]), window=window)


def _write_names(path: Path, classes: Sequence[str]) -> None:
    """Write the names of the classes where GDAL, and so QGIS, looks for them."""
    categories = "".join(f"<Category>{escape(name)}</Category>" for name in ["no data", *classes])
    content = (
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{categories}</CategoryNames>'
        "</PAMRasterBand></PAMDataset>\n"
    )
    write_whole(path.with_name(f"{path.name}.aux.xml"), content.encode())
