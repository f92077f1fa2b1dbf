import pickle

import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin  # noqa: E402

from sklearn_gkd.eo.raster import open_stack  # noqa: E402

DAY = ["2020-01-01"]
GRID = from_origin(500_000, 5_000_000, 10, 10)


def test_classes_are_never_interpolated(tif, like, finer):
    classes = np.random.default_rng(0).choice([3, 4, 9], size=(10, 10)).astype("uint8")
    paths = [[tif("b8.tif", classes.astype("float32")), tif("scl.tif", classes, nodata=0)]]
    for name in ("SCL", "scl", "QA_PIXEL", "QA60", "cloud_mask", "SCL_20m", "Fmask", "dataMask"):
        stack = open_stack(paths, DAY, ["B8", name], like=like, resampling="cubic")
        np.testing.assert_array_equal(stack[0, 1], finer(classes.astype("f4"), "nearest"))
        np.testing.assert_allclose(stack[0, 0], finer(classes.astype("f4"), "cubic"), rtol=1e-5)
    both = tif("both.tif", np.stack([classes, classes]).astype("float32"))
    for bands in (["B8", "SCL"], ["SCL", "B8"]):
        one_file = open_stack([both], DAY, bands, like=like)
        np.testing.assert_array_equal(
            one_file.sel(band="SCL")[0], finer(classes.astype("f4"), "nearest")
        )
        np.testing.assert_allclose(one_file.sel(band="B8")[0], finer(classes.astype("f4")))
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
        ([turned], ["VV"], r"turned.tif is not north up"),
    ):
        with pytest.raises(ValueError, match=message):
            open_stack(paths, DAY, bands)
    for nodata in ("0", [0], True):
        with pytest.raises(ValueError, match=r"nodata is .* Give a number"):
            open_stack([one], DAY, ["VV"], nodata=nodata)
    low = tif("low_flags.tif", np.full((10, 10), -(2**31) + 1, "int32"))
    for path in (flags, low):
        with pytest.raises(ValueError, match=r"flags.tif has whole numbers beyond 16777216"):
            open_stack([path], DAY, ["QA"]).compute()
    with pytest.raises(ValueError, match="two acquisitions on 2020-01-01"):
        open_stack([one, one], ["2020-01-01T05:00", "2020-01-01T17:00"], ["VV"])
    with pytest.raises(ValueError, match=r"2020-01-01 \(entry 1\) repeats 2020-01-01"):
        open_stack([one, one], ["20200101", 20200101], ["VV"])


@pytest.mark.parametrize("params", [{}, {"nodata": 0}])
@pytest.mark.parametrize("tag", [None, 0])
def test_0_is_no_data_in_a_band_of_quantities_and_a_flag_in_one_of_flags(tif, params, tag):
    image = np.stack([[[0, 2000], [2000, 2000]], [[0, 0], [1024, 0]]]).astype("uint16")
    stack = open_stack([tif("a.tif", image, nodata=tag)], DAY, ["B04", "QA60"], **params)
    brightness, flags = stack.to_numpy()[0]
    assert np.isnan(brightness[0, 0]) == (bool(params) or tag == 0)
    assert flags.tolist() == [[0, 0], [1024, 0]]
    classes = open_stack([tif("b.tif", image[1], nodata=0)], DAY, ["landcover"]).to_numpy()
    np.testing.assert_array_equal(classes[0, 0], [[np.nan, np.nan], [1024, np.nan]])


def test_a_relative_path_holds_wherever_it_is_read(tif, tmp_path, monkeypatch):
    tif("a.tif", np.full((10, 10), 7.0))
    monkeypatch.chdir(tmp_path)
    stack = open_stack(["a.tif"], DAY, ["VV"])
    read = pickle.loads(pickle.dumps(stack))
    monkeypatch.chdir("/")
    assert (read.to_numpy() == 7).all()


def test_a_date_written_as_a_number(tif):
    path = tif("a.tif", np.zeros((10, 10)))
    for dates in (["20200101", "20200113"], [20200101, 20200113]):
        stack = open_stack([path, path], dates, ["B4"])
        assert np.datetime_as_string(stack.time, "D").tolist() == ["2020-01-01", "2020-01-13"]


def test_a_list_of_files_is_of_tiles_where_each_has_all_bands(tif):
    west = tif("west.tif", np.full((2, 10, 10), 1.0), descriptions=["VV", "VH"])
    east = tif("east.tif", np.full((2, 10, 10), 2.0), GRID @ rasterio.Affine.translation(10, 0),
               descriptions=["VV", "VH"])  # fmt: skip
    halves = [tif(f"west_{i}.tif", np.full((10, 10), i)) for i in range(2)]
    for bands in (["VV", "VH"], None):
        stack = open_stack([[west, east]], DAY, bands)
        assert stack.band.to_numpy().tolist() == ["VV", "VH"]
        np.testing.assert_array_equal(stack[0, :, 0], [[1] * 10 + [2] * 10] * 2)
    by_band = open_stack([halves], DAY, ["VV", "VH"])
    np.testing.assert_array_equal(by_band[0, :, 0, 0], [0, 1])
    one = open_stack([[west]], DAY, ["VV", "VH"])
    np.testing.assert_array_equal(one, open_stack([west], DAY, ["VV", "VH"]))
    mixed = open_stack([[halves, east]], DAY, ["VV", "VH"])
    np.testing.assert_array_equal(mixed[0, :, 3, 8:12], [[0, 0, 2, 2], [1, 1, 2, 2]])


def test_what_are_no_tiles_is_refused(tif):
    one = tif("one.tif", np.zeros((10, 10)))
    same = tif("same.tif", np.ones((10, 10)))
    finer = tif("finer.tif", np.ones((20, 20)), from_origin(500_000, 5_000_000, 5, 5))
    between = tif("between.tif", np.ones((10, 10)), from_origin(500_204, 5_000_000, 10, 10))
    east = tif("east.tif", np.ones((10, 10)), from_origin(500_100, 5_000_000, 10, 10))
    zone = tif("zone.tif", np.ones((10, 10)), crs=32632)
    for paths, message in (
        ([one, same], "one.tif and .*same.tif, of 2020-01-01, show the same ground.*two stacks"),
        ([one, finer], "one.tif and .*finer.tif, of 2020-01-01, show the same ground"),
        ([one, east, between], "between.tif lies on another grid than .*one.tif.*Give like="),
        ([one, zone], "zone.tif lies on another grid than .*one.tif.*32632.*Give like="),
        ([[one, one]], "are 2 files, but bands names 1"),
    ):
        with pytest.raises(ValueError, match=message):
            open_stack([paths], DAY, ["VV"])
    with pytest.raises(ValueError, match=r"east.tif lies on another grid"):
        open_stack([one, east], ["2020-01-01", "2020-01-13"], ["VV"])
