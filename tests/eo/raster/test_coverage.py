import numpy as np
import pandas as pd
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
from dask.callbacks import Callback  # noqa: E402
from shapely import from_wkt  # noqa: E402
from shapely.geometry import (  # noqa: E402
    GeometryCollection,
    LinearRing,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    box,
)

from sklearn_gkd.eo.raster import _coverage as coverage  # noqa: E402
from sklearn_gkd.eo.raster import object_series  # noqa: E402

LEFT, TOP = 500_000, 4_900_000


def objects(*shapes, crs=32631):
    return geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)


@pytest.fixture
def first(stack, scene):
    """The first date's first band, and its stack."""
    return scene.images[0, 0].astype(float), stack.isel(time=[0], band=[0])


def values_of(stack, shapes, **kwargs):
    return object_series(stack, shapes, average="db", **kwargs).iloc[:, 0].to_numpy()


def test_a_point_is_the_pixel_that_it_lies_in(first):
    image, stack = first
    places = [(35, 45), (30, 40), (0, 0), (399.9, 499.9), (45, 35)]
    points = objects(*(Point(LEFT + x, TOP - y) for x, y in places))
    expected = [image[4, 3], image[4, 3], image[0, 0], image[49, 39], np.nan]
    np.testing.assert_allclose(values_of(stack, points), expected)
    np.testing.assert_allclose(values_of(stack, points[:1].to_crs(4326)), image[4, 3])
    with_height = objects(Point(LEFT + 35, TOP - 45, 1234))
    np.testing.assert_allclose(values_of(stack, with_height), image[4, 3])


def test_several_points_are_all_of_their_pixels(first):
    image, stack = first
    twice = MultiPoint([(LEFT + 101, TOP - 201), (LEFT + 109, TOP - 209), (LEFT + 205, TOP - 305)])
    expected = (image[20, 10] + image[30, 20]) / 2
    np.testing.assert_allclose(values_of(stack, objects(twice)), expected)


def test_a_window_around_a_point(first):
    image, stack = first
    points = objects(
        Point(LEFT + 105, TOP - 205),
        Point(LEFT + 5, TOP - 5),
        MultiPoint([(LEFT + 105, TOP - 205), (LEFT + 115, TOP - 205)]),
        box(LEFT + 100, TOP - 210, LEFT + 110, TOP - 200),
    )
    expected = [
        image[19:22, 9:12].mean(),
        image[0:2, 0:2].mean(),
        image[19:22, 9:13].mean(),
        image[20, 10],
    ]
    np.testing.assert_allclose(values_of(stack, points, size=3), expected)
    with pytest.raises(ValueError, match=r"size is 2\. Give an odd number"):
        values_of(stack, points, size=2)
    with pytest.raises(ValueError, match="'size' parameter"):
        values_of(stack, points, size=0)


def test_points_outside(first):
    points = objects(Point(LEFT - 0.1, TOP - 5), Point(LEFT + 5, TOP - 501), Point(LEFT, TOP))
    with pytest.warns(UserWarning, match="2 polygons are outside of the stack: 0, 1"):
        assert np.isnan(values_of(first[1], points)).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "line",
    [
        LineString([(LEFT, TOP), (LEFT + 50, TOP - 50)]),
        MultiLineString([[(LEFT, TOP), (LEFT + 50, TOP - 50)]]),
        LinearRing([(LEFT, TOP), (LEFT + 50, TOP - 50), (LEFT + 50, TOP)]),
        GeometryCollection([LineString([(LEFT, TOP), (LEFT + 50, TOP - 50)])]),
    ],
)
def test_lines_are_refused(first, line):
    shapes = objects(box(LEFT, TOP - 50, LEFT + 50, TOP), line).set_index(
        pd.Index(["field", "road"])
    )
    with pytest.raises(ValueError, match=r"polygons has 1 line; .*: road \(.*polygons\.buffer"):
        object_series(first[1], shapes)
    object_series(first[1], shapes.assign(geometry=shapes.buffer(10)))  # as it says


def test_collections_are_their_polygons(first):
    image, stack = first
    square = box(LEFT + 100, TOP - 220, LEFT + 120, TOP - 200)
    other = box(LEFT + 300, TOP - 210, LEFT + 310, TOP - 200)
    line = LineString([(LEFT, TOP), (LEFT + 300, TOP - 300)])
    point = Point(LEFT + 5, TOP - 5)
    bowtie = Polygon([(LEFT, TOP), (LEFT + 50, TOP - 50), (LEFT + 50, TOP), (LEFT, TOP - 50)])
    shapes = objects(
        GeometryCollection([line, square, point]),
        GeometryCollection([GeometryCollection([MultiPolygon([other]), line]), square]),
        GeometryCollection([line, point]),
        GeometryCollection([bowtie, square]),
        GeometryCollection(),
    )
    of_square = image[20:22, 10:12].sum()
    expected = [of_square / 4, (of_square + image[20, 30]) / 5, image[0, 0], np.nan, np.nan]
    before = shapes.copy()
    with pytest.warns(UserWarning, match="polygon is") as warned:
        np.testing.assert_allclose(values_of(stack, shapes), expected)
    messages = [str(warning.message) for warning in warned if "1 poly" in str(warning.message)]
    assert [message.split(" (")[0] for message in messages] == [
        "1 polygon is empty: 4.",
        "1 polygon is invalid",
    ]
    assert shapes.to_wkb().equals(before.to_wkb())


def test_the_advice_for_invalid_polygons_works(first):
    image, stack = first
    spiked = from_wkt(
        f"POLYGON (({LEFT} {TOP}, {LEFT + 20} {TOP}, {LEFT + 20} {TOP - 20}, {LEFT} {TOP - 20}, "
        f"{LEFT} {TOP}, {LEFT - 9} {TOP + 9}, {LEFT} {TOP}))"
    )
    polygons = objects(spiked).rename_geometry("outline")
    with pytest.warns(UserWarning, match="invalid") as warned:
        assert np.isnan(values_of(stack, polygons)).all()
    [message] = [str(warning.message) for warning in warned if "mend" in str(warning.message)]
    advice = message.partition("mend them by ")[2].partition("): ")[0]
    for mended in (eval(advice), polygons.make_valid()):
        np.testing.assert_allclose(values_of(stack, mended), image[:2, :2].mean())


def test_no_objects_at_all(stack):
    assert object_series(stack, objects()).shape == (0, 8)


@pytest.mark.parametrize("chunk", [{"x": 1024, "y": 256}, {"x": 7, "y": 16}])
def test_tiles_and_chunks_make_no_difference(stack, fields, monkeypatch, chunk):
    expected = object_series(stack, fields)
    monkeypatch.setattr(coverage, "CHUNK", chunk)
    pd.testing.assert_frame_equal(object_series(stack, fields), expected, rtol=1e-12)
    chunked = stack.compute().chunk(x=13, y=11)
    pd.testing.assert_frame_equal(object_series(chunked, fields), expected, rtol=1e-12)


def test_only_what_polygons_touch_is_read_and_once(stack, monkeypatch):
    monkeypatch.setattr(coverage, "CHUNK", {"x": 10, "y": 10})
    read = []

    def noted(block, block_info=None):
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    stack = stack.chunk(time=1, band=2, x=10, y=10)
    stack = stack.copy(data=stack.data.map_blocks(noted, dtype=stack.dtype, meta=stack.data._meta))
    two = objects(
        box(LEFT + 101, TOP - 209, LEFT + 110, TOP - 201),
        box(LEFT + 295, TOP - 405, LEFT + 305, TOP - 401),
    )
    starts = []
    with Callback(start=starts.append):
        object_series(stack, two)
    places = [(0, 2, 1), (0, 4, 2), (0, 4, 3)]
    assert sorted(read) == sorted((step, *place) for step in range(4) for place in places)
    assert len(starts) == 3  # all dates of a tile at once
