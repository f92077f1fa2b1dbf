"""Image files opened as a stack: a file a date, a file a band and date, or one file of all."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._dates import as_dates
from sklearn_gkd.eo.raster._files import ImageFile, Images, alpha_of
from sklearn_gkd.eo.raster._grids import Grid
from sklearn_gkd.eo.raster._names import check_descriptions, is_categorical
from sklearn_gkd.eo.raster._stacks import CHUNK, INTENSITY, check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import dask.array
    import rasterio
    import xarray
    from rasterio.warp import SUPPORTED_RESAMPLING
    from xarray.backends import CachingFileManager

WAYS = [way.name for way in SUPPORTED_RESAMPLING]

FOR_CLASSES = ("nearest", "mode")  # ways of warping that invent no class


def open_stack(
    paths,
    dates,
    bands: Sequence[str],
    *,
    like=None,
    nodata: float | None = None,
    resampling: str | Mapping[str, str] = "bilinear",
) -> xarray.DataArray:
    """Open image files as a stack, without reading them yet.

    Parameters
    ----------
    paths : sequence of T paths, or of T sequences of C paths
        A file for each date, with all bands, or a file for each date and band.
    dates : array-like of shape (T,)
        When each was acquired, in order: ``"2016-01-12"``, ``20160112`` or datetime64. Two
        acquisitions of one day are two stacks, or one image that is their mosaic.
    bands : sequence of str
        Names of the bands, in the files' order.
    like : DataArray or path, default=None
        A stack, or any raster with a CRS, to whose grid files of another CRS or grid are warped.
    nodata : float, default=None
        A value that means "no data" in the files, before scale and offset, beside what the files
        themselves say. Give 0 for Sentinel-2 images whose files do not.
    resampling : str or mapping, default="bilinear"
        How bands are warped, as rasterio names it, or a mapping with that of some bands. Bands
        that are known to hold classes or flags (SCL, QA_PIXEL, QA60, masks) are never
        interpolated: they take the nearest pixel, or ``"mode"`` where the mapping says so.

    Returns
    -------
    DataArray of shape (T, C, height, width), float32
        In dask chunks. Scale and offset in the files are applied. NaN where the files have no
        data, by a nodata tag, a mask or an alpha band.

    Raises
    ------
    ValueError
        If there are not as many files as dates and bands, if the dates are not in order or fall
        on one day, if a file has no CRS, is complex, or says that its bands are others, or if the
        files lie on different grids and `like` is not given.

    See Also
    --------
    as_stack : Takes what odc-stac, stackstac or openEO loaded.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack
    >>> paths = ["S1_20160104.tif", "S1_20160116.tif"]
    >>> stack = open_stack(paths, ["2016-01-04", "2016-01-16"], ["VV", "VH"])  # doctest: +SKIP
    """
    times, bands = as_dates(dates, "dates"), list(bands)
    paths = list(paths)
    if len(paths) != len(times):
        raise ValueError(
            f"paths has {len(paths)} entries, but dates has {len(times)}. Give one for each date."
        )
    files = tuple(_open_date(path, bands, nodata) for path in paths)
    grid = _common_grid(files) if like is None else _grid_of(like)
    images = Images(files, _resampling_of(bands, resampling), grid)
    chunks = (1, len(bands), CHUNK["y"], CHUNK["x"])
    stack = xarray.DataArray(
        dask.array.from_array(images, chunks, meta=np.empty((0, 0, 0, 0), images.dtype)),
        dims=("time", "band", "y", "x"),
        coords={"time": times, "band": bands, **grid.coordinates()},
    )
    return check_stack(stack.rio.write_crs(grid.crs).rio.write_transform(grid.transform))


def _open_date(path: Any, bands: list[str], nodata: float | None) -> tuple[ImageFile, ...]:
    if isinstance(path, str | os.PathLike):
        return (_open_file(path, bands, nodata),)
    paths = list(path)
    if len(paths) != len(bands):
        raise ValueError(
            f"{paths} are {len(paths)} files, but bands names {len(bands)}: {bands}. Give a file "
            "for each band, or one file of all."
        )
    return tuple(_open_file(path, [band], nodata) for path, band in zip(paths, bands, strict=True))


def _open_file(path: Any, names: list[str], nodata: float | None) -> ImageFile:
    manager = CachingFileManager(rasterio.open, os.fspath(path), mode="r")
    file = manager.acquire()
    alpha = alpha_of(file, len(names))
    bands = tuple(band for band in range(1, file.count + 1) if band != alpha)
    if len(bands) != len(names):
        raise ValueError(
            f"{path} has {len(bands)} bands, but bands names {len(names)}: {names}. "
            "Name each band of the file."
        )
    if any(dtype.startswith("complex") for dtype in file.dtypes):
        raise ValueError(f"{path} is complex, as single-look (SLC) radar is. {INTENSITY}")
    check_descriptions(path, [file.descriptions[band - 1] for band in bands], names)
    return ImageFile(str(path), manager, Grid.of_file(file), bands, nodata, alpha)


def _common_grid(files: tuple[tuple[ImageFile, ...], ...]) -> Grid:
    first = files[0][0]
    for file in (file for of_date in files for file in of_date):
        if not file.grid.equals(first.grid):
            raise ValueError(
                f"{file.path} lies on another grid than {first.path}: {file.grid} instead of "
                f"{first.grid}. Give like=, a raster to whose grid all are warped."
            )
    return first.grid


def _grid_of(like: Any) -> Grid:
    if isinstance(like, str | os.PathLike):
        with rasterio.open(like) as file:
            grid = Grid.of_file(file)
    elif isinstance(like, xarray.DataArray | xarray.Dataset):
        grid = Grid.of_array(like, "like")
    else:
        raise ValueError(f"like is {type(like).__name__}. Give a stack, a DataArray or a path.")
    return grid.north_up()


def _resampling_of(bands: list[str], resampling: str | Mapping[str, str]) -> tuple[str, ...]:
    """Return how each band is warped."""
    of_bands = resampling if isinstance(resampling, Mapping) else {}
    default = "bilinear" if isinstance(resampling, Mapping) else resampling
    unknown = [name for name in of_bands if name not in bands]
    if unknown:
        raise ValueError(f"resampling has {unknown[0]!r}, which is not in bands={bands}.")
    for method in (default, *of_bands.values()):
        if method not in WAYS:
            raise ValueError(f"resampling has {method!r}, which is not one of {sorted(WAYS)}.")
    for band, method in of_bands.items():
        if is_categorical(band) and method not in FOR_CLASSES:
            raise ValueError(
                f"resampling would warp {band} by {method!r}, but it holds classes, which cannot "
                f"be interpolated. Give one of {FOR_CLASSES}, or call the band otherwise."
            )
    return tuple(
        of_bands.get(band, "nearest" if is_categorical(band) else default) for band in bands
    )
