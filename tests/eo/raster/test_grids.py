import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin  # noqa: E402
from rasterio.warp import Resampling, reproject  # noqa: E402

from sklearn_gkd.eo.raster import open_stack  # noqa: E402
from sklearn_gkd.eo.raster._grids import Grid  # noqa: E402

DAY = ["2020-01-01"]
GRID = from_origin(500_000, 5_000_000, 10, 10)
FINER = from_origin(499_990, 5_000_010, 5, 5)


@pytest.mark.parametrize("resampling", ["average", "bilinear", "cubic"])
def test_warped_down_as_rasterio_does(tif, resampling):
    image = np.random.default_rng(0).normal(size=(60, 60)).astype("float32")
    target = from_origin(500_037, 4_999_931, 23, 47)
    coarse = tif("coarse.tif", np.zeros((9, 20), "float32"), target)
    expected = np.full((9, 20), np.nan, "float32")
    grid = {"src_transform": GRID, "src_crs": 32631, "dst_transform": target, "dst_crs": 32631}
    reproject(
        image,
        expected,
        **grid,
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=Resampling[resampling],
    )
    path = tif("fine.tif", image)
    warped = open_stack([path], DAY, ["B4"], like=coarse, resampling=resampling)
    np.testing.assert_allclose(warped[0, 0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("crs", [32632, 4326])
def test_another_projection(tif, crs):
    """A plane keeps its slope wherever it is warped to."""
    from rasterio.warp import calculate_default_transform, transform

    rows, columns = np.mgrid[:300, :300] + 0.5
    path = tif("plane.tif", (columns - 2 * rows).astype("float32"))
    bounds = (500_000, 4_997_000, 503_000, 5_000_000)
    grid, width, height = calculate_default_transform(32631, crs, 300, 300, *bounds)
    target = tif("target.tif", np.zeros((height, width), "float32"), grid, crs)
    warped = open_stack([path], DAY, ["B4"], like=target)[0, 0].to_numpy()
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = rasterio.transform.xy(grid, rows.ravel() - 0.5, columns.ravel() - 0.5)
    x, y = np.array(transform(crs, 32631, x, y))
    expected = ((x - 500_000) / 10 - 2 * (5_000_000 - y) / 10).reshape(height, width)
    inside = (x > 500_010) & (x < 502_990) & (y > 4_997_010) & (y < 4_999_990)
    # Pixels of 14 by 9 m: GDAL's own way of warping down errs by that much.
    atol = 0.25 if crs == 4326 else 0.05
    np.testing.assert_allclose(warped.ravel()[inside], expected.ravel()[inside], atol=atol)


@pytest.mark.parametrize(
    ("transform", "crs", "shape"),
    [
        (from_origin(500_050, 5_000_000, 10, 10), 32631, (10, 10)),
        (from_origin(500_001, 5_000_000, 10, 10), 32631, (10, 10)),
        (GRID, 32632, (10, 10)),
        (from_origin(500_000, 5_000_000, 20, 20), 32631, (10, 10)),
        (from_origin(500_000, 5_000_000, 20, 20), 32631, (5, 5)),
    ],
)
def test_a_band_on_another_grid(tif, transform, crs, shape):
    ramp = np.tile(np.arange(shape[1], dtype="float32"), (shape[0], 1))
    one, other = tif("vv.tif", np.zeros((10, 10))), tif("vh.tif", ramp, transform, crs)
    for paths, dates, bands in (
        ([[one, other]], DAY, ["VV", "VH"]),
        ([one, other], ["2020-01-01", "2020-01-02"], ["VV"]),
        ([[one], [other]], ["2020-01-01", "2020-01-02"], ["VV"]),
    ):
        with pytest.raises(ValueError, match=r"vh.tif lies on another grid than .*vv.tif.*like="):
            open_stack(paths, dates, bands)
        stack = open_stack(paths, dates, bands, like=one)
        warped = stack.to_numpy().reshape(2, 10, 10)
        expected = np.full((10, 10), np.nan, "float32")
        reproject(
            10 ** (ramp / 10), expected, src_transform=transform, src_crs=crs, src_nodata=np.nan,
            dst_transform=GRID, dst_crs=32631, dst_nodata=np.nan, resampling=Resampling.bilinear,
        )  # fmt: skip
        np.testing.assert_allclose(warped[1], 10 * np.log10(expected), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(warped[0], 0)


@pytest.mark.parametrize(("zone", "beyond"), [(30, 360), (31, 0)], ids=["west", "east"])
def test_longitudes_from_0_to_360(tif, zone, beyond):
    degrees = np.broadcast_to(np.arange(360, dtype="float32") + 0.5, (180, 360))
    world = tif("world.tif", degrees, from_origin(0, 90, 1, 1), crs=4326)
    target = from_origin(400_000, 5_000_000, 50_000, 50_000)
    like = tif("like.tif", np.zeros((3, 3), "float32"), target, crs=32600 + zone)
    warped = open_stack([world], DAY, ["longitude"], like=like)[0, 0].to_numpy()
    columns, rows = np.meshgrid(np.arange(3) + 0.5, np.arange(3) + 0.5)
    x, y = target * (columns.ravel(), rows.ravel())
    expected, _ = rasterio.warp.transform(32600 + zone, 4326, x, y)
    np.testing.assert_allclose(warped.ravel(), np.array(expected) + beyond, atol=0.01)


@pytest.mark.parametrize("left", [0, 172])
def test_longitudes_to_180_on_a_grid_beyond(tif, left):
    degrees = np.broadcast_to(np.arange(-180, 180, dtype="float32") + 0.5, (180, 360))
    world = tif("world.tif", degrees, from_origin(-180, 90, 1, 1), crs=4326)
    n = 360 if left == 0 else 15
    like = tif("like.tif", np.zeros((4, n), "float32"), from_origin(left, 5, 1, 1), crs=4326)
    warped = open_stack([world], DAY, ["longitude"], like=like)[0, 0].to_numpy()
    expected = (left + np.arange(n) + 0.5 + 180) % 360 - 180
    np.testing.assert_allclose(warped[2], expected, atol=0.01)


def test_rounding_makes_no_other_grid(tif):
    near = from_origin(500_000.0004, 5_000_000, 10, 10)
    one, other = (tif(f"{n}.tif", np.zeros((10, 10)), t) for n, t in enumerate((GRID, near)))
    assert open_stack([[one, other]], DAY, ["VV", "VH"]).shape == (1, 2, 10, 10)


def test_like_may_be_a_path_a_stack_or_a_south_up_raster(tif, like):
    path = tif("a.tif", np.arange(100, dtype="float32").reshape(10, 10))
    expected = open_stack([path], DAY, ["B4"], like=like)
    as_stack = open_stack([like], DAY, ["VV"])
    south_up = FINER @ rasterio.Affine(1, 0, 0, 0, -1, 24)
    turned = tif("turned.tif", np.zeros((24, 24), "float32"), south_up)
    for other in (str(like), as_stack, as_stack.isel(y=slice(None, None, -1)), turned):
        found = open_stack([path], DAY, ["B4"], like=other)
        np.testing.assert_array_equal(found, expected)
        assert found.rio.transform() == FINER
    with pytest.raises(ValueError, match=r"like is int. Give a stack, a DataArray or a path"):
        open_stack([path], DAY, ["B4"], like=10)


def test_a_south_up_file_is_turned(tif):
    image = np.arange(100, dtype="float32").reshape(10, 10)
    turned = tif("turned.tif", image[::-1], GRID @ rasterio.Affine(1, 0, 0, 0, -1, 10))
    stack = open_stack([turned], DAY, ["B4"])
    np.testing.assert_array_equal(stack[0, 0], image)
    assert stack.rio.transform() == GRID


@pytest.mark.parametrize("resampling", ["bilinear", "average", "cubic"])
def test_chunks_are_warped_down_as_the_whole(tif, resampling, monkeypatch):
    path = tif("fine.tif", np.random.default_rng(0).normal(size=(200, 200)).astype("float32"))
    coarse = from_origin(499_900, 5_000_100, 91, 91)
    target = tif("coarse.tif", np.zeros((26, 26), "float32"), coarse)
    whole = open_stack([path], DAY, ["B4"], like=target, resampling=resampling).to_numpy()
    assert np.isfinite(whole).sum() > 400
    monkeypatch.setattr("sklearn_gkd.eo.raster._opening.CHUNK", {"y": 3, "x": 5})
    parts = open_stack([path], DAY, ["B4"], like=target, resampling=resampling)
    assert parts.data.numblocks == (1, 1, 9, 6)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_places_of_a_grid_in_another():
    def grid(column, row, height=10, width=10, transform=GRID, crs=32631):
        place = transform @ rasterio.Affine.translation(column, row)
        return Grid(rasterio.crs.CRS.from_epsg(crs), place, height, width)

    whole = grid(0, 0)
    assert grid(-3, 40).place_in(whole) == (40, -3)
    assert grid(2.0004, 5.9999).place_in(whole) == (6, 2)
    for other in (
        grid(2.02, 0),
        grid(0, 0, transform=FINER),
        grid(0, 0, crs=32632),
        grid(0, 0, transform=GRID @ rasterio.Affine(1, 0, 0, 0, -1, 10)),
        grid(0, 0, width=2000, transform=GRID @ rasterio.Affine.scale(1.00001)),
    ):
        assert other.place_in(whole) is None
    joined = whole.joined_with(grid(-3, 40)).joined_with(grid(2, 5, 4, 4))
    assert joined.equals(grid(-3, 0, 50, 13))


def test_a_grid_that_lies_a_little_off_is_warped():
    def grid(pixels):
        left, top = 500_000 + 10 * (2 + pixels), 5_000_000 - 10 * pixels
        return Grid(rasterio.CRS.from_epsg(32631), from_origin(left, top, 10, 10), 5, 5)

    assert grid(0.0005).place_in(grid(-2)) == (2, 2)
    assert grid(0.005).place_in(grid(-2)) is None
