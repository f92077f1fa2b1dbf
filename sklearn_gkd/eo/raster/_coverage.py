"""Pixels that polygons and points cover, and the means of an image stack over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sklearn_gkd._common.checks import counted
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._computing import applied, computed
from sklearn_gkd.eo.raster._pixels import PixelValues
from sklearn_gkd.eo.raster._stacks import CHUNK
from sklearn_gkd.eo.raster._vectors import Polygons, check_index, warn_of

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas
    import shapely
    import xarray
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

POINTS = ("Point", "MultiPoint")
POLYGONS = ("Polygon", "MultiPolygon")


class Coverage(NamedTuple):
    """The share of a pixel that an object covers, one entry for each pair of them.

    Attributes
    ----------
    objects, rows, columns : ndarray of int of shape (n,)
        Numbers of the object, and of the pixel's row and column.
    shares : ndarray of shape (n,)
    """

    objects: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    shares: np.ndarray

    def take(self, which: np.ndarray) -> "Coverage":
        return Coverage(*(values[which] for values in self))


def coverage_of(stack: xarray.DataArray, polygons: Polygons, size: int) -> Coverage:
    """Return which pixels each object covers; warn of those that cover none."""
    shapes = usable_shapes(polygons, stack)
    areal = np.flatnonzero(shapes.geom_type.isin(POLYGONS))
    points = np.flatnonzero(shapes.geom_type.isin(POINTS))
    parts = [_of_polygons(stack, shapes, areal), _of_points(stack, shapes, points, size)]
    coverage = Coverage(*map(np.concatenate, zip(*parts, strict=True)))
    reached = np.isin(np.arange(len(shapes)), coverage.objects)
    warn_of("outside of the stack", shapes.index[shapes.notna() & ~reached])
    return coverage


def usable_shapes(polygons: Polygons, stack: xarray.DataArray) -> geopandas.GeoSeries:
    """Return polygons and points in a stack's CRS; warn of empty and invalid ones: None."""
    crs = stack.rio.crs
    if polygons.crs is None:
        raise ValueError("polygons have no CRS. Give them one: polygons.set_crs(32630).")
    check_index(polygons)
    try:
        shapes = _as_one_kind(polygons.geometry.to_crs(crs))
    except RuntimeError as error:  # pyproj's, as of a CRS that is of no place on the Earth
        raise ValueError(
            f"polygons, of {polygons.crs.name}, cannot be brought to the CRS of the stack, "
            f"{crs}: {error} Give both the right one: stack.rio.write_crs(32630)."
        ) from error
    empty = shapes.isna() | shapes.is_empty
    _refuse_lines(shapes[~empty].geom_type)
    invalid = shapes.geom_type.isin(POLYGONS) & ~shapes.is_valid & ~empty
    names = shapes.index
    warn_of("empty", names[empty])
    warn_of("invalid (mend them by polygons.set_geometry(polygons.make_valid()))", names[invalid])
    shapes[empty | invalid] = None
    return _with_longitudes_of(stack, shapes)


def _with_longitudes_of(
    stack: xarray.DataArray, shapes: geopandas.GeoSeries
) -> geopandas.GeoSeries:
    """Return shapes whose longitudes are those of a stack, where it goes beyond 180 degrees."""
    left, _, right, _ = stack.rio.bounds()
    if not stack.rio.crs.is_geographic or right <= 180:
        return shapes
    return shapes.where(~(shapes.bounds["maxx"] <= left), shapes.translate(360))


def means_of(
    stack: xarray.DataArray, coverage: Coverage, pixels: PixelValues, n_objects: int
) -> np.ndarray:
    """Return the means (n_objects, T, C) of what `pixels` makes of an image's (C, n)."""
    shape = n_objects, stack.sizes["time"], len(pixels.in_power)
    sums, weights = np.zeros((2, *shape))
    tiles = list(_tiles(stack, coverage))
    found = computed(_sums_in(stack, tile, pixels) for tile in tiles)
    for tile, (added, shares) in zip(tiles, found, strict=True):
        objects = np.unique(tile.objects)
        sums[objects] += added
        weights[objects] += shares
    means = np.divide(sums, weights, out=np.full(shape, np.nan), where=weights > 0)
    return pixels.back(means)


def tile_size(stack: xarray.DataArray) -> tuple[int, int]:
    """Return height and width of the tiles of an image that are read at once."""
    chunks = stack.chunksizes or {"y": (0,), "x": (0,)}
    height, width = (max(CHUNK[name], chunks[name][0]) for name in ("y", "x"))
    return height, width


def _sums_in(stack: xarray.DataArray, tile: Coverage, pixels: PixelValues) -> Any:
    """Return sums and weights (2, n_objects, T, C) over a tile, lazily where the stack is lazy."""
    top, left = tile.rows.min(), tile.columns.min()
    window = stack.isel(y=slice(top, tile.rows.max() + 1), x=slice(left, tile.columns.max() + 1))
    objects, of_object = np.unique(tile.objects, return_inverse=True)
    numbers = (tile.rows - top) * window.sizes["x"] + tile.columns - left
    cells, of_cell = np.unique(numbers, return_inverse=True)
    shares = csr_array((tile.shares, (of_object, of_cell)), shape=(len(objects), len(cells)))
    sizes = {"k": 2, "o": len(objects), "d": len(pixels.in_power)}
    return applied(_Sums(cells, shares, pixels), window, "kotd", sizes, np.float64)


@dataclass(frozen=True)
class _Sums:
    """Adds up images (T, C, height, width) over objects: sums and weights (2, n_objects, T, C)."""

    cells: np.ndarray
    shares: csr_array
    pixels: PixelValues

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.stack([self._of_image(image) for image in images], axis=2)

    def _of_image(self, image: np.ndarray) -> np.ndarray:
        values = self.pixels(image.reshape(len(image), -1)[:, self.cells])
        known = np.isfinite(values)
        sums = self.shares @ np.where(known, values, 0).T
        return np.stack([sums, self.shares @ known.T.astype(np.float64)])


def _as_one_kind(shapes: geopandas.GeoSeries) -> geopandas.GeoSeries:
    """Return the shapes with collections made the polygons, points or lines that count."""
    shapes = shapes.copy()
    for i in np.flatnonzero(shapes.geom_type == "GeometryCollection"):
        shapes.iloc[i] = _of_collection(shapes.iloc[i])
    return shapes


def _of_collection(collection: Any) -> Any:
    """Return the polygons of a collection or, where it has none, its points or else its lines."""
    parts = np.array([collection])
    while (shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT).any():
        parts = shapely.get_parts(parts)
    for dimension in (2, 0, 1):
        found = parts[shapely.get_dimensions(parts) == dimension]
        if len(found):
            valid = shapely.is_valid(found)
            return shapely.union_all(found) if valid.all() else found[~valid][0]
    return shapely.Polygon()


def _refuse_lines(kinds: pd.Series) -> None:
    lines = kinds[~kinds.isin([*POLYGONS, *POINTS])]
    if len(lines):
        shown = ", ".join(str(name) for name in lines.index[:20])
        raise ValueError(
            f"polygons has {counted(len(lines), 'line')}; a line covers no pixel: {shown} "
            f"({lines.iloc[0]}). Leave lines out, or give them a width: polygons.buffer(10)."
        )


def _of_polygons(
    stack: xarray.DataArray, shapes: geopandas.GeoSeries, which: np.ndarray
) -> Coverage:
    if len(which) == 0:
        return Coverage(which, which, which, np.empty(0))
    height, width = stack.sizes["y"], stack.sizes["x"]
    left, bottom, right, top = stack.rio.bounds()
    grid = NumPyRasterSource(
        np.broadcast_to(np.float32(0), (height, width)),
        *(left, bottom, right, top),
        srs_wkt=shapes.crs.to_wkt(),
    )
    features = geopandas.GeoDataFrame(geometry=shapes.iloc[which])
    found = exact_extract(grid, features, ["cell_id", "coverage"], output="pandas")
    cells, shares = found["cell_id"].to_numpy(), found["coverage"].to_numpy()
    counts = [len(of_polygon) for of_polygon in cells]
    pixels = np.divmod(np.concatenate(cells).astype(np.int64), width)
    return Coverage(np.repeat(which, counts), *pixels, np.concatenate(shares))


def _of_points(
    stack: xarray.DataArray, shapes: geopandas.GeoSeries, which: np.ndarray, size: int
) -> Coverage:
    coordinates, of_shape = shapely.get_coordinates(shapes.iloc[which], return_index=True)
    grid = stack.rio.transform()
    xs, ys = ((coordinates - [grid.c, grid.f]) / [grid.a, grid.e]).T
    reach = np.arange(size) - size // 2
    windows = np.stack(
        np.broadcast_arrays(
            which[of_shape][:, None, None],
            np.floor(ys)[:, None, None] + reach[:, None],
            np.floor(xs)[:, None, None] + reach,
        ),
        axis=-1,
    ).reshape(-1, 3)
    height, width = stack.sizes["y"], stack.sizes["x"]
    inside = ((windows[:, 1:] >= 0) & (windows[:, 1:] < [height, width])).all(axis=1)
    pixels = np.unique(windows[inside], axis=0).astype(np.int64)  # windows may overlap
    objects, rows, columns = pixels.T
    return Coverage(objects, rows, columns, np.ones(len(pixels)))


def _tiles(stack: xarray.DataArray, coverage: Coverage) -> Iterator[Coverage]:
    """Yield the pairs whose pixels lie in a tile of the image that is read at once."""
    height, width = tile_size(stack)
    tile = (coverage.rows // height) * (stack.sizes["x"] // width + 1) + coverage.columns // width
    order = np.argsort(tile, kind="stable")
    for which in np.split(order, np.flatnonzero(np.diff(tile[order])) + 1):
        if len(which):
            yield coverage.take(which)
