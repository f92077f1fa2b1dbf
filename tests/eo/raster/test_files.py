import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
dask = pytest.importorskip("dask", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.enums import ColorInterp  # noqa: E402
from rasterio.merge import merge  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from rasterio.warp import reproject  # noqa: E402

from sklearn_gkd.eo.raster import object_series, open_stack  # noqa: E402
from sklearn_gkd.eo.raster._files import ImageFile  # noqa: E402
from sklearn_gkd.eo.raster._stacks import CHUNK  # noqa: E402

DAY = ["2020-01-01"]

HOLE = np.zeros((10, 10), bool)
HOLE[2:5, 3:8] = True


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("how", ["none", "tag", "internal", "external", "alpha", "both", "given"])
def test_what_has_no_data_is_nan_on_both_grids(tif, like, dtype, how, finer):
    image = np.arange(1, 101, dtype=dtype).reshape(10, 10)
    bands, nodata = image[None], None
    kwargs = {}
    if how == "alpha":
        bands = np.stack([image, np.where(HOLE, 0, 200).astype(dtype)])
        kwargs["colorinterp"] = [ColorInterp.gray, ColorInterp.alpha]
    elif how in ("tag", "given"):
        bands = np.where(HOLE, 0, image)[None].astype(dtype)
        if how == "tag":
            kwargs["nodata"] = 0
        else:
            nodata = 0
    elif how != "none":
        kwargs |= {"mask": ~HOLE, "external": how == "external"}
    expected = image.astype("float32")
    if how != "none":
        expected[HOLE] = np.nan
    if how == "both":
        kwargs["nodata"] = 1
        expected[0, 0] = np.nan
    path = tif("a.tif", bands, **kwargs)
    opened = open_stack([path], DAY, ["B4"], nodata=nodata)
    np.testing.assert_array_equal(opened[0, 0], expected)
    warped = open_stack([path], DAY, ["B4"], nodata=nodata, like=like)
    np.testing.assert_allclose(warped[0, 0], finer(expected), rtol=1e-5)
    assert np.isnan(warped[0, 0, :2]).all()  # outside of the file
    assert np.isfinite(warped[0, 0, 10:]).any()


def test_what_means_no_data_may_be_more_than_float32_holds(tif):
    image = np.arange(1.0, 101).reshape(10, 10)
    lowest = np.finfo("float64").min
    path = tif("a.tif", np.where(HOLE, lowest, image)[None], nodata=lowest)
    opened = open_stack([path], DAY, ["B4"])
    np.testing.assert_array_equal(opened[0, 0], np.where(HOLE, np.nan, image))


def test_each_band_has_its_own_gaps(tif, like, finer):
    images = np.random.default_rng(0).normal(size=(2, 10, 10)).astype("float32")
    images[0][HOLE] = images[1, 7:, 7:] = np.nan
    images[1, 0, 0] = -np.inf
    path = tif("a.tif", np.nan_to_num(images, nan=-9999, neginf=-np.inf), nodata=-9999)
    images[1, 0, 0] = np.nan
    np.testing.assert_array_equal(open_stack([path], DAY, ["B04", "B08"])[0], images)
    warped = open_stack([path], DAY, ["B04", "B08"], like=like)[0].to_numpy()
    for band, image in zip(warped, images, strict=True):
        np.testing.assert_allclose(band, finer(image), rtol=1e-5)


def test_a_fourth_band_that_is_named_is_no_alpha(tif):
    images = np.arange(400, dtype="uint8").reshape(4, 10, 10)
    images[3, 0] = 0
    path = tif("a.tif", images, colorinterp=[*[ColorInterp.gray] * 3, ColorInterp.alpha])
    stack = open_stack([path], DAY, ["B2", "B3", "B4", "B8"])
    np.testing.assert_array_equal(stack[0], images)


@pytest.mark.parametrize("layers", [False, True])
def test_a_described_alpha_band_is_none_of_the_bands(tif, layers):
    images = np.full((3, 10, 10), 7, "uint8")
    images[2][HOLE] = 0
    path = tif("a.tif", images, colorinterp=[*[ColorInterp.gray] * 2, ColorInterp.alpha])
    names = ["VV", "VH"]

    def describe(*descriptions):
        with rasterio.open(path, "r+") as file:
            file.descriptions = descriptions

    def opened(bands=None):
        return open_stack(path if layers else [path], DAY, bands)

    describe(*names, "Alpha")
    for bands in (None, names):
        stack = opened(bands)
        assert stack.band.to_numpy().tolist() == names
        np.testing.assert_array_equal(np.isnan(stack[0]), [HOLE, HOLE])
    describe(*names, "NIR")
    with pytest.raises(ValueError, match=r"a.tif calls its alpha band 'NIR'. Give dates and bands"):
        opened()
    np.testing.assert_array_equal(opened([*names, "NIR"])[0], images)
    np.testing.assert_array_equal(np.isnan(opened(names)[0]), [HOLE, HOLE])


def test_bands_rows_and_columns_come_in_the_order_that_is_asked_for(tif, monkeypatch):
    opened, from_array = [], dask.array.from_array
    monkeypatch.setattr(
        "dask.array.from_array",
        lambda x, *args, **kw: opened.append(x) or from_array(x, *args, **kw),
    )
    images = np.random.default_rng(0).integers(0, 9999, (3, 10, 10)).astype("uint16")
    open_stack([tif("a.tif", images)], DAY, ["B2", "B3", "B4"])
    key = [2, 0], slice(7, 1, -2), [0, 9, 3, 3]
    np.testing.assert_array_equal(opened[0][0:1, *key][0], images[key[0]][:, key[1]][:, :, key[2]])


def test_parts_are_what_the_whole_has(tif, like):
    rng = np.random.default_rng(0)
    paths = [tif(f"{i}.tif", rng.normal(size=(2, 10, 10)).astype("float32")) for i in range(3)]
    coarse = tif("coarse.tif", np.zeros((3, 3), "float32"), from_origin(500_001, 5e6 - 7, 23, 23))
    for grid in (None, like, coarse):
        dates = ["2020-01-01", "2020-01-02", "2020-01-04"]
        stack = open_stack(paths, dates, ["VV", "VH"], like=grid)
        whole = stack.to_numpy()
        for part in (
            np.s_[1], np.s_[:, 1], np.s_[::2, :, 2:7, 1], np.s_[:, ::-1, ::-1, 1:2],
            np.s_[:, :, [2, 0], 0], np.s_[2:2], np.s_[..., -1:], np.s_[0, 1, 2, 2],
        ):  # fmt: skip
            np.testing.assert_array_equal(stack[part].to_numpy(), whole[part])


@pytest.mark.parametrize("warp", [False, True])
def test_scale_and_offset_in_the_file_are_applied(tif, like, warp, finer):
    stored = np.arange(7000, 7200, dtype="uint16").reshape(2, 10, 10)
    stored[:, HOLE] = 0
    path = tif("a.tif", stored, nodata=0, scales=[2.75e-5, 0.1], offsets=[-0.2, 5])
    expected = np.stack([stored[0] * 2.75e-5 - 0.2, stored[1] * 0.1 + 5])
    expected[:, HOLE] = np.nan
    stack = open_stack([path], DAY, ["B4", "T"], like=like if warp else None)[0].to_numpy()
    if warp:
        expected = np.stack([finer(image) for image in expected])
    np.testing.assert_allclose(stack, expected, rtol=1e-5)


def test_the_same_files_have_the_same_name_in_a_graph(tif, like):
    paths = [tif(f"{i}.tif", np.zeros((2, 10, 10), "float32")) for i in range(3)]

    def name(files, dates=("2020-01-01", "2020-01-02"), bands=("VV", "VH"), **kwargs):
        return open_stack(files, dates, bands, **kwargs).data.name

    one = name(paths[:2])
    assert one == name(paths[:2])
    others = [
        name(paths[1:]),
        name(paths[:2], nodata=0),
        name(paths[:2], like=like),
        name(paths[:2], like=like, resampling="nearest"),
    ]
    assert len({one, *others}) == 5


def test_stacks_travel_to_other_processes(tif, like):
    import pickle

    rng = np.random.default_rng(0)
    path = tif("a.tif", rng.normal(size=(10, 10)).astype("float32"))
    stack = open_stack([path], DAY, ["VV"], like=like)
    copy = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(copy, stack)


@pytest.fixture
def tiles(tif):
    """Three tiles of 10 x 10 pixels: two that overlap by three columns, one beyond a gap of two."""
    rng = np.random.default_rng(0)
    paths = []
    for name, column, row in (("a", 0, 0), ("b", 7, 2), ("c", 19, -1)):
        images = rng.normal(size=(2, 10, 10)).astype("float32")
        images[rng.random(images.shape) < 0.3] = -9999
        grid = from_origin(500_000 + 10 * column, 5_000_000 - 10 * row, 10, 10)
        paths.append(tif(f"{name}.tif", images, grid, nodata=-9999))
    return paths


def test_tiles_are_merged_as_rasterio_merges_them(tiles):
    for paths in (tiles, tiles[::-1], [tiles[1], tiles[0], tiles[2]]):
        expected, grid = merge(paths)
        expected = np.where(expected == -9999, np.nan, expected)
        stack = open_stack([paths, [tiles[1]]], ["2020-01-01", "2020-01-13"], ["VV", "VH"])
        assert stack.shape == (2, 2, 13, 29)
        assert stack.rio.transform() == grid
        np.testing.assert_array_equal(stack[0], expected)
        assert np.isnan(stack[0, :, :, 17:19]).all()  # the gap
        alone, _ = merge(tiles[1:2])
        np.testing.assert_array_equal(
            stack[1, :, 3:13, 7:17], np.where(alone == -9999, np.nan, alone)
        )
        assert np.isfinite(stack[1]).sum() == (alone != -9999).sum()
        for part in (np.s_[0, :, 4:9, 5:21], np.s_[::-1, 1, 2, ::3], np.s_[0, 0, 0, 17:19]):
            np.testing.assert_array_equal(stack[part].to_numpy(), stack.to_numpy()[part])


def test_tiles_of_two_zones_are_warped_to_one_grid(tif):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 40, 40)).astype("float32")
    images[0, 5:9, 30:] = np.nan
    # 6 degrees east is where zone 31 meets zone 32.
    zones = {32631: from_origin(738_000, 4_988_000, 100, 100),
             32632: from_origin(262_000, 4_988_000, 100, 100)}  # fmt: skip
    paths = [
        tif(f"{zone}.tif", image, grid, zone)
        for image, (zone, grid) in zip(images, zones.items(), strict=True)
    ]
    grid = from_origin(737_000, 4_989_000, 90, 90)
    like = tif("like.tif", np.zeros((60, 60), "float32"), grid)
    warped = []
    for image, (zone, of_zone) in zip(images, zones.items(), strict=True):
        out = np.full((60, 60), np.nan, dtype="float32")
        reproject(image, out, src_transform=of_zone, src_crs=zone, src_nodata=np.nan,
                  dst_transform=grid, dst_crs=32631, dst_nodata=np.nan, resampling=1)  # fmt: skip
        warped.append(out)
    only = np.isnan(warped[0]) & np.isfinite(warped[1])
    assert only.sum() > 100
    assert (np.isfinite(warped[0]) & np.isfinite(warped[1])).sum() > 100
    expected = np.where(np.isnan(warped[0]), warped[1], warped[0])
    stack = open_stack([paths], DAY, ["B04"], like=like)
    np.testing.assert_allclose(stack[0, 0], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(np.isnan(stack[0, 0]), np.isnan(expected))


def test_tiles_are_read_only_where_they_are_touched(tiles, monkeypatch):
    geopandas, box = pytest.importorskip("geopandas"), pytest.importorskip("shapely").box
    read = []

    def noted(self, window, of_file=ImageFile.read):
        read.append(self.path[-5])
        return of_file(self, window)

    monkeypatch.setattr(ImageFile, "read", noted)
    for axis in ("x", "y"):
        monkeypatch.setitem(CHUNK, axis, 1)
    stack = open_stack([tiles], DAY, ["VV", "VH"])
    for first, last, expected in ((2, 5, "a"), (6, 8, "ab"), (11, 14, "b"), (17, 19, ""),
                                  (18, 21, "c")):  # fmt: skip
        left, top = 500_000, 4_999_970
        square = box(left + 10 * first, top - 10, left + 10 * last, top)
        read.clear()
        object_series(stack, geopandas.GeoSeries([square], crs=32631))
        assert set(read) == set(expected)


def test_a_place_on_a_larger_grid_needs_no_warping(tif, monkeypatch):
    image = np.random.default_rng(0).normal(size=(10, 10)).astype("float32")
    path = tif("a.tif", image)
    larger = tif("b.tif", np.zeros((8, 30)), from_origin(499_950, 5_000_020, 10, 10))
    monkeypatch.setattr("sklearn_gkd.eo.raster._files.warped", None)
    stack = open_stack([path], DAY, ["VV"], like=larger, resampling="cubic")
    expected = np.full((8, 30), np.nan)
    expected[2:, 5:15] = image[:6]
    np.testing.assert_array_equal(stack[0, 0], expected)


def test_flags_of_many_bits_beside_a_band_with_a_scale(tif):
    image = np.array([[[3000, 3000]], [[2**26 + 1, 2**26]]], dtype="int32")
    path = tif("a.tif", image, scales=(1e-4, 1))
    with pytest.raises(ValueError, match=r"a.tif has whole numbers beyond 16777216"):
        open_stack([path], DAY, ["B4", "QA"]).compute()
    image[0] *= 10_000
    image[1] = 1
    path = tif("b.tif", image, scales=(1e-4, 1))
    expected = [[[3000, 3000]], [[1, 1]]]
    np.testing.assert_allclose(open_stack([path], DAY, ["B4", "QA"])[0], expected, rtol=1e-6)
