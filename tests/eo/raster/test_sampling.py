import numpy as np
import pandas as pd
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
xarray = pytest.importorskip("xarray", reason="needs the extra geo")
from shapely.geometry import Point, box  # noqa: E402

from sklearn_gkd.eo.raster import object_series, sample_pairs, training_set  # noqa: E402

LEFT, TOP = 500_000, 4_900_000


@pytest.fixture
def fields():
    """Labelled polygons of 900 and of 2,500 square metres, whose shapes are no squares."""
    shapes = [box(LEFT, TOP - 10, LEFT + 90, TOP), box(LEFT, TOP - 25, LEFT + 100, TOP)]
    return geopandas.GeoDataFrame(geometry=shapes, crs=32631)


@pytest.fixture
def radar(stack):
    return stack.compute()


@pytest.fixture
def optical(radar):
    """Another sensor, of other dates and bands, that shows only the west and no north."""
    image = (radar.isel(time=[0, 2], x=slice(0, 30)) + 100).assign_coords(band=["B04", "B08"])
    return image.where(image.y < TOP - 100)


def test_pairs_are_the_series_of_their_squares(radar, optical, fields):
    pairs = sample_pairs(
        radar, optical, 50, like=fields, optical_options={"indices": ["NDVI"]}, random_state=0
    )
    pd.testing.assert_frame_equal(pairs.X_unlabeled, object_series(radar, pairs.polygons))
    pd.testing.assert_frame_equal(
        pairs.X_priv_unlabeled, object_series(optical, pairs.polygons, indices=["NDVI"])
    )
    assert len(pairs.polygons) == 50
    assert pairs.X_unlabeled.index.tolist() == list(range(50))
    assert pairs.X_unlabeled.notna().any(axis=1).all()
    assert pairs.X_priv_unlabeled.notna().any(axis=1).all()
    assert pairs.polygons.crs == fields.crs


def test_squares_are_as_large_as_the_polygons_and_anywhere(radar, optical, fields):
    squares = sample_pairs(radar, optical, 200, like=fields, random_state=0).polygons
    areas = squares.area.round().astype(int)
    assert set(areas) == {900, 2500}
    assert 60 < (areas == 900).sum() < 140
    bounds = squares.bounds
    sides = np.sqrt(squares.area)
    np.testing.assert_allclose(bounds.maxx - bounds.minx, sides)
    np.testing.assert_allclose(bounds.maxy - bounds.miny, sides)
    shown = box(LEFT, TOP - 500, LEFT + 300, TOP)
    assert squares.within(shown.buffer(1e-6)).all()
    assert (bounds.maxy > TOP - 150).any()
    assert (bounds.miny < TOP - 470).any()
    assert bounds.miny.lt(TOP - 100).all()  # the optical images show no north
    in_hectares = fields.to_crs(4326)
    again = sample_pairs(radar, optical, 200, like=in_hectares, random_state=0).polygons
    np.testing.assert_allclose(again.area, squares.area, rtol=1e-3)


def test_single_pixels(radar, optical):
    for like in (None, geopandas.GeoSeries([Point(LEFT, TOP)], crs=32631)):
        pairs = sample_pairs(radar, optical, 40, like=like, random_state=0)
        assert (pairs.polygons.geom_type == "Point").all()
        first = pairs.polygons.geometry[0]
        pixel = radar.sel(x=first.x, y=first.y, method="nearest").to_numpy().ravel()
        np.testing.assert_allclose(pairs.X_unlabeled.iloc[0], pixel, rtol=1e-5)


def test_a_distance_is_kept(radar, optical, fields):
    test_set = geopandas.GeoDataFrame(
        geometry=[box(LEFT + 100, TOP - 300, LEFT + 150, TOP - 200), Point(LEFT + 20, TOP - 400)],
        crs=32631,
    )
    near = sample_pairs(radar, optical, 100, like=fields, random_state=0).polygons
    assert near.intersects(test_set.union_all()).any()
    for distance in (0, 60):
        for frame in (test_set, test_set.geometry.to_crs(4326)):
            pairs = sample_pairs(radar, optical, 100, like=fields, away_from=frame,
                                 distance=distance, random_state=0)  # fmt: skip
            distances = pairs.polygons.distance(test_set.union_all())
            assert distance < distances.min() < distance + 10
    with pytest.raises(ValueError, match="away_from, with distance=600, leaves no place"):
        sample_pairs(radar, optical, 10, like=fields, away_from=test_set, distance=600)


@pytest.mark.parametrize(
    ("crs", "left", "top"),
    [("EPSG:2263", 980_000, 200_000), ("EPSG:3857", 250_000, 6_200_000)],
    ids=["feet", "web-mercator"],
)
def test_a_distance_is_in_metres_on_the_ground(crs, left, top):
    x, y = left + 15 + 30 * np.arange(200), top - 15 - 30 * np.arange(200)
    image = xarray.DataArray(
        np.ones((1, 1, 200, 200), "float32"),
        dims=("time", "band", "y", "x"),
        coords={"time": [np.datetime64("2020-01-01")], "band": ["VV"], "y": y, "x": x},
    ).rio.write_crs(crs)
    test_set = geopandas.GeoSeries([Point(left + 3000, top - 3000)], crs=crs)
    found = sample_pairs(image, image, 300, away_from=test_set, distance=500, random_state=0)
    utm = found.polygons.estimate_utm_crs()
    [place] = test_set.to_crs(utm)
    assert 498 < found.polygons.to_crs(utm).distance(place).min() < 600


def test_squares_lie_within_polygons(radar, optical, fields):
    cropland = geopandas.GeoDataFrame(
        geometry=[box(LEFT + 20, TOP - 300, LEFT + 90, TOP - 120),
                  box(LEFT + 200, TOP - 480, LEFT + 900, TOP - 400)],
        crs=32631,
    )  # fmt: skip
    for frame in (cropland, cropland.geometry.to_crs(4326)):
        squares = sample_pairs(radar, optical, 60, like=fields, within=frame, random_state=0)
        parts = [squares.polygons.within(part.buffer(0.01)).sum() for part in cropland.geometry]
        assert min(parts) > 10
        assert sum(parts) == 60
    with pytest.raises(ValueError, match=r"within lies outside of the images\."):
        sample_pairs(radar, optical, 5, within=cropland.translate(50_000))
    with pytest.raises(ValueError, match="leaves no place within, as large as"):
        sample_pairs(radar, optical, 5, like=fields, within=cropland.centroid.buffer(10))


def test_clouds_are_left_out(radar, optical, fields):
    """The west is cloudy on both dates, the north-east on the first."""
    west, east = optical.x < LEFT + 100, optical.x > LEFT + 200
    scl = xarray.full_like(optical.isel(band=0), 4.0).where(~west, 9.0)
    scl[0] = scl[0].where(~(east & (optical.y > TOP - 300)), 3.0)
    cloudy = xarray.concat(
        [optical, scl.expand_dims(band=["SCL"]).assign_coords(band=["SCL"])], "band"
    )
    options = {"mask": "SCL", "indices": ["NDVI"]}
    pairs = sample_pairs(radar, cloudy, 80, like=fields, optical_options=options, random_state=0)
    pd.testing.assert_frame_equal(
        pairs.X_priv_unlabeled, object_series(cloudy, pairs.polygons, **options)
    )
    bounds = pairs.polygons.bounds
    assert (bounds.maxx > LEFT + 100).all()
    clear_once = (bounds.minx > LEFT + 210) & (bounds.miny > TOP - 300)
    assert clear_once.sum() > 3
    first, second = pairs.X_priv_unlabeled.iloc[:, :3], pairs.X_priv_unlabeled.iloc[:, 3:]
    assert first[clear_once].isna().all(axis=None)
    assert second[clear_once].notna().all(axis=None)
    apart = bounds.maxy < TOP - 310
    assert first[apart & (bounds.minx > LEFT + 110)].notna().all(axis=None)
    without = sample_pairs(
        radar, optical, 80, like=fields, optical_options={"indices": ["NDVI"]}, random_state=0
    )
    assert (without.polygons.bounds.maxx < LEFT + 100).any()
    by_value = sample_pairs(
        radar, cloudy, 80, like=fields, random_state=0,
        optical_options=options | {"mask_values": [9, 3]},
    )  # fmt: skip
    pd.testing.assert_frame_equal(by_value.X_priv_unlabeled, pairs.X_priv_unlabeled)


def test_outlines_without_a_class_are_pairs(radar, optical, fields):
    south = fields.translate(0, -200).reset_index(drop=True)
    frame = pd.concat([
        geopandas.GeoDataFrame({"crop": ["oats", "rye"]}, geometry=south, crs=32631),
        geopandas.GeoDataFrame(geometry=south.translate(50, -50), crs=32631),
    ], ignore_index=True)  # fmt: skip
    tables = object_series(radar, frame), object_series(optical, frame)
    data = training_set(frame, *tables, y="crop")
    assert data.y.tolist() == ["oats", "rye"]
    pd.testing.assert_frame_equal(data.X_unlabeled, tables[0].iloc[2:])
    pd.testing.assert_frame_equal(data.X_priv_unlabeled, tables[1].iloc[2:])


def test_the_same_seed_draws_the_same_places(radar, optical, fields):
    one, same, other = (
        sample_pairs(radar, optical, 20, like=fields, random_state=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one.X_unlabeled, same.X_unlabeled)
    assert one.polygons.geom_equals(same.polygons).all()
    assert not one.polygons.geom_equals(other.polygons).any()


def test_images_in_degrees_and_of_another_crs(radar, optical, fields):
    in_degrees = radar.isel(band=[0]).rio.write_nodata(np.nan)
    in_degrees = xarray.concat(
        [in_degrees.isel(time=i).rio.reproject(4326) for i in range(4)], "time"
    )
    pairs = sample_pairs(in_degrees, optical, 30, like=fields, random_state=0)
    assert pairs.polygons.crs.is_projected
    assert set(pairs.polygons.area.round(-1).astype(int)) == {900, 2500}
    assert pairs.X_priv_unlabeled.notna().any(axis=1).all()


def test_images_without_such_places(radar, optical, fields):
    with pytest.raises(ValueError, match="radar and optical show different places"):
        sample_pairs(radar, optical.assign_coords(x=optical.x + 5000), 10)
    with pytest.raises(
        ValueError, match=r"both have data at 0 of .* places, fewer than n=10\. Ask"
    ):
        sample_pairs(radar, optical * np.nan, 10)
    large = fields.assign(geometry=fields.buffer(900))
    with pytest.raises(ValueError, match="like has no polygon that is smaller"):
        sample_pairs(radar, optical, 10, like=large)
    with pytest.raises(ValueError, match="'n' parameter"):
        sample_pairs(radar, optical, 0)


@pytest.mark.parametrize("left", [358.5, 179.8])
def test_longitudes_beyond_180(left):
    x, y = left + 0.01 * (np.arange(60) + 0.5), 43 - 0.01 * (np.arange(40) + 0.5)
    images = np.broadcast_to(x, (1, 1, 40, 60)) * np.ones((1, 1, 40, 1))
    times = np.array(["2020-01-01"], dtype="datetime64[ns]")
    coords = {"time": times, "band": ["B4"], "y": y, "x": x}
    stack = xarray.DataArray(images, coords, ("time", "band", "y", "x")).rio.write_crs(4326)
    pairs = sample_pairs(stack, stack, 20, random_state=0)
    places = pairs.polygons.centroid.to_crs(4326).x.to_numpy() % 360
    np.testing.assert_allclose(np.ravel(pairs.X_unlabeled), places, atol=0.006)
