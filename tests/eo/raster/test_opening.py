import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.enums import ColorInterp  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from rasterio.warp import Resampling, reproject  # noqa: E402

from sklearn_gkd.eo.raster import open_stack  # noqa: E402

DAY = ["2020-01-01"]
GRID = from_origin(500_000, 5_000_000, 10, 10)
FINER = from_origin(499_990, 5_000_010, 5, 5)  # begins a pixel earlier


@pytest.fixture
def tif(tmp_path):
    """Write an image (C, height, width) as it is, and return its path."""

    def tif(name, image, transform=GRID, crs=32631, mask=None, external=False, **tags):
        path = tmp_path / name
        image = np.asarray(image)
        image = image[None] if image.ndim == 2 else image
        profile = {"transform": transform, "crs": crs, "nodata": tags.pop("nodata", None)}
        n_bands, height, width = image.shape
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not external),
            rasterio.open(
                path, "w", "GTiff", width, height, n_bands, dtype=image.dtype, **profile
            ) as file,
        ):
            for tag, value in tags.items():
                setattr(file, tag, value)
            file.write(image)
            if mask is not None:
                file.write_mask(mask)
        return path

    return tif


@pytest.fixture
def like(tif):
    return tif("like.tif", np.zeros((24, 24), "float32"), FINER)


def finer(image, resampling="bilinear"):
    """Warp an image (height, width), NaN for no data, from GRID to FINER by rasterio."""
    warped = np.full((24, 24), np.nan, dtype="float32")
    reproject(
        image.astype("float32"),
        warped,
        src_transform=GRID,
        src_crs=32631,
        src_nodata=np.nan,
        dst_transform=FINER,
        dst_crs=32631,
        dst_nodata=np.nan,
        resampling=Resampling[resampling],
    )
    return warped


HOLE = np.zeros((10, 10), bool)
HOLE[2:5, 3:8] = True


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("how", ["none", "tag", "internal", "external", "alpha", "both", "given"])
def test_what_has_no_data_is_nan_on_both_grids(tif, like, dtype, how):
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


def test_each_band_has_its_own_gaps(tif, like):
    images = np.random.default_rng(0).normal(size=(2, 10, 10)).astype("float32")
    images[0][HOLE] = images[1, 7:, 7:] = np.nan
    images[1, 0, 0] = -np.inf
    path = tif("a.tif", np.nan_to_num(images, nan=-9999, neginf=-np.inf), nodata=-9999)
    images[1, 0, 0] = np.nan
    np.testing.assert_array_equal(open_stack([path], DAY, ["VV", "VH"])[0], images)
    warped = open_stack([path], DAY, ["VV", "VH"], like=like)[0].to_numpy()
    for band, image in zip(warped, images, strict=True):
        np.testing.assert_allclose(band, finer(image), rtol=1e-5)


def test_a_fourth_band_that_is_named_is_no_alpha(tif):
    images = np.arange(400, dtype="uint8").reshape(4, 10, 10)
    images[3, 0] = 0
    path = tif("a.tif", images, colorinterp=[*[ColorInterp.gray] * 3, ColorInterp.alpha])
    stack = open_stack([path], DAY, ["B2", "B3", "B4", "B8"])
    np.testing.assert_array_equal(stack[0], images)


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


def test_warped_down_as_a_whole(tif):
    image = np.random.default_rng(0).normal(size=(60, 60)).astype("float32")
    target = from_origin(500_003, 5_000_007, 23, 23)
    coarse = tif("coarse.tif", np.zeros((300, 26), "float32"), target)
    expected = np.full((300, 26), np.nan, "float32")
    grid = {"src_transform": GRID, "src_crs": 32631, "dst_transform": target, "dst_crs": 32631}
    reproject(
        image, expected, **grid, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.average
    )
    path = tif("fine.tif", image)
    warped = open_stack([path], DAY, ["B4"], like=coarse, resampling="average")
    np.testing.assert_allclose(warped[0, 0], expected, rtol=1e-4, atol=1e-5)


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
            ramp, expected, src_transform=transform, src_crs=crs, src_nodata=np.nan,
            dst_transform=GRID, dst_crs=32631, dst_nodata=np.nan, resampling=Resampling.bilinear,
        )  # fmt: skip
        np.testing.assert_allclose(warped[1], expected, rtol=1e-5)
        np.testing.assert_array_equal(warped[0], 0)


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


@pytest.mark.parametrize("warp", [False, True])
def test_scale_and_offset_in_the_file_are_applied(tif, like, warp):
    stored = np.arange(7000, 7200, dtype="uint16").reshape(2, 10, 10)
    stored[:, HOLE] = 0
    path = tif("a.tif", stored, nodata=0, scales=[2.75e-5, 0.1], offsets=[-0.2, 5])
    expected = np.stack([stored[0] * 2.75e-5 - 0.2, stored[1] * 0.1 + 5])
    expected[:, HOLE] = np.nan
    stack = open_stack([path], DAY, ["B4", "T"], like=like if warp else None)[0].to_numpy()
    if warp:
        expected = np.stack([finer(image) for image in expected])
    np.testing.assert_allclose(stack, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("descriptions", "bands"),
    [
        (("VH", "VV"), ["VV", "VH"]),
        (("HH", "HV"), ["VV", "VH"]),
        (("B8", "B4"), ["B4", "B8"]),
        (("B03", "B04"), ["B4", "B8"]),
        (("B2", "B3"), ["b04", "b08"]),
        (("sigma0_VH", "sigma0_VV"), ["VV", "VH"]),
        (("nir", "red"), ["red", "nir"]),
        (("green", "blue"), ["red", "nir"]),
        (("second", "first"), ["first", "second"]),
        (("VV_desc", "VV_asc"), ["VV_asc", "VV_desc"]),
        (("B8A", "B4"), ["B8", "B4"]),
        ((None, "VV"), ["VV", "VH"]),
    ],
)
def test_descriptions_that_contradict_the_names(tif, descriptions, bands):
    path = tif("a.tif", np.zeros((2, 10, 10)), descriptions=descriptions)
    with pytest.raises(ValueError, match=r"a.tif says that its bands are .*rename them afterwards"):
        open_stack([path], DAY, bands)
    single = [tif(f"{i}.tif", np.zeros((10, 10)), descriptions=[descriptions[i]]) for i in (0, 1)]
    known = {"VV", "VH", "HH", "HV", "B8", "B4", "B03", "B04", "B2", "B3", "green", "blue", "nir"}
    if set(descriptions) <= known:
        with pytest.raises(ValueError, match=r"0.tif says that its bands are"):
            open_stack([single], DAY, bands)


@pytest.mark.parametrize(
    ("descriptions", "bands"),
    [
        ((None, None), ["VV", "VH"]),
        (("VV", None), ["VV", "VH"]),
        (("vv", "vh"), ["VV", "VH"]),
        (("B04", "B08"), ["B4", "B8"]),
        (("B4, central wavelength 665 nm", "S2_B8"), ["B04", "B08"]),
        (("Red", "Near infrared"), ["B4", "B8"]),
        (("Band 1", "Band 2"), ["VV", "VH"]),
        (("Gamma0", "Gamma0"), ["VV", "VH"]),
        (("VV", "VH"), ["VV_asc", "VH_asc"]),
        (("reflectance", "SCL"), ["B4", "SCL"]),
    ],
)
def test_descriptions_that_agree_or_say_nothing(tif, descriptions, bands):
    path = tif("a.tif", np.zeros((2, 10, 10)), descriptions=descriptions)
    assert open_stack([path], DAY, bands)["band"].to_numpy().tolist() == bands


def test_classes_are_never_interpolated(tif, like):
    classes = np.random.default_rng(0).choice([3, 4, 9], size=(10, 10)).astype("uint8")
    paths = [[tif("b8.tif", classes.astype("float32")), tif("scl.tif", classes, nodata=0)]]
    for name in ("SCL", "scl", "QA_PIXEL", "QA60", "cloud_mask", "SCL_20m", "Fmask", "dataMask"):
        stack = open_stack(paths, DAY, ["B8", name], like=like, resampling="cubic")
        np.testing.assert_array_equal(stack[0, 1], finer(classes.astype("f4"), "nearest"))
        np.testing.assert_allclose(stack[0, 0], finer(classes.astype("f4"), "cubic"), rtol=1e-5)
    by_band = open_stack(
        paths, DAY, ["B8", "SCL"], like=like, resampling={"B8": "nearest", "SCL": "mode"}
    )
    np.testing.assert_array_equal(by_band[0, 0], finer(classes.astype("f4"), "nearest"))
    np.testing.assert_array_equal(by_band[0, 1], finer(classes.astype("f4"), "mode"))
    for resampling, message in (
        ({"SCL": "bilinear"}, "would warp SCL by 'bilinear'"),
        ({"B4": "nearest"}, r"has 'B4', which is not in bands"),
        ("linear", "'linear', which is not one of .*'bilinear'"),
        ({"B8": "linear"}, "'linear', which is not one of"),
    ):
        with pytest.raises(ValueError, match=message):
            open_stack(paths, DAY, ["B8", "SCL"], like=like, resampling=resampling)


def test_files_that_cannot_be_read_rightly_are_named(tif):
    slc = tif("slc.tif", np.zeros((10, 10), "complex64"))
    two = tif("two.tif", np.zeros((2, 10, 10)))
    one = tif("one.tif", np.zeros((10, 10)))
    turned = tif("turned.tif", np.zeros((10, 10)), GRID @ rasterio.Affine.rotation(20))
    flags = tif("flags.tif", np.full((10, 10), 2**24 + 1, "uint32"))
    for paths, bands, message in (
        ([slc], ["VV"], r"slc.tif is complex.*intensity"),
        ([[one, two]], ["VV", "VH"], r"two.tif has 2 bands, but bands names 1: \['VH'\]"),
        ([[one, one, one]], ["VV", "VH"], "are 3 files, but bands names 2"),
        ([[two]], ["VV", "VH"], "are 1 files, but bands names 2"),
        ([turned], ["VV"], r"turned.tif is not north up"),
    ):
        with pytest.raises(ValueError, match=message):
            open_stack(paths, DAY, bands)
    with pytest.raises(ValueError, match=r"flags.tif has whole numbers over 16777216"):
        open_stack([flags], DAY, ["QA"]).compute()
    with pytest.raises(ValueError, match="two acquisitions on 2020-01-01"):
        open_stack([one, one], ["2020-01-01T05:00", "2020-01-01T17:00"], ["VV"])
    with pytest.raises(ValueError, match=r"2020-01-01 \(entry 1\) repeats 2020-01-01"):
        open_stack([one, one], ["20200101", 20200101], ["VV"])


def test_a_date_written_as_a_number(tif):
    path = tif("a.tif", np.zeros((10, 10)))
    for dates in (["20200101", "20200113"], [20200101, 20200113]):
        stack = open_stack([path, path], dates, ["B4"])
        assert np.datetime_as_string(stack.time, "D").tolist() == ["2020-01-01", "2020-01-13"]
