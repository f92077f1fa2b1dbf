import numpy as np
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from shapely.geometry import box  # noqa: E402

from sklearn_gkd.eo.raster import object_series, open_stack  # noqa: E402
from sklearn_gkd.eo.raster._names import holds_flags  # noqa: E402

DAY = ["2020-01-01"]


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
        (("red_edge", "red"), ["red", "red_edge"]),
        (("VV_count", "VH"), ["VV", "VH"]),
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


@pytest.mark.parametrize(
    ("name", "in_power"),
    [
        *[
            (name, True)
            for name in ("VV", "vh", "VV_asc", "vh_desc", "VH-descending", "HH", "S1_hv")
        ],
        *[
            (name, True)
            for name in ("sigma0_VV", "Gamma0_VH_dB", "VV_37", "S1A_IW_VV", "VV ascending")
        ],
        *[(name, False) for name in ("B4", "VV_VH", "VH/VV", "VV_coherence", "VV_angle", "VVX")],
        *[(name, False) for name in ("VV_linear", "NDVI", "angle", "VV_std")],
    ],
)
def test_which_bands_are_decibels(tif, name, in_power):
    fields = geopandas.GeoDataFrame(
        geometry=[box(500_000, 4_999_990, 500_020, 5_000_000)], crs=32631
    )
    stack = open_stack([tif("a.tif", np.array([[-20.0, -5.0]]))], DAY, [name])
    expected = 10 * np.log10((0.01 + 10**-0.5) / 2) if in_power else -12.5
    assert object_series(stack, fields).iloc[0, 0] == pytest.approx(expected)
    assert object_series(stack, fields, average="db").iloc[0, 0] == pytest.approx(-12.5)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        *[(name, True) for name in ("QA60", "pixel_qa", "quality_flags", "QC", "UDM2", "cloud")],
        *[(name, True) for name in ("cloud_shadow", "clear", "MSK_CLASSI_OPAQUE", "Shadows")],
        *[(name, True) for name in ("SummaryQA", "dataMask", "cloud_mask", "CLM", "state_1km_QA")],
        *[(name, False) for name in ("B4", "cloud_probability", "CLP", "quality_aot", "aqua", "")],
    ],
)
def test_which_bands_hold_flags(name, flags):
    assert holds_flags(name) == flags


@pytest.mark.parametrize(
    ("descriptions", "bands"),
    [(("red", "nir"), ["B4", "B8"]), (("co", "cross 20200113"), ["VV", "VH"])],
)
def test_files_of_dates_that_name_their_bands_in_another_order(tif, descriptions, bands):
    images = np.zeros((2, 10, 10))
    files = [
        tif(f"{i}.tif", images, descriptions=descriptions[::step]) for i, step in ((0, 1), (1, -1))
    ]
    days = ["2020-01-01", "2020-01-11"]
    with pytest.raises(ValueError, match=r"1.tif has its bands in another order, .*than .*0.tif"):
        open_stack(files, days, bands)
    assert open_stack([files[0], files[0]], days, bands).shape == (2, 2, 10, 10)
    one, other = (tif(f"S2_{name.split()[0]}.tif", images[0]) for name in descriptions)
    with pytest.raises(ValueError, match="has its bands in another order"):
        open_stack([[one, other], [other, one]], days, bands)


@pytest.mark.parametrize("name", ["CLP", "MSK_CLDPRB_20m", "cloud_probability", "prob_rye"])
def test_a_probability_of_0_is_one(tif, like, name):
    image = np.array([[[100, 200]], [[0, 60]]], dtype="uint8")
    path = tif("a.tif", np.repeat(np.repeat(image, 10, 1), 5, 2), nodata=0)
    fields = geopandas.GeoDataFrame(
        geometry=[box(500_000, 4_999_900, 500_100, 5_000_000)], crs=32631
    )
    for options in ({}, {"like": like}):  # which would interpolate what is no probability
        stack = open_stack([path], DAY, ["B4", name], nodata=0, **options)
        table = object_series(stack, fields, mask=name, mask_values=range(40, 101))
        np.testing.assert_allclose(table, [[100]], atol=6)
    np.testing.assert_allclose(object_series(stack, fields).iloc[0, 1], 30, atol=2)
