"""Patches: the image around each object, as rows of a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sklearn_gkd._common.compat import Interval, validate_params
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._computing import applied, computed
from sklearn_gkd.eo.raster._coverage import tile_size, usable_shapes
from sklearn_gkd.eo.raster._pixels import masked_and_shifted, refuse_classes
from sklearn_gkd.eo.raster._stacks import check_stack, column_names
from sklearn_gkd.eo.raster._vectors import Polygons, warn_of

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas
    import shapely
    import xarray


@validate_params(
    {
        "stack": "no_validation",
        "polygons": [geopandas.GeoDataFrame, geopandas.GeoSeries],
        "size": [Interval(Integral, 1, None, closed="left")],
        "offset": "no_validation",
        "mask": [str, None],
        "mask_values": ["array-like", None],
        "mask_bits": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def object_patches(
    stack: xarray.DataArray,
    polygons: Polygons,
    size: int,
    *,
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Cut a square patch of pixels around each object out of an image stack.

    A patch shows an object with its neighbourhood, as a very-high-resolution image does: a source
    of privileged information beside series. Its pixels are those of the stack, not resampled, and
    the values are raw: neither scaled nor, for radar in dB, turned into power.

    It lies around the middle of the object's bounding box, in the stack's CRS, and so shows an
    object whole that is up to ``size - 1`` pixels high and wide; around the centroid, it would cut
    a long end off. An object of parts so far apart that the patch shows none of them is left out:
    explode it first. Of odd size, its central pixel is the one that the middle lies in; of even
    size, its centre is the corner of pixels nearest to the middle. Of several points and of
    collections, it shows what counts for `object_series`.

    Parameters
    ----------
    stack : DataArray with dimensions time, band, y and x
        For instance by `open_stack`; often of one date. A lazy one is read in tiles, those alone
        that patches touch.
    polygons : GeoDataFrame or GeoSeries
        Polygons or points. Its index names the objects. It is reprojected to the stack's CRS.
    size : int
        Pixels along a side of a patch.
    offset, mask, mask_values, mask_bits : optional
        As in `object_series`. Masked pixels are NaN.

    Returns
    -------
    DataFrame of shape (n_polygons, size * size * C), float32
        Indexed as the polygons are, with C channels, the bands of the first date before those of
        the next. ``attrs["shape"]`` is (size, size, C), and
        ``table.to_numpy().reshape(-1, size, size, C)`` gives images, rows from north to south and
        columns from west to east. Names of columns are such as ``red_d012_y03_x15``: band, day as
        in `object_series`, row and column in the patch, from 0. Pixels outside of the image,
        masked or without data are NaN.

    Raises
    ------
    ValueError
        If stack or polygons lack a CRS, if an object's name is not unique, if an object is a line,
        or if a band other than the mask holds classes.

    Warns
    -----
    UserWarning
        Names the polygons that are empty or invalid, and those whose patch has no pixel of the
        stack or shows no part of them: their rows are NaN throughout.

    See Also
    --------
    object_series : Means of objects.
    sample_pairs : Its ``polygons`` are objects, too: so pairs without a label have patches.

    Notes
    -----
    A row that is NaN throughout has no privileged information. Of one that is partly NaN, at the
    image's edge or under a cloud, estimators ask for what is missing: give a transformer to the
    source, such as ``SimpleImputer(keep_empty_features=True)``, or make the whole row NaN
    (``table[table.isna().any(axis=1)] = np.nan``).

    Beside series in one table, ``both = pd.concat([series, table], axis=1)``, which drops attrs,
    patches are a source of their columns: ``("patch", "passthrough", list(table.columns),
    table.attrs["shape"])``. Where a part of the objects lies in an image of another day, give both
    tables the same names before they are joined: ``second.set_axis(first.columns, axis=1)``.

    Examples
    --------
    >>> import numpy as np, geopandas, xarray
    >>> from shapely.geometry import box
    >>> from sklearn_gkd.eo.raster import object_patches
    >>> stack = xarray.DataArray(
    ...     np.arange(16.0).reshape(1, 1, 4, 4),
    ...     coords={"time": np.array(["2016-01-13"], "M8[ns]"), "band": ["red"]},
    ...     dims=["time", "band", "y", "x"],
    ... )
    >>> stack = stack.assign_coords(x=[5, 15, 25, 35], y=[35, 25, 15, 5]).rio.write_crs(32631)
    >>> fields = geopandas.GeoDataFrame(geometry=[box(12, 12, 27, 26)], index=["a"], crs=32631)
    >>> table = object_patches(stack, fields, 2)
    >>> table
       red_d012_y00_x00  red_d012_y00_x01  red_d012_y01_x00  red_d012_y01_x01
    a               5.0               6.0               9.0              10.0
    >>> table.attrs["shape"]
    (2, 2, 1)
    """
    size = int(size)
    stack = masked_and_shifted(check_stack(stack), mask, mask_values, mask_bits, offset)
    refuse_classes(stack["band"].to_numpy().tolist())
    shapes = usable_shapes(polygons, stack)
    starts = _starts(stack, shapes, size)
    reached = _reach(starts, size, (0, 0), stack.shape[2:])
    shown = _shown(stack, shapes, starts, size)
    objects = shapes.index
    warn_of("without a pixel of the stack in the patch", objects[shapes.notna() & ~reached])
    warn_of("of parts too far apart for a patch that shows one", objects[reached & ~shown])
    starts[~(reached & shown)] = -size  # where they end just before the image, and read nothing
    channels, steps = column_names(stack), range(size)
    columns = [f"{name}_y{y:02d}_x{x:02d}" for y in steps for x in steps for name in channels]
    patches = _patches(stack, starts.astype(np.int64), size).reshape(len(shapes), len(columns))
    table = pd.DataFrame(patches, index=objects, columns=columns)
    table.attrs["shape"] = size, size, len(channels)
    return table


def _starts(stack: xarray.DataArray, shapes: geopandas.GeoSeries, size: int) -> np.ndarray:
    """Return row and column (n, 2) at which patches begin, NaN of those that are None."""
    left, bottom, right, top = shapes.bounds.to_numpy().T
    grid = stack.rio.transform()
    rows = ((bottom + top) / 2 - grid.f) / grid.e
    columns = ((left + right) / 2 - grid.c) / grid.a
    return np.floor(np.column_stack([rows, columns]) - (size - 1) / 2)


def _shown(
    stack: xarray.DataArray, shapes: geopandas.GeoSeries, starts: np.ndarray, size: int
) -> np.ndarray:
    """Return which shapes have a part in their patch."""
    grid = stack.rio.transform()
    (top, left), (bottom, right) = starts.T, (starts + size).T
    xs, ys = grid.c + grid.a * np.stack([left, right]), grid.f + grid.e * np.stack([top, bottom])
    boxes = shapely.box(xs.min(axis=0), ys.min(axis=0), xs.max(axis=0), ys.max(axis=0))
    return shapely.intersects(shapes.to_numpy(), boxes)


def _reach(starts: np.ndarray, size: int, first: Any, end: Any) -> np.ndarray:
    """Return which patches reach into the window from a first pixel to before an end."""
    return ((starts < end) & (starts + size > first)).all(axis=1)


def _patches(stack: xarray.DataArray, starts: np.ndarray, size: int) -> np.ndarray:
    """Return patches (n, size, size, T, C) that begin at these pixels."""
    patches = np.full((len(starts), size, size, *stack.shape[:2]), np.nan, dtype=np.float32)
    tiles = list(_tiles(stack, starts, size))
    found = computed(_parts_in(stack, tile, starts, size) for tile in tiles)
    for tile, parts in zip(tiles, found, strict=True):
        patches[tile.which] = np.fmax(patches[tile.which], parts)  # NaN outside of the tile
    return patches


class _Tile(NamedTuple):
    """A window of the image that is read at once, and the numbers of the patches in it."""

    which: np.ndarray
    first: np.ndarray
    end: np.ndarray


def _tiles(stack: xarray.DataArray, starts: np.ndarray, size: int) -> Iterator[_Tile]:
    """Yield tiles that have no pixel in common, cut to what patches reach of them."""
    shape, step = stack.shape[2:], tile_size(stack)
    for corner in product(*map(range, (0, 0), shape, step)):
        first, end = np.array(corner), np.minimum(np.add(corner, step), shape)
        which = np.flatnonzero(_reach(starts, size, first, end))
        if len(which):
            first = np.maximum(first, starts[which].min(axis=0))
            yield _Tile(which, first, np.minimum(end, starts[which].max(axis=0) + size))


def _parts_in(stack: xarray.DataArray, tile: _Tile, starts: np.ndarray, size: int) -> Any:
    """Return patches as far as they lie in a tile, lazily where the stack is lazy."""
    rows, columns = map(slice, tile.first, tile.end)
    cut = _Cut(starts[tile.which] - tile.first, size)
    sizes = {"o": len(tile.which), "i": size, "j": size}
    return applied(cut, stack.isel(y=rows, x=columns), "oijtc", sizes, np.float32)


@dataclass(frozen=True)
class _Cut:
    """Cuts patches (n, size, size, T, C) out of images (T, C, height, width), NaN around them."""

    starts: np.ndarray
    size: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        margin = self.size, self.size
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
        images[~np.isfinite(images)] = np.nan
        padded = np.pad(images, ((0, 0), (0, 0), margin, margin), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, margin, axis=(2, 3))
        rows, columns = (self.starts + self.size).T
        return windows[:, :, rows, columns].transpose(2, 3, 4, 0, 1)
