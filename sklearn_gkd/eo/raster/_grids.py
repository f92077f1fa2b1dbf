"""Grids: where the pixels of an image lie, and images warped from one grid to another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sklearn_gkd._common.files import missing_extra

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import rioxarray  # noqa: F401, the accessor rio
    import xarray
    from dask.utils import SerializableLock
    from rasterio import Affine, windows
    from rasterio.crs import CRS
    from rasterio.enums import Resampling
    from rasterio.warp import reproject, transform, transform_bounds
    from rasterio.windows import Window

SAME = 0.01  # pixels by which two grids may differ: coordinates are rounded

ALIGNED = 0.001  # pixels by which one may lie off another to take its values without warping

LOCK = SerializableLock("sklearn_gkd.eo.raster.warp")  # rasterio swaps warning filters meanwhile

PRECISION = 0.01  # pixels of the source, in which GDAL may err where it interpolates positions


@dataclass(frozen=True)
class Grid:
    """Size and place of an image."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of_file(cls, file: rasterio.DatasetReader) -> "Grid":
        """Return the grid of an open file, or raise an error that names it."""
        if file.crs is None and file.gcps[0]:
            raise ValueError(
                f"{file.name} lies by ground control points, not on a grid. Warp it onto one first "
                "(rio warp, gdalwarp)."
            )
        if file.crs is None:
            raise ValueError(f"{file.name} has no CRS: write one into it (rio edit-info --crs).")
        _check_upright(file.transform, file.name)
        return cls(file.crs, file.transform, file.height, file.width)

    @classmethod
    def of_array(cls, array: xarray.DataArray | xarray.Dataset, name: str) -> "Grid":
        """Return the grid of the coordinates x and y, which are evenly spaced."""
        if array.rio.crs is None:
            raise ValueError(f"{name} has no CRS. Give it one: {name}.rio.write_crs(32630).")
        noted = _noted_transform(array)
        if noted is not None:
            _check_upright(noted, name)
        left, across = _start_and_step(array, "x", name)
        top, down = _start_and_step(array, "y", name)
        if across is None or down is None:
            across, down = _size_of_one_pixel(name, noted, across, down)
        place = Affine(across, 0, left - across / 2, 0, down, top - down / 2)
        return cls(array.rio.crs, place, array.sizes["y"], array.sizes["x"])

    def north_up(self) -> "Grid":
        """Return the grid with rows from north to south, and columns from west to east."""
        a, _, left, _, e, top, *_ = self.transform
        left, top = min(left, left + a * self.width), max(top, top + e * self.height)
        return replace(self, transform=Affine(abs(a), 0, left, 0, -abs(e), top))

    def coordinates(self) -> dict[str, np.ndarray]:
        """Return x and y of the pixels' centres."""
        a, _, left, _, e, top = self.transform[:6]
        x, y = np.arange(self.width) + 0.5, np.arange(self.height) + 0.5
        return {"x": left + a * x, "y": top + e * y}

    def equals(self, other: "Grid") -> bool:
        """Return whether both have the same pixels, but for rounding."""
        if (self.crs, self.height, self.width) != (other.crs, other.height, other.width):
            return False
        size = min(math.hypot(*self.transform[:5:3]), math.hypot(*self.transform[1:5:3]))
        corners = [(x, y) for x in (0, self.width) for y in (0, self.height)]
        return all(
            math.dist(_point(self.transform, *corner), _point(other.transform, *corner))
            < SAME * size
            for corner in corners
        )

    def shows_what(self, other: "Grid") -> bool:
        """Return whether another grid shows the same ground, but for a pixel of this."""
        if self.crs != other.crs:
            return False
        corners = [_point(grid.transform, grid.width, grid.height) for grid in (self, other)]
        starts = [_point(grid.transform, 0, 0) for grid in (self, other)]
        size = math.hypot(*self.transform[:5:3])
        return math.dist(*corners) < size and math.dist(*starts) < size

    def place_in(self, other: "Grid") -> tuple[int, int] | None:
        """Return row and column of the first pixel in another grid that has the same pixels.

        None where they are of another CRS or size, or lie between those of the other, or where one
        has longitudes as to 360 degrees, and so may show again what lies at another place.
        """
        if self.crs != other.crs or _goes_beyond_180(self) != _goes_beyond_180(other):
            return None
        ends = [(0, 0), (self.width, self.height)]
        pixels = [_point(~other.transform, *_point(self.transform, *end)) for end in ends]
        (column, row), (last_column, last_row) = whole = np.round(pixels)
        size = last_column - column, last_row - row
        if (np.abs(pixels - whole) >= ALIGNED).any() or size != (self.width, self.height):
            return None
        return int(row), int(column)

    def joined_with(self, other: "Grid") -> "Grid":
        """Return the smallest grid that has the pixels of both; `other` has a place in this."""
        row, column = other.place_in(self) or (0, 0)
        top, left = min(row, 0), min(column, 0)
        x, y = _point(self.transform, left, top)
        return replace(
            self,
            transform=Affine(self.transform.a, 0, x, 0, self.transform.e, y),
            height=max(self.height, row + other.height) - top,
            width=max(self.width, column + other.width) - left,
        )

    def token(self) -> tuple[str, tuple[float, ...], int, int]:
        """Return plain values that tell the grid from others."""
        return self.crs.to_wkt(), tuple(self.transform), self.height, self.width

    def __str__(self) -> str:
        numbers = tuple(round(number, 6) for number in self.transform[:6])
        return f"{self.crs} {numbers}, {self.height} x {self.width}"


def _start_and_step(
    array: xarray.DataArray | xarray.Dataset, axis: str, name: str
) -> tuple[float, float | None]:
    """Return the first coordinate and the distance of two; None of a single row or column."""
    if axis not in array.coords:
        raise ValueError(f"{name} has no coordinates {axis}. Assign those of its pixels' centres.")
    values = np.asarray(array[axis].to_numpy(), dtype=np.float64)
    if len(values) < 2:
        return float(values[0]), None
    step = (values[-1] - values[0]) / (len(values) - 1)
    off = np.abs(values - values[0] - step * np.arange(len(values)))
    if not step or not (off <= 0.1 * abs(step)).all():
        raise ValueError(
            f"{name} has an irregular {axis}: its values are not evenly spaced, as where tiles "
            "overlap or leave a gap. Mosaic the tiles to one grid (rioxarray.merge.merge_arrays, "
            f"or {name}.reindex), or take them one by one."
        )
    return float(values[0]), float(step)


def _size_of_one_pixel(
    name: str, noted: Affine | None, across: float | None, down: float | None
) -> tuple[float, float]:
    """Return the size of pixels of which there is one row or column: as noted, or square."""
    if noted is not None:
        return across or noted.a, down or noted.e
    if across is None and down is None:
        raise ValueError(
            f"{name} has one pixel, whose size is not known. Note it: {name}.rio.write_transform."
        )
    return across or abs(down or 0), down or -abs(across or 0)


def _noted_transform(array: xarray.DataArray | xarray.Dataset) -> Affine | None:
    """Return the transform that a file, or write_transform, left in the attributes."""
    noted = array.coords[array.rio.grid_mapping].attrs.get("GeoTransform")
    return None if noted is None else Affine.from_gdal(*map(float, noted.split()))


def _check_upright(transform: Affine, name: str) -> None:
    if transform == Affine.identity():
        raise ValueError(f"{name} has a CRS but no place. Write its transform into it.")
    if transform.b or transform.d:
        raise ValueError(f"{name} is not north up. Warp it first, for instance by gdalwarp.")


def _point(transform: Affine, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f, *_ = transform
    return a * x + b * y + c, d * x + e * y + f


class Source(Protocol):
    """Images on a grid, NaN where they have no data."""

    @property
    def grid(self) -> Grid:
        """Where they lie."""

    def read(self, window: Window) -> np.ndarray:
        """Return float32 images (n, height, width) of a window."""


def warped(source: Source, target: Grid, window: Window, resampling: Sequence[str]) -> np.ndarray:
    """Return a window of the target grid, each of n images warped in its own way."""
    images = np.full((len(resampling), window.height, window.width), np.nan, dtype=np.float32)
    needed = _window_under(source.grid, target, window)
    if needed is None:
        return images
    wide, high = _source_pixels(source.grid, target)
    values = source.read(needed)
    with LOCK:
        for image, of_source, method in zip(images, values, resampling, strict=True):
            reproject(
                of_source,
                image,
                src_transform=windows.transform(needed, source.grid.transform),
                src_crs=source.grid.crs,
                src_nodata=np.nan,
                dst_transform=windows.transform(window, target.transform),
                dst_crs=target.crs,
                dst_nodata=np.nan,
                resampling=Resampling[method],
                tolerance=PRECISION,
                # Of the whole image, so that a part of it is warped as the whole is.
                XSCALE=1 / wide,
                YSCALE=1 / high,
            )
    return images


def _window_under(source: Grid, target: Grid, window: Window) -> Window | None:
    """Return the window of the source from which a window of the target is computed, if any."""
    bounds = windows.bounds(window, target.transform)
    left, bottom, right, top = transform_bounds(target.crs, source.crs, *bounds)
    whole = Window(0, 0, source.width, source.height)
    across = left > right or _goes_beyond_180(source) or _goes_beyond_180(target)
    if across or not np.isfinite([left, bottom, right, top]).all():
        return whole  # beyond what a projection shows, or across its edge
    corners = [_point(~source.transform, x, y) for x in (left, right) for y in (bottom, top)]
    margin = 4 * max(_source_pixels(source, target)) + 4
    (first_column, first_row), (last_column, last_row) = (
        np.floor(np.min(corners, axis=0) - margin).astype(int),
        np.ceil(np.max(corners, axis=0) + margin).astype(int),
    )
    rows = max(first_row, 0), min(last_row, source.height)
    columns = max(first_column, 0), min(last_column, source.width)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    return Window.from_slices(rows, columns)


def _goes_beyond_180(grid: Grid) -> bool:
    """Return whether a grid has longitudes, some of them as from 0 to 360 degrees."""
    left, right = (_point(grid.transform, column, 0)[0] for column in (0, grid.width))
    return bool(grid.crs.is_geographic and max(-left, right) > 180 + abs(grid.transform.a))


def _source_pixels(source: Grid, target: Grid) -> tuple[float, float]:
    """Return how many pixels of the source one of the target is wide and high, at its centre."""
    x, y = target.width / 2, target.height / 2
    points = [_point(target.transform, *pixel) for pixel in ((x, y), (x + 1, y), (x, y + 1))]
    places = zip(*transform(target.crs, source.crs, *zip(*points, strict=True)), strict=True)
    pixels = [_point(~source.transform, *place) for place in places]
    sizes = [math.dist(pixels[0], pixel) for pixel in pixels[1:]]
    if not np.isfinite(sizes).all():
        return 1.0, 1.0
    # As GDAL does: pixels of nearly the same size, or nearly a multiple, are taken as such.
    wide, high = (float(round(size)) if abs(size - round(size)) < 0.05 else size for size in sizes)
    return max(wide, 1.0), max(high, 1.0)
