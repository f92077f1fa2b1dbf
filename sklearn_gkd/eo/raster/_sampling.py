"""Pairs without a label, drawn from the images of both sensors."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any
from warnings import catch_warnings

import numpy as np
import pandas as pd
from numpy.random import RandomState
from sklearn.utils import Bunch, check_random_state

from sklearn_gkd._common.compat import Interval, validate_params
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._objects import object_series
from sklearn_gkd.eo.raster._stacks import check_stack
from sklearn_gkd.eo.raster._vectors import Polygons

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas
    import shapely
    import xarray
    from rasterio.warp import transform_bounds

ROUNDS = 20  # of drawing, before the images are given up

STRETCH = 0.05  # of a map's metres, beside those on the ground, that is no harm


@validate_params(
    {
        "radar": "no_validation",
        "optical": "no_validation",
        "n": [Interval(Integral, 1, None, closed="left")],
        "like": [geopandas.GeoDataFrame, geopandas.GeoSeries, None],
        "within": [geopandas.GeoDataFrame, geopandas.GeoSeries, None],
        "away_from": [geopandas.GeoDataFrame, geopandas.GeoSeries, None],
        "distance": [Interval(Real, 0, None, closed="left")],
        "radar_options": [Mapping, None],
        "optical_options": [Mapping, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def sample_pairs(
    radar: xarray.DataArray,
    optical: xarray.DataArray,
    n: int,
    *,
    like: Polygons | None = None,
    within: Polygons | None = None,
    away_from: Polygons | None = None,
    distance: float = 0,
    radar_options: Mapping[str, Any] | None = None,
    optical_options: Mapping[str, Any] | None = None,
    random_state: int | RandomState | None = None,
) -> Bunch:
    """Draw pairs without a label from two image stacks: objects as both sensors see them.

    Places are drawn evenly over what both stacks show. Each is a square as large as one of the
    polygons of `like`, so that its means scatter as those of objects do. Where a sensor has no
    data on any date, be it for clouds that ``optical_options={"mask": "SCL"}`` leaves out, another
    place is drawn; where it has none on some dates, these are NaN, as in the labelled objects'
    series.

    Squares lie across borders, too. Outlines of objects whose class nobody knows are better pairs:
    on two simulated scenes (`examples/plot_map.py`) squares gained 2 to 7 points of accuracy, and
    the outlines 9 to 15. They need no drawing: give them to `object_series` with the labelled
    polygons, in one frame in which their class is missing, and `training_set` returns both.

    Parameters
    ----------
    radar, optical : DataArray with dimensions time, band, y and x
        Stacks, for instance by `open_stack`.
    n : int
        Number of pairs. Some hundreds give most of the gain, a thousand is a good start.
    like : GeoDataFrame or GeoSeries, default=None
        Labelled polygons, whose areas the squares take at random. None, or points: single pixels
        of `radar`, for a model of pixels.
    within : GeoDataFrame or GeoSeries, default=None
        Polygons, such as those of all cropland, in which squares lie. None: anywhere.
    away_from : GeoDataFrame or GeoSeries, default=None
        Polygons, such as those of a test set, that no square may touch.
    distance : float, default=0
        Metres by which squares stay away from `away_from`.
    radar_options, optical_options : mapping, default=None
        Arguments of `object_series`, such as ``{"mask": "SCL", "indices": ["NDVI"]}``: those that
        the labelled objects were averaged with.
    random_state : int, RandomState instance or None, default=None
        Of the places and sizes.

    Returns
    -------
    Bunch
        X_unlabeled, X_priv_unlabeled : DataFrame of n rows
            As `object_series` returns them, and as ``fit`` takes them.
        polygons : GeoDataFrame
            The squares, or points. `object_patches` takes them, too.

    Raises
    ------
    ValueError
        If the stacks do not overlap, or have no n places with data of both away from the polygons.

    See Also
    --------
    training_set : Takes polygons without a class as such pairs.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import sample_pairs
    >>> pairs = sample_pairs(radar, optical, 1000, like=fields, random_state=0)  # doctest: +SKIP
    >>> clf.fit(  # doctest: +SKIP
    ...     data.X,
    ...     data.y,
    ...     X_priv=data.X_priv,
    ...     X_unlabeled=pairs.X_unlabeled,
    ...     X_priv_unlabeled=pairs.X_priv_unlabeled,
    ... )
    """
    radar, optical = check_stack(radar), check_stack(optical)
    rng = check_random_state(random_state)
    places = _Places(radar, optical, like, within, away_from, distance, rng)
    found: list[tuple[pd.DataFrame, ...]] = []
    n_found, n_drawn = 0, 0
    for _ in range(ROUNDS):
        # As many as are likely to be needed, for each round reads the images again.
        n_next = int(1.2 * (n - n_found) * max(1, n_drawn) / max(1, n_found)) + 10
        polygons = places.draw(min(n_next, 10 * n))
        seen = _series(radar, polygons, radar_options), _series(optical, polygons, optical_options)
        usable = (seen[0].notna().any(axis=1) & seen[1].notna().any(axis=1)).to_numpy()
        found.append(tuple(table[usable] for table in (*seen, polygons)))
        n_drawn += len(polygons)
        n_found += int(usable.sum())
        if n_found >= n:
            break
    else:
        raise ValueError(
            f"radar and optical both have data at {n_found} of {n_drawn} places, fewer than n={n}. "
            "Ask for fewer pairs, or give stacks that show more of the ground."
        )
    of_radar, of_optical, polygons = (
        pd.concat(parts, ignore_index=True).iloc[:n] for parts in zip(*found, strict=True)
    )
    return Bunch(X_unlabeled=of_radar, X_priv_unlabeled=of_optical, polygons=polygons)


def _series(
    stack: xarray.DataArray, polygons: Polygons, options: Mapping[str, Any] | None
) -> pd.DataFrame:
    with catch_warnings(action="ignore", category=UserWarning):  # of places outside: drawn anew
        return object_series(stack, polygons, **(options or {}))


class _Places:
    """Squares or points, drawn where both stacks lie and away from polygons."""

    def __init__(
        self,
        radar: xarray.DataArray,
        optical: xarray.DataArray,
        like: Polygons | None,
        within: Polygons | None,
        away_from: Polygons | None,
        distance: float,
        random_state: RandomState,
    ):
        self.random_state = random_state
        self.crs = _metric(radar)
        self.distance = distance
        self.bounds = _common_bounds(radar, optical, self.crs)
        self.within = None
        if within is not None:
            self.within = within.geometry.to_crs(self.crs).make_valid().union_all()
            shapely.prepare(self.within)
            self.bounds = _overlap(
                self.bounds, self.within.bounds, "within lies outside of the images"
            )
        self.sides = np.zeros(1) if like is None else self._sides_of(like)
        shapes = [] if away_from is None else away_from.geometry.to_crs(self.crs).dropna()
        self.barred = shapely.STRtree(np.asarray(shapes, dtype=object))

    def draw(self, n: int) -> geopandas.GeoDataFrame:
        """Return n squares or points."""
        found: list[np.ndarray] = []
        for _ in range(ROUNDS):
            shapes = self._draw_anywhere(2 * n)
            near = self.barred.query(shapes, predicate="dwithin", distance=self.distance)[0]
            usable = np.ones(len(shapes), dtype=bool)
            usable[near] = False
            if self.within is not None:
                usable &= shapely.covers(self.within, shapes)
            found.append(shapes[usable])
            if sum(map(len, found)) >= n:
                return geopandas.GeoDataFrame(geometry=np.concatenate(found)[:n], crs=self.crs)
        where = "in the images" if self.within is None else "within, as large as those of like"
        raise ValueError(
            f"away_from, with distance={self.distance}, leaves no place {where}. Give a shorter "
            "distance, or images and polygons of more ground."
        )

    def _sides_of(self, polygons: Polygons) -> np.ndarray:
        """Return the sides of squares as large as polygons; 0 for points."""
        areas = polygons.geometry.to_crs(self.crs).area.to_numpy()
        sides = np.sqrt(areas[areas > 0]) if (areas > 0).any() else np.zeros(1)
        left, bottom, right, top = self.bounds
        sides = sides[sides < min(right - left, top - bottom)]
        if len(sides) == 0:
            raise ValueError("like has no polygon that is smaller than the images.")
        return sides

    def _draw_anywhere(self, n: int) -> np.ndarray:
        sides = self.random_state.choice(self.sides, size=n)
        left, bottom, right, top = self.bounds
        x = left + (right - left - sides) * self.random_state.uniform(size=n)
        y = bottom + (top - bottom - sides) * self.random_state.uniform(size=n)
        squares = shapely.box(x, y, x + sides, y + sides)
        return np.where(sides > 0, squares, shapely.points(x, y))


def _metric(stack: xarray.DataArray) -> Any:
    """Return the CRS of a stack if it is in metres on the ground, or the UTM zone of its middle."""
    left, bottom, right, top = stack.rio.bounds()
    # UTM zones are of longitudes up to 180.
    turns = 360 if stack.rio.crs.is_geographic and left + right > 360 else 0
    box = shapely.box(left - turns, bottom, right - turns, top)
    outline = geopandas.GeoSeries([box], crs=stack.rio.crs)
    if outline.crs.is_projected:
        middle = outline.centroid
        [place] = middle.to_crs(4326)
        in_metres = f"+proj=aeqd +lat_0={place.y} +lon_0={place.x}"
        around = middle.buffer(100)
        [stretch] = (around.area / around.to_crs(in_metres).area) ** 0.5
        if abs(stretch - 1) < STRETCH:
            return outline.crs
    return outline.estimate_utm_crs()


def _common_bounds(
    radar: xarray.DataArray, optical: xarray.DataArray, crs: Any
) -> tuple[float, float, float, float]:
    """Return left, bottom, right and top of what both stacks show."""
    of_radar, of_optical = (
        transform_bounds(stack.rio.crs, crs.to_wkt(), *stack.rio.bounds())
        for stack in (radar, optical)
    )
    return _overlap(of_radar, of_optical, "radar and optical show different places")


def _overlap(
    one: Sequence[float], other: Sequence[float], otherwise: str
) -> tuple[float, float, float, float]:
    """Return the bounds that both have in common, or raise an error that says what is otherwise."""
    left, bottom = np.maximum(one, other)[:2]
    right, top = np.minimum(one, other)[2:]
    if not (left < right and bottom < top):
        raise ValueError(f"{otherwise}. Give what overlaps.")
    return left, bottom, right, top
