"""GeoTIFFs on the grid of a stack: of classes with a legend, or of numbers."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sklearn_gkd._common.files import missing_extra, replacing, write_whole
from sklearn_gkd.eo.raster._legend import Legend

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import xarray
    from rasterio.io import DatasetWriter
    from rasterio.windows import Window

SIDECARS = (".aux.xml", ".ovr", ".msk", ".msk.ovr", ".vat.dbf")  # read with the file beside them

Blocks = Iterable[tuple[Window, np.ndarray]]  # arrays (n_bands, height, width)


def write_numbers(
    path: str | os.PathLike[str], stack: xarray.DataArray, blocks: Blocks, bands: Sequence[str]
) -> None:
    """Write a GeoTIFF of float32 bands with these names; NaN is no data."""
    with replacing(path) as partial_path:
        with _create(partial_path, stack, bands, "float32", np.nan) as file:
            _fill(file, blocks)
        _remove_sidecars(path)


def write_classes(
    path: str | os.PathLike[str], stack: xarray.DataArray, blocks: Blocks, legend: Legend
) -> None:
    """Write a GeoTIFF of classes that are numbered from 1, 0 for no data, as a legend says."""
    with replacing(path) as partial_path:
        with _create(partial_path, stack, ["class"], legend.dtype, legend.nodata) as file:
            values = legend.values.tolist()
            file.update_tags(1, **dict(zip(map(str, values), legend.names, strict=True)))
            file.write_colormap(1, dict(zip(values, legend.colors, strict=True)))
            _fill(file, ((window, legend.values_of(numbers)) for window, numbers in blocks))
        _remove_sidecars(path)
        write_whole(Path(path).with_name(f"{Path(path).name}.aux.xml"), legend.to_xml().encode())


def _remove_sidecars(path: str | os.PathLike[str]) -> None:
    """Remove overviews, masks and legends of the file that is about to be replaced."""
    for ending in SIDECARS:
        Path(f"{os.fspath(path)}{ending}").unlink(missing_ok=True)


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
