"""Stacks opened from image files: a file a date, a file a band and date, or one of all."""

import os
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_gkd._common.checks import counted
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._dates import as_dates, as_text
from sklearn_gkd.eo.raster._files import ImageFile, Images, Tile, alpha_of
from sklearn_gkd.eo.raster._grids import Grid
from sklearn_gkd.eo.raster._layout import (
    check_days_of_names,
    files_by_name,
    is_pattern,
    layers_of_file,
)
from sklearn_gkd.eo.raster._names import (
    check_descriptions,
    check_file_name,
    check_same_order,
    holds_probabilities,
    is_categorical,
    is_radar,
    zero_is_valid,
)
from sklearn_gkd.eo.raster._stacks import CHUNK, INTENSITY, check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import dask.array
    import rasterio
    import xarray
    from rasterio.warp import SUPPORTED_RESAMPLING
    from xarray.backends import CachingFileManager

WAYS = [way.name for way in SUPPORTED_RESAMPLING]

Files = tuple[tuple[tuple[Tile, ...], ...], np.ndarray, list[str]]

FOR_CLASSES = ("nearest", "mode")  # ways of warping that invent no class

AVERAGES = ("average", "bilinear", "cubic_spline", "sum")  # ways without negative weights


def open_stack(
    paths: Any,
    dates: Any = None,
    bands: Sequence[str] | None = None,
    *,
    like: Any = None,
    nodata: float | None = None,
    resampling: str | Mapping[str, str] = "bilinear",
) -> xarray.DataArray:
    """Open image files as a stack, without reading them yet.

    Parameters
    ----------
    paths : sequence of T paths or sequences of paths, or a path
        A file for each date, with all bands; a list of files for each date, one for each band; a
        pattern of their names, such as ``"S1_{date}_{band}.tif"`` or ``"S2_*_{date}.tif"``; or one
        file that has the bands of the first date, then those of the second, or whose descriptions
        name date or band.

        Tiles that lie side by side are a list for each date, too, each a file with all bands or a
        list of a file for each band; in a pattern, ``{tile}`` stands for what tells their names
        apart: ``"T{tile}_{date}_{band}.jp2"``. Where they overlap, the first one that has data
        counts; between them, there is none.
    dates : array-like of shape (T,), default=None
        When each was acquired, in order: ``"2016-01-12"``, ``20160112`` or datetime64. Two
        acquisitions of one ground on one day are refused: make two stacks of them, or one image
        that is their mean. None: as the pattern, or the descriptions in one file, say.
    bands : sequence of str, default=None
        Names of the bands, in the files' order. None: as the pattern or the files' descriptions
        say.
    like : DataArray or path, default=None
        A stack, or any raster with a CRS, to whose grid files of another CRS or grid are warped.
        None: the files' own grid, or the one that all tiles have a part of.
    nodata : float, default=None
        A value that means "no data" in the files, before scale and offset, beside what the files
        themselves say. Give 0 for Sentinel-2 images whose files do not. In bands that are known
        to hold flags (QA60, masks) or probabilities (CLP), 0 is never "no data".
    resampling : str or mapping, default="bilinear"
        How bands are warped, as rasterio names it, or a mapping with that of some bands. Radar in
        dB (VV, VH_asc) is averaged in linear power, as by `object_series`: by "average",
        "bilinear", "cubic_spline" and "sum". Bands that are known to hold classes or flags (SCL,
        QA_PIXEL, QA60, masks) are never interpolated: they take the nearest pixel, or ``"mode"``
        where the mapping says so. Probabilities (CLP, MSK_CLDPRB) take the nearest pixel unless
        the mapping says otherwise.

    Returns
    -------
    DataArray of shape (T, C, height, width), float32
        In dask chunks. Scale and offset in the files are applied. NaN where the files have no
        data, by a nodata tag, a mask or an alpha band.

    Raises
    ------
    ValueError
        If there are not as many files as dates and bands, if the dates are not in order or fall
        on one day, if several dates in a file's name fit the pattern, if a file has no CRS, is
        complex, says that its bands are others, or has them in another order than the first or
        its dates in another than their numbers, if the files lie on different grids and `like`
        is not given, or if two tiles of a date show the same ground.

    See Also
    --------
    as_stack : Takes what odc-stac, stackstac or openEO loaded.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack
    >>> paths = ["S1_20160104.tif", "S1_20160116.tif"]
    >>> stack = open_stack(paths, ["2016-01-04", "2016-01-16"], ["VV", "VH"])  # doctest: +SKIP
    >>> stack = open_stack("S1_{date}_{band}.tif", bands=["VV", "VH"])  # doctest: +SKIP
    >>> tiles = "S2/T{tile}_{date}_{band}_10m.jp2"  # of two zones: warped to the grid of the radar
    >>> stack = open_stack(tiles, bands=["B04", "B08"], like=radar, nodata=0)  # doctest: +SKIP
    """
    if not isinstance(nodata, Real | None) or isinstance(nodata, bool):
        raise ValueError(f"nodata is {nodata!r}. Give a number.")
    if isinstance(bands, str):
        raise ValueError(f"bands is {bands!r}. Give a list: [{bands!r}].")
    names = None if bands is None else [str(band) for band in bands]
    if is_pattern(paths):
        paths, dates, of_pattern = files_by_name(paths, dates, names)
        names = of_pattern or names
    if isinstance(paths, str | os.PathLike):
        files, times, names = _open_layers(paths, dates, names, nodata)
    else:
        files, times, names = _open_dates(list(paths), dates, names, nodata)
    grid = _common_grid(files) if like is None else _grid_of(like)
    methods = _resampling_of(names, resampling)
    decibels = tuple(
        is_radar(name) and method in AVERAGES for name, method in zip(names, methods, strict=True)
    )
    images = Images(files, methods, decibels, grid)
    chunks = (1, len(names), CHUNK["y"], CHUNK["x"])
    stack = xarray.DataArray(
        dask.array.from_array(images, chunks, meta=np.empty((0, 0, 0, 0), images.dtype)),
        dims=("time", "band", "y", "x"),
        coords={"time": times, "band": names, **grid.coordinates()},
    )
    return check_stack(stack.rio.write_crs(grid.crs).rio.write_transform(grid.transform))


def _open_layers(path: Any, dates: Any, bands: list[str] | None, nodata: float | None) -> Files:
    """Open one file of all dates and bands."""
    n_wanted = len(dates) * len(bands) if dates is not None and bands is not None else 0
    file = _OpenFile(path, n_wanted)
    times, bands, numbers = layers_of_file(path, file.descriptions, dates, bands)
    images = tuple(((file.image(bands, nodata, of_date),),) for of_date in numbers)
    return images, times, bands


def _open_dates(
    paths: list[Any], dates: Any, bands: list[str] | None, nodata: float | None
) -> Files:
    """Open the files of each date."""
    if dates is None:
        raise ValueError(
            "dates is None. Give them, or a pattern of the files' names such as S1_{date}_VV.tif."
        )
    times = as_dates(dates, "dates")
    if len(paths) != len(times):
        raise ValueError(
            f"paths has {counted(len(paths), 'entry')}, but dates has {len(times)}. Give one for "
            "each date."
        )
    names = _names_in(paths[0]) if bands is None else bands
    files = tuple(
        tuple(_open_tile(tile, names, nodata) for tile in _tiles_of(of_date, len(names)))
        for of_date in paths
    )
    check_days_of_names([[file.path for tile in of for file in tile] for of in files], times)
    for tiles, time in zip(files, as_text(times), strict=True):
        _check_tiles(tiles, time)
        for tile in tiles:
            first = files[0][0]
            check_same_order(tile[0].path, _said_by(tile), first[0].path, _said_by(first))
    return files, times, names


def _is_path(paths: Any) -> bool:
    return isinstance(paths, str | os.PathLike)


def _tiles_of(of_date: Any, n_bands: int) -> list[Any]:
    """Return the tiles of a date, each the path of one file or a list of a path for each band."""
    if _is_path(of_date):
        return [of_date]
    paths = list(of_date)
    if not all(map(_is_path, paths)):
        return paths
    if len(paths) == n_bands and _have_bands(paths, 1):
        return [paths]
    return paths if paths and _have_bands(paths, n_bands) else [paths]


def _have_bands(paths: list[Any], n_bands: int) -> bool:
    """Return whether each file has so many bands, beside an alpha band."""
    return all(len(_OpenFile(path, n_bands).numbers) == n_bands for path in paths)


def _open_tile(paths: Any, bands: list[str], nodata: float | None) -> Tile:
    paths = [paths] if _is_path(paths) else list(paths)
    if len(paths) == 1:
        return (_OpenFile(paths[0], len(bands)).image(bands, nodata),)
    if len(paths) != len(bands):
        raise ValueError(
            f"{paths} are {len(paths)} files, but bands names {len(bands)}: {bands}. Give a file "
            "for each band, or files of all."
        )
    for path, band in zip(paths, bands, strict=True):
        check_file_name(os.fspath(path), band, bands)
    return tuple(
        _OpenFile(path, 1).image([band], nodata) for path, band in zip(paths, bands, strict=True)
    )


def _check_tiles(tiles: tuple[Tile, ...], time: str) -> None:
    """Raise an error where two tiles are two images of the same ground."""
    for (one, *_), (other, *_) in combinations(tiles, 2):
        if one.grid.shows_what(other.grid):
            raise ValueError(
                f"{one.path} and {other.path}, of {time}, show the same ground: they are no tiles "
                "that lie side by side. Make two stacks of two acquisitions on a day, one for "
                "each orbit, or give a file for each band."
            )


def _said_by(tile: Tile) -> list[str | None]:
    """Return the description of each band, or the name of the file that has it alone."""
    return [
        name or (Path(file.path).stem if len(file.bands) == 1 else None)
        for file in tile
        for name in file.said
    ]


def _names_in(of_date: Any) -> list[str]:
    """Return the bands that the files of a date name themselves."""
    path = of_date
    while not _is_path(path) and not _is_path(path[0]):
        path = path[0]  # of the first tile
    paths = [path] if _is_path(path) else list(path)
    in_files = [_OpenFile(path, 0).descriptions for path in paths]
    if all(in_file == in_files[0] for in_file in in_files):
        in_files = in_files[:1]  # of the first tile
    names = [name or "" for in_file in in_files for name in in_file]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"bands is None, and {path} does not name its bands: {names}. Give bands.")
    return names


class _OpenFile:
    """An image file that is known to be readable, and what it says of itself."""

    def __init__(self, path: Any, n_wanted: int):
        # Wherever it is read from: a cluster's workers may have other working directories.
        self.path = os.path.abspath(path) if os.path.exists(path) else os.fspath(path)
        self.manager = CachingFileManager(rasterio.open, self.path, mode="r")
        self.file = self.manager.acquire()
        if any(dtype.startswith("complex") for dtype in self.file.dtypes):
            raise ValueError(f"{path} is complex, as single-look (SLC) radar is. {INTENSITY}")
        self.grid = Grid.of_file(self.file)
        self.n_wanted = n_wanted
        self.alpha = alpha_of(self.file, n_wanted)
        self.numbers = [n for n in range(1, self.file.count + 1) if n != self.alpha]

    @property
    def descriptions(self) -> list[str | None]:
        """What it says of each band but the alpha band."""
        alpha = self.alpha and self.file.descriptions[self.alpha - 1]
        # GDAL takes the last of four bands of bytes for alpha, where nobody says what it is.
        if alpha and "ALPHA" not in alpha.upper() and self.file.count != self.n_wanted + 1:
            raise ValueError(
                f"{self.path} calls its alpha band {alpha!r}. Give dates and bands with it where "
                "it holds values, or all but it where 0 in it means no data."
            )
        return [self.file.descriptions[number - 1] for number in self.numbers]

    def image(
        self, names: list[str], nodata: float | None, numbers: list[int] | None = None
    ) -> ImageFile:
        """Return the bands of one date, all of the file unless `numbers` are given."""
        numbers = self.numbers if numbers is None else numbers
        if len(numbers) != len(names):
            raise ValueError(
                f"{self.path} has {counted(len(numbers), 'band')}, but bands names {len(names)}: "
                f"{names}. "
                "Name each band of the file."
            )
        said = [self.file.descriptions[number - 1] for number in numbers]
        check_descriptions(self.path, said, names)
        with_zero = tuple(map(zero_is_valid, names))
        return ImageFile(
            self.path,
            self.manager,
            self.grid,
            tuple(numbers),
            tuple(said),
            nodata,
            with_zero,
            self.alpha,
        )


def _common_grid(dates: tuple[tuple[Tile, ...], ...]) -> Grid:
    """Return the grid of all files or, where there are tiles, the one that all have a part of."""
    files = [file for of_date in dates for tile in of_date for file in tile]
    are_tiles = any(len(of_date) > 1 for of_date in dates)
    first = files[0]
    for file in files:
        place = file.grid.place_in(first.grid)
        if place is None or not (are_tiles or file.grid.equals(first.grid)):
            raise ValueError(
                f"{file.path} lies on another grid than {first.path}: {file.grid} instead of "
                f"{first.grid}. Give like=, a raster to whose grid all are warped."
            )
    return reduce(Grid.joined_with, (file.grid for file in files))


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
        of_bands.get(
            band, "nearest" if is_categorical(band) or holds_probabilities(band) else default
        )
        for band in bands
    )
