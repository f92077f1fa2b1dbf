import numpy as np
import pandas as pd
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from dask.callbacks import Callback  # noqa: E402
from rasterio.windows import Window  # noqa: E402
from shapely.geometry import (  # noqa: E402
    GeometryCollection,
    LineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
)

from sklearn_gkd._common.labels import read_channels  # noqa: E402
from sklearn_gkd.eo.raster import _coverage as coverage  # noqa: E402
from sklearn_gkd.eo.raster import (  # noqa: E402
    object_patches,
    object_series,
    training_set,
)

LEFT, TOP = 500_000, 4_900_000


def shape_at(column, row, width=2.0, height=2.0):
    """Return a kite around a place in pixels; its middle is not its centroid."""
    x, y = LEFT + 10 * column, TOP - 10 * row
    across, down = 5 * width, 5 * height
    return Polygon([(x - across, y + down / 2), (x, y + down), (x + across, y), (x, y - down)])


def objects(*shapes, crs=32631):
    return geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)


@pytest.fixture
def places():
    """Objects in the image, one at each edge and corner that patches of 4 or more cross."""
    middles = [(12.3, 16.8), (0.6, 20.7), (39.4, 0.2), (20.6, 49.3), (-1.3, -1.4), (16.4, 15.7)]
    names = pd.Index(["a", "b", "c", "d", "e", "f"], name="parcel")
    return objects(*(shape_at(*middle) for middle in middles)).set_index(names)


FIRST_PIXELS = {  # rows and columns, by hand
    4: [(15, 10), (19, -1), (-2, 37), (47, 19), (-3, -3), (14, 14)],
    5: [(14, 10), (18, -2), (-2, 37), (47, 18), (-4, -4), (13, 14)],
}


def images_of(table, size, n_channels):
    return table.to_numpy().reshape(-1, size, size, n_channels)


@pytest.mark.parametrize("size", [4, 5])
def test_patches_are_windows_of_the_files(stack, paths, places, size):
    table = object_patches(stack, places, size)
    assert table.index.equals(places.index)
    assert table.attrs == {"shape": (size, size, 8)}
    assert set(table.dtypes) == {np.dtype("float32")}
    for found, (row, column) in zip(images_of(table, size, 8), FIRST_PIXELS[size], strict=True):
        expected = []
        for path in paths:
            with rasterio.open(path) as file:
                window = Window(column, row, size, size)
                image = file.read(window=window, boundless=True, fill_value=-9999)
            expected.append(np.where(image == -9999, np.nan, image))
        np.testing.assert_array_equal(np.moveaxis(found, -1, 0), np.concatenate(expected))


def test_columns_are_named_in_their_order_and_are_no_series(stack, places):
    table = object_patches(stack.isel(time=[0, 2]), places.drop("e"), 2)
    assert list(table)[:5] == [
        *("VV_d003_y00_x00", "VH_d003_y00_x00", "VV_d050_y00_x00", "VH_d050_y00_x00"),
        "VV_d003_y00_x01",
    ]
    assert list(table)[8] == "VV_d003_y01_x00"
    for n_channels in (None, 4, 3):
        assert read_channels(table.columns, n_channels, "X_priv", "shape") == n_channels
    assert object_patches(stack, places, 12).columns[-1] == "VH_d121_y11_x11"


@pytest.mark.parametrize("size", [4, 5])
def test_what_fits_is_shown_whole(stack, size):
    """Boxes as long as size - 1 pixels lie in the pixels of their patch, wherever they lie."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((50, 40), dtype="float32")
    numbers = stack.isel(time=[0]).copy(data=np.stack([rows, columns])[None])
    middles = rng.uniform(10, 30, size=(40, 2))
    shapes = [shape_at(*middle, size - 1, size - 1) for middle in middles]
    patches = images_of(object_patches(numbers, objects(*shapes), size), size, 2)
    first, end = patches[:, 0, 0, ::-1], patches[:, -1, -1, ::-1] + 1
    reach = (size - 1) / 2
    assert (first <= middles - reach).all()
    assert (end >= middles + reach).all()
    assert (np.abs((first + end) / 2 - middles) <= 0.5).all()


def test_rows_go_south_and_columns_east_however_the_stack_lies(stack, places):
    expected = object_patches(stack, places, 5)
    for turned in (stack[:, :, ::-1], stack[..., ::-1], stack[:, :, ::-1, ::-1].compute()):
        pd.testing.assert_frame_equal(object_patches(turned, places, 5), expected)


def test_another_crs_a_series_of_shapes_and_points_make_no_difference(stack, places):
    expected = object_patches(stack, places, 4)
    for same in (
        places.to_crs(4326),
        places.geometry,
        places.set_geometry(places.envelope.centroid),
    ):
        pd.testing.assert_frame_equal(object_patches(stack, same, 4), expected)


def test_several_points_and_collections_have_one_patch(stack):
    corners = MultiPoint([(LEFT + 101, TOP - 201), (LEFT + 148, TOP - 242)])
    road = LineString([(LEFT, TOP), (LEFT + 300, TOP - 300)])
    collection = GeometryCollection([road, corners.envelope])
    patches = object_patches(stack, objects(corners, collection, Point(LEFT + 124, TOP - 221)), 5)
    for found in patches.to_numpy():
        np.testing.assert_array_equal(found, patches.iloc[2])


@pytest.mark.parametrize("chunk", [{"x": 1024, "y": 256}, {"x": 3, "y": 7}])
def test_memory_tiles_and_chunks_make_no_difference(stack, places, monkeypatch, chunk):
    expected = object_patches(stack.compute(), places, 5)
    monkeypatch.setattr(coverage, "CHUNK", chunk)
    for same in (stack, stack.compute(), stack.chunk(time=2, band=1, x=13, y=11)):
        pd.testing.assert_frame_equal(object_patches(same, places, 5), expected)


def test_only_what_patches_touch_is_read_and_once(stack, monkeypatch):
    monkeypatch.setattr(coverage, "CHUNK", {"x": 20, "y": 20})  # tiles of four chunks
    read = []

    def noted(block, block_info=None):
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    stack = stack.isel(time=[0]).chunk(time=1, band=2, x=10, y=10)
    stack = stack.copy(data=stack.data.map_blocks(noted, dtype=stack.dtype, meta=stack.data._meta))
    middles = [(15.5, 25.5), (16.5, 24.5), (20.2, 45.5), (-90, 0)]
    starts = []
    with (
        Callback(start=starts.append),
        pytest.warns(UserWarning, match=r"1 polygon is without a pixel of the stack in .*: 3"),
    ):
        object_patches(stack, objects(*(shape_at(*middle) for middle in middles)), 4)
    assert sorted(read) == [(0, 0, 2, 1), (0, 0, 4, 1), (0, 0, 4, 2)]
    assert len(starts) == 3


def test_masked_and_shifted_pixels(stack, places):
    optical = stack.isel(time=[0]).assign_coords(band=["red", "SCL"]).compute()
    optical[0, 1] = 4
    optical[0, 1, 16, 12:14] = 9
    table = object_patches(optical, places, 5, mask="SCL", offset=-1000)
    expected = optical.to_numpy()[0, 0, 14:19, 10:15] - 1000
    expected[2, 2:4] = np.nan
    np.testing.assert_array_equal(images_of(table, 5, 1)[0, ..., 0], expected)
    snow = object_patches(optical, places, 5, mask="SCL", mask_values=[4])
    assert snow.loc["a"].notna().sum() == 2
    with pytest.raises(ValueError, match=r"SCL holds classes or flags.*mask='SCL'.*drop_sel"):
        object_patches(optical, places, 5)


def test_polygons_without_a_patch_are_reported_and_kept(stack, places):
    bowtie = Polygon([(LEFT, TOP), (LEFT + 50, TOP - 50), (LEFT + 50, TOP), (LEFT, TOP - 50)])
    apart = MultiPolygon([shape_at(5, 5), shape_at(35, 45)])
    shapes = [Polygon(), bowtie, shape_at(-4, 20), None, apart]
    shapes += [shape_at(-1.4, 20), places.geometry["a"]]
    names = ["hollow", "bowtie", "far", "lost", "apart", "near", "good"]
    with pytest.warns(UserWarning, match="polygon") as warned:
        table = object_patches(stack, objects(*shapes).set_index(pd.Index(names)), 5)
    messages = [str(warning.message).split(" (")[0] for warning in warned]
    assert [message for message in messages if "polygon" in message] == [
        "2 polygons are empty: hollow, lost.",
        "1 polygon is invalid",
        "1 polygon is without a pixel of the stack in the patch: far.",
        "1 polygon is of parts too far apart for a patch that shows one: apart.",
    ]
    assert table.index[table.isna().all(axis=1)].tolist() == names[:5]
    np.testing.assert_array_equal(table.loc["good"], object_patches(stack, places, 5).loc["a"])


def test_a_size_may_be_of_any_integer_type(stack, places):
    expected = object_patches(stack, places, 5)
    table = object_patches(stack, places, np.uint8(5))
    pd.testing.assert_frame_equal(table, expected)
    assert type(table.attrs["shape"][0]) is int


def test_what_is_not_finite_in_float32_is_no_data(stack, places):
    values = stack.astype(np.float64).copy()
    values[0, 0, 16, 12], values[0, 0, 17, 12] = -1.797e308, np.inf
    patch = images_of(object_patches(values, places.loc[["a"]], 5), 5, 8)[0, :, :, 0]
    assert np.argwhere(np.isnan(patch)).tolist() == [[2, 2], [3, 2]]


def test_no_objects_at_all(stack):
    assert object_patches(stack, objects(), 3).shape == (0, 72)


def test_errors(stack, places):
    road = LineString([(LEFT, TOP), (LEFT + 50, TOP - 50)])
    for polygons, message in (
        (places.set_crs(None, allow_override=True), "polygons have no CRS"),
        (places.iloc[[1, 1]], "several rows named 'b'"),
        (objects(road), "a line covers no pixel: 0"),
        (pd.DataFrame(places), "'polygons' parameter"),
    ):
        with pytest.raises(ValueError, match=message):
            object_patches(stack, polygons, 5)
    for size in (0, 2.5, None):
        with pytest.raises(ValueError, match="'size' parameter"):
            object_patches(stack, places, size)
    with pytest.raises(ValueError, match=r"Give an xarray\.DataArray"):
        object_patches(stack.to_numpy(), places, 5)


def test_patches_are_privileged_beside_series(stack, places):
    patches = object_patches(stack.isel(time=[0]), places.loc[["a", "f"]], 3)
    series = object_series(stack, places.drop("e"))
    data = training_set(places.assign(crop="rye").drop("e"), series, patches, y="crop")
    assert data.X_priv.index.tolist() == ["a", "b", "c", "d", "f"]
    assert data.X_priv.isna().all(axis=1).tolist() == [False, True, True, True, False]
