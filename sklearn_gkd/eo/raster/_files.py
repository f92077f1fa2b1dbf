"""Image files read lazily as one array, NaN where they have no data, with scale and offset."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._radar import from_decibel, to_decibel
from sklearn_gkd.eo.raster._grids import Grid, warped

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    from dask.utils import SerializableLock
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.windows import Window
    from xarray.backends import CachingFileManager

LOCK = SerializableLock("sklearn_gkd.eo.raster")  # an open file is read by one thread at a time

LARGEST = 2**24  # up to here float32 holds every whole number


@dataclass(frozen=True)
class ImageFile:
    """Bands of a file that belong to one date.

    Parameters
    ----------
    path : str
    file : CachingFileManager
        Opens it where it is read, in whichever process.
    grid : Grid
    bands : tuple of int
        Their numbers in the file, from 1.
    said : tuple of str or None
        What the file calls each.
    nodata : float or None
        A value that is no data as well, before scale and offset.
    with_zero : tuple of bool
        In which bands 0 is not "no data", as of flags.
    alpha : int or None
        The band that is 0 where there is no data, where the file has one.
    """

    path: str
    file: "CachingFileManager[rasterio.DatasetReader]"  # older xarray's is not generic
    grid: Grid
    bands: tuple[int, ...]
    said: tuple[str | None, ...]
    nodata: float | None
    with_zero: tuple[bool, ...]
    alpha: int | None

    def read(self, window: Window) -> np.ndarray:
        """Return float32 images (n_bands, height, width) of a window."""
        with LOCK:
            file = self.file.acquire()
            stored = file.read(self.bands, window=window)
            missing = np.zeros(stored.shape, dtype=bool)
            if self.alpha is not None:
                missing |= file.read(self.alpha, window=window) == 0
            for number, band in enumerate(self.bands):
                # What a mask leaves may still hold the value that means no data.
                zero = 0 if self.with_zero[number] else None
                for nodata in (self.nodata, file.nodatavals[band - 1]):
                    if nodata not in (None, zero):
                        missing[number] |= _equals(stored[number], nodata)
                if self.alpha is None and _has_mask(file, band, zero):
                    missing[number] |= file.read_masks(band, window=window) == 0
            scales = np.array([file.scales[band - 1] for band in self.bands])
            offsets = np.array([file.offsets[band - 1] for band in self.bands])
            name = file.name
        scaled = (scales != 1) | (offsets != 0)
        if _may_be_rounded(stored.dtype) and _exceeds(stored[~scaled], missing[~scaled]):
            raise ValueError(
                f"{name} has whole numbers beyond {LARGEST}, which float32 would round: flags of "
                "many bits, for instance. Write the bits that you need to a file of uint16."
            )
        if scaled.any():
            stored = stored * scales[:, None, None] + offsets[:, None, None]
        if stored.dtype.kind == "f":
            stored[missing] = np.nan  # float32 may not hold what means no data
        images = stored.astype(np.float32)
        images[missing | ~np.isfinite(images)] = np.nan
        return images


Tile = tuple[ImageFile, ...]
"""The files that have all bands of a tile between them, in order."""


@dataclass(frozen=True)
class Images:
    """Image files as one array (T, C, height, width), of which a part is read when it is sliced.

    Each date has one tile or several, of which the first that has data counts.
    """

    dates: tuple[tuple[Tile, ...], ...]
    resampling: tuple[str, ...]  # of each band
    decibels: tuple[bool, ...]  # which bands are averaged in linear power, where they are warped
    grid: Grid

    dtype = np.dtype(np.float32)
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, C, height and width."""
        return len(self.dates), len(self.resampling), self.grid.height, self.grid.width

    @property
    def files(self) -> list[ImageFile]:
        """All files, in order of dates, tiles and bands."""
        return [file for of_date in self.dates for tile in of_date for file in tile]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what names this array in a graph, the same whenever the files are opened."""
        files = [
            (file.path, file.bands, file.nodata, file.alpha, file.grid.token())
            for file in self.files
        ]
        n_files = [[len(tile) for tile in of_date] for of_date in self.dates]
        return files, n_files, self.resampling, self.decibels, self.grid.token()

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        wanted = [np.arange(size)[part] for size, part in zip(self.shape, key, strict=True)]
        shape = tuple(size for part in wanted for size in part.shape)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        steps, bands, rows, columns = (np.atleast_1d(part) for part in wanted)
        window = Window.from_slices(
            (rows.min(), rows.max() + 1), (columns.min(), columns.max() + 1)
        )
        images = np.stack([self._read(step, window) for step in steps])
        for axis, part in enumerate((bands, rows - window.row_off, columns - window.col_off), 1):
            if not np.array_equal(part, np.arange(images.shape[axis])):
                images = images.take(part, axis)
        return images.reshape(shape)

    def _read(self, step: int, window: Window) -> np.ndarray:
        first, *others = self.dates[step]
        images = self._read_tile(first, window)
        for tile in others:
            missing = np.isnan(images)
            if missing.any():
                images[missing] = self._read_tile(tile, window)[missing]
        return images

    def _read_tile(self, tile: Tile, window: Window) -> np.ndarray:
        images, first = [], 0
        for file in tile:
            of_file = slice(first, first + len(file.bands))
            first = of_file.stop
            place = file.grid.place_in(self.grid)
            if place is None:
                source = _InPower(file, np.array(self.decibels[of_file]))
                found = warped(source, self.grid, window, self.resampling[of_file])
                images.append(source.back(found))
            else:
                images.append(_placed(file, *place, window))
        return np.concatenate(images)


class _InPower:
    """A file whose bands of decibels are read in linear power, in which they can be averaged."""

    def __init__(self, file: ImageFile, decibels: np.ndarray):
        self.file, self.decibels, self.grid = file, decibels, file.grid

    def read(self, window: Window) -> np.ndarray:
        images = self.file.read(window)
        with naming(self.file.path):
            images[self.decibels] = from_decibel(images[self.decibels])
        return images

    def back(self, images: np.ndarray) -> np.ndarray:
        """Return images with decibels in the place of power."""
        images[self.decibels] = to_decibel(images[self.decibels])
        return images


def _placed(file: ImageFile, row: int, column: int, window: Window) -> np.ndarray:
    """Return a window of the grid in which a file's first pixel has this row and column."""
    images = np.full((len(file.bands), window.height, window.width), np.nan, dtype=np.float32)
    top, left = window.row_off - row, window.col_off - column  # in the file
    rows = max(top, 0), min(top + window.height, file.grid.height)
    columns = max(left, 0), min(left + window.width, file.grid.width)
    if rows[0] < rows[1] and columns[0] < columns[1]:
        part = np.s_[:, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        images[part] = file.read(Window.from_slices(rows, columns))
    return images


def _may_be_rounded(dtype: np.dtype) -> bool:
    return dtype.kind in "iu" and np.iinfo(dtype).max > LARGEST


def _exceeds(stored: np.ndarray, missing: np.ndarray) -> bool:
    values = np.where(missing, 0, stored)
    return bool((values > LARGEST).any() or (values < -LARGEST).any())


def _equals(stored: np.ndarray, nodata: float) -> np.ndarray:
    if stored.dtype.kind == "f":
        nodata = stored.dtype.type(nodata)  # -3.4e38 is written with fewer digits than it has
    return stored == nodata


def _has_mask(file: rasterio.DatasetReader, band: int, valid: float | None) -> bool:
    """Return whether a band has a mask, other than one of a value that is valid."""
    flags = set(file.mask_flag_enums[band - 1])
    of_value = MaskFlags.nodata in flags and file.nodatavals[band - 1] == valid
    return not (of_value or flags & {MaskFlags.all_valid, MaskFlags.alpha})


def alpha_of(file: rasterio.DatasetReader, n_wanted: int) -> int | None:
    """Return the number of the alpha band, unless all bands are wanted."""
    alphas = [
        number for number, kind in enumerate(file.colorinterp, 1) if kind == ColorInterp.alpha
    ]
    return alphas[0] if alphas and file.count != n_wanted else None
