import numpy as np
import pandas as pd
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
import rioxarray  # noqa: E402
import xarray  # noqa: E402
from rasterio import Affine  # noqa: E402
from rasterio.crs import CRS  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from shapely.geometry import box  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from sklearn_gkd.eo.raster import as_stack, object_series, predict_map  # noqa: E402
from sklearn_gkd.eo.raster._identity import (  # noqa: E402
    fingerprint_of_pixels,
    source_files,
)

TIMES = np.array(["2020-06-01T10:50:31", "2020-06-11T10:50:29"], dtype="M8[ns]")
X, Y = 500_005.0 + 10 * np.arange(4), 4_999_995.0 - 10 * np.arange(3)
RED = np.arange(24, dtype="uint16").reshape(2, 3, 4) * 100
RED[0, 0, 0] = 0
SCL = np.where(RED > 1500, 9, 4).astype("uint8")
EXPECTED = np.where(RED == 0, np.nan, RED).astype(float)


@pytest.fixture
def fields():
    return geopandas.GeoDataFrame(
        geometry=[box(500_000, 4_999_970, 500_040, 5_000_000)], index=["a"], crs=32631
    )


def check(stack, bands=("red", "SCL"), scl=SCL):
    assert stack.dims == ("time", "band", "y", "x")
    assert stack.rio.crs.to_epsg() == 32631
    assert stack.rio.transform() == Affine(10, 0, 500_000, 0, -10, 5_000_000)
    assert stack.band.to_numpy().tolist() == list(bands)
    np.testing.assert_array_equal(stack.time, TIMES)
    np.testing.assert_array_equal(stack.sel(band="red"), EXPECTED)
    if "SCL" in bands:
        np.testing.assert_array_equal(stack.sel(band="SCL"), scl)


def odc(chunks=None):
    """Return what odc.stac.load gives: a Dataset of whole numbers, with nodata as an attribute."""
    coords = {"time": TIMES, "y": Y, "x": X}
    data = xarray.Dataset(
        {
            "red": (("time", "y", "x"), RED, {"nodata": 0, "units": "1"}),
            "SCL": (("time", "y", "x"), SCL, {"nodata": 0}),
        },
        coords,
    ).rio.write_crs(32631)
    return data if chunks is None else data.chunk(chunks)


def test_a_dataset_as_odc_stac_gives_it(fields):
    for data in (odc(), odc({"time": 1})):
        stack = as_stack(data)
        check(stack)
        assert (stack.chunks is None) == (data.chunks == {})
        check(as_stack(data, bands=["red"]), ["red"])
        check(as_stack(data, bands=["SCL", "red"]), ["SCL", "red"])
    table = object_series(as_stack(odc()), fields, mask="SCL")
    clear = np.where(SCL == 9, np.nan, EXPECTED)
    np.testing.assert_allclose(table.iloc[0], [np.nanmean(clear[0]), np.nanmean(clear[1])])
    with pytest.raises(ValueError, match="bands has 'nir', which is not in data"):
        as_stack(odc(), bands=["nir"])
    with pytest.raises(ValueError, match=r"stack is .*as_stack of what odc-stac"):
        object_series(odc(), fields)


@pytest.mark.parametrize("decoded", [False, True])
def test_0_of_a_variable_of_flags_is_no_flag(fields, decoded):
    flags = np.where(SCL == 9, 1024, 0).astype("uint16")
    data = odc().drop_vars("SCL").assign(QA60=(("time", "y", "x"), flags, {"nodata": 0}))
    if decoded:  # as xarray does what a netCDF file has with _FillValue=0
        data["QA60"] = data["QA60"].astype("float32").where(data["QA60"] != 0).drop_attrs()
        data["QA60"].encoding = {"_FillValue": 0, "dtype": "uint16"}
    table = object_series(as_stack(data), fields, mask="QA60")
    clear = np.where(SCL == 9, np.nan, EXPECTED)
    np.testing.assert_allclose(table.iloc[0], [np.nanmean(clear[0]), np.nanmean(clear[1])])


def test_scale_and_offset_of_a_variable():
    data = odc()
    data["red"].attrs |= {"scale_factor": 0.0001, "add_offset": -0.1}
    stack = as_stack(data)
    np.testing.assert_allclose(stack.sel(band="red"), EXPECTED * 0.0001 - 0.1, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(stack.sel(band="SCL"), SCL)


@pytest.mark.parametrize("where", ["corners", "centres"])
def test_an_array_as_stackstac_gives_it(where):
    corner = 5 if where == "corners" else 0
    data = xarray.DataArray(
        np.stack([EXPECTED, SCL], axis=1),
        dims=("time", "band", "y", "x"),
        coords={
            "time": TIMES,
            "band": ["red", "SCL"],
            "y": Y + corner,
            "x": X - corner,
            "epsg": 32631,
        },
        attrs={"transform": Affine(10, 0, 500_000, 0, -10, 5_000_000), "resolution": 10.0},
    )
    check(as_stack(data))
    for thinned in (
        data.coarsen(x=2, y=2, boundary="trim").mean(),
        data.isel(x=slice(None, None, 2), y=slice(None, None, 2)),
    ):
        with pytest.raises(ValueError, match=r"transform of other pixels.*Call as_stack before"):
            as_stack(thinned)
    part = as_stack(data.isel(x=slice(1, 3)))
    assert part.rio.transform() == Affine(10, 0, 500_010, 0, -10, 5_000_000)


@pytest.mark.parametrize(
    "names", [("t", "bands", "y", "x"), ("time", "bands", "latitude", "longitude")]
)
def test_an_array_as_openeo_gives_it(names):
    time, band, y, x = names
    data = xarray.DataArray(
        np.stack([EXPECTED, SCL], axis=1)[:, :, ::-1].transpose(0, 1, 3, 2),
        dims=(time, band, x, y),
        coords={time: TIMES, band: ["red", "SCL"], y: Y[::-1], x: X},
    )
    with pytest.raises(ValueError, match=r"stack has no CRS"):
        as_stack(data)
    check(as_stack(data.rio.set_spatial_dims(x, y).rio.write_crs(32631)))


def test_a_dataset_as_openeo_gives_it():
    wkt = CRS.from_epsg(32631).to_wkt()
    data = odc().drop_vars("spatial_ref").rename(time="t")
    data["crs"] = ((), b"", {"crs_wkt": wkt, "spatial_ref": wkt})
    for variable in ("red", "SCL"):
        data[variable].attrs["grid_mapping"] = "crs"
    check(as_stack(data))


def test_a_netcdf_file(tmp_path):
    pytest.importorskip("scipy")
    path = tmp_path / "cube.nc"
    data = odc()
    for name, dtype in (("red", "int16"), ("SCL", "int8")):
        data[name].attrs = {}
        data[name].encoding = {"_FillValue": 0, "dtype": dtype}
    data.to_netcdf(path, engine="scipy")
    for given in (path, str(path)):
        stack = as_stack(given)
        check(stack)
        assert stack.chunks is not None
    with xarray.open_dataset(path, mask_and_scale=False, decode_coords="all") as stored:
        check(as_stack(stored.load()))


@pytest.fixture(params=[2, 3], ids=["format 2", "format 3"])
def store(request, tmp_path):
    """A zarr store of the Dataset that odc-stac gives, in chunks."""
    pytest.importorskip("zarr", reason="needs zarr")
    pytest.importorskip("xarray", minversion="2024.10", reason="older ones do not read zarr 3")
    path = tmp_path / "cube.zarr"
    odc({"time": 1, "y": 2}).to_zarr(
        path, consolidated=request.param == 2, zarr_format=request.param
    )
    return path


def opened(path):
    return {
        "path": path,
        "open_zarr": xarray.open_zarr(path, decode_coords="all"),
        "open_dataset": xarray.open_dataset(path, engine="zarr", chunks={"y": 2}),
    }


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
def test_a_zarr_store(store, fields, tmp_path):
    for data in opened(store).values():
        # It lists its variables as the file system does.
        with pytest.raises(ValueError, match=r"zarr store.*bands= .*: \['SCL', 'red'\]"):
            as_stack(data)
        stack = as_stack(data, bands=["red", "SCL"])
        check(stack)
        assert stack.chunks is not None
        clear = np.where(SCL == 9, np.nan, EXPECTED)
        table = object_series(stack, fields, mask="SCL")
        np.testing.assert_allclose(table.iloc[0], [np.nanmean(clear[0]), np.nanmean(clear[1])])
        model = DecisionTreeClassifier().fit([[1200.0], [1500.0]], [1, 2])  # over 1350: 2
        one = stack.isel(time=[1])
        out = predict_map(
            model, one, tmp_path / "map.tif", mask="SCL", mask_values=[9], progress=False
        )
        with rasterio.open(out) as file:
            assert file.transform == Affine(10, 0, 500_000, 0, -10, 5_000_000)
            expected = np.where(np.isnan(clear[1]), 0, np.where(clear[1] > 1350, 2, 1))
            np.testing.assert_array_equal(file.read(1), expected)


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
def test_a_changed_zarr_store_is_told_from_what_it_was(store):
    import zarr

    before = {}
    for how, data in opened(store).items():
        stack = as_stack(data, bands=["red"])
        assert any(path.is_relative_to(store) for path in source_files(stack))
        before[how] = fingerprint_of_pixels(stack, 16)
    zarr.open(str(store))["red"][1, 0, 0] = 7
    for how, data in opened(store).items():
        stack = as_stack(data, bands=["red"])
        assert stack.to_numpy()[1, 0, 0, 0] == 7
        assert before[how] is None or fingerprint_of_pixels(stack, 16) != before[how]


def test_one_date_or_one_band():
    data = odc()
    one = as_stack(data.isel(time=1))
    np.testing.assert_array_equal(one.sel(band="red")[0], EXPECTED[1])
    check(as_stack(data["red"]), ["red"])
    check(as_stack(data["red"].rename(None), bands=["red"]), ["red"])
    check(as_stack(data["red"].expand_dims(height=[2.0])), ["red"])
    with pytest.raises(ValueError, match=r"data has no time.*expand_dims"):
        as_stack(data.isel(time=1, drop=True))
    with pytest.raises(ValueError, match=r"has no name. Name it"):
        as_stack(data["red"].rename(None))
    with pytest.raises(ValueError, match="data is ndarray"):
        as_stack(RED)
    with pytest.raises(ValueError, match=r"stack is \(.*'height'"):
        as_stack(data["red"].expand_dims(height=[2.0, 10.0]))
    with pytest.raises(ValueError, match=r"'dem' of dimensions .*beside 'red'"):
        as_stack(data.assign(dem=data["red"][0]))
    assert as_stack(data.assign(orbit=("time", [1, 2]))).band.to_numpy().tolist() == ["red", "SCL"]


def test_dates_on_one_day_are_refused():
    data = odc().assign_coords(time=TIMES[0] + np.array([0, 10], "m8[s]"))
    with pytest.raises(ValueError, match="two acquisitions on 2020-06-01"):
        as_stack(data)


def test_a_geotiff_by_rioxarray(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", "GTiff", 4, 3, 1, 32631, from_origin(500_000, 5_000_000, 10, 10), "uint16", 0
    ) as file:
        file.write(RED[:1])
        file.scales, file.offsets = [0.5], [3]
    for how, message in (
        ({}, None),
        ({"mask_and_scale": True}, None),
        ({"masked": True}, "cannot be told"),
    ):
        image = rioxarray.open_rasterio(path, **how).expand_dims(time=TIMES[:1])
        if message is None:
            np.testing.assert_allclose(as_stack(image)[0, 0], EXPECTED[0] * 0.5 + 3)
        else:
            with pytest.raises(ValueError, match=message):
                as_stack(image)


@pytest.fixture
def geotiff(tmp_path):
    """Return an image by rioxarray, of a band of numbers and one of classes."""

    def geotiff(descriptions, **attributes):
        path = tmp_path / "a.tif"
        place = from_origin(500_000, 5_000_000, 10, 10)
        with rasterio.open(path, "w", "GTiff", 4, 3, 2, 32631, place, "uint16", 0) as file:
            file.write(np.stack([RED[0], SCL[0]]))
            file.descriptions = descriptions
            for name, values in attributes.items():
                setattr(file, name, values)
        return rioxarray.open_rasterio(path).expand_dims(time=TIMES[:1])

    return geotiff


def test_bands_of_rioxarray_have_the_names_of_the_file(geotiff, fields):
    image = geotiff(["red", "SCL"])
    for data in (as_stack(image), as_stack(image[:, ::-1], bands=["red", "SCL"])):
        assert data.band.to_numpy().tolist() == ["red", "SCL"]
        np.testing.assert_array_equal(data[0, 0], EXPECTED[0])
    assert as_stack(image[:, 1:]).band.to_numpy().tolist() == ["SCL"]
    with pytest.raises(ValueError, match="SCL holds classes or flags"):
        object_series(image, fields)
    for descriptions, names in (([None, None], ["1", "2"]), (["red", None], ["red", "2"])):
        assert as_stack(geotiff(descriptions)).band.to_numpy().tolist() == names
    numbered = object_series(geotiff([None, None]), fields)
    assert numbered.columns.tolist() == ["1_d152", "2_d152"]


@pytest.mark.filterwarnings("ignore:.* differ across bands")
@pytest.mark.parametrize("attributes", [{"offsets": (0, 1)}, {"scales": (1, 0.5)}])
def test_a_scale_or_an_offset_of_one_band_is_refused(geotiff, attributes):
    image = geotiff(["red", "nir"], **attributes)
    with pytest.raises(ValueError, match="cannot be told whether they were applied"):
        as_stack(image)


def test_a_stack_stays_what_it_is(fields):
    stack = as_stack(odc())
    xarray.testing.assert_identical(as_stack(stack), stack)
    pd.testing.assert_frame_equal(
        object_series(as_stack(stack), fields, mask="SCL"), object_series(stack, fields, mask="SCL")
    )


def test_variables_that_rioxarray_numbers_are_called_by_their_long_names():
    data = odc().rename(red="band_1", SCL="band_2")
    data["band_1"].attrs["long_name"] = "red"
    data["band_2"].attrs["long_name"] = "SCL"
    check(as_stack(data))
    check(as_stack(data, bands=["SCL", "red"]), ["SCL", "red"])
    assert as_stack(data, bands=["band_1"]).band == ["band_1"]
    for name in ("band_1", "band_2"):
        data[name].attrs["long_name"] = "reflectance"
    assert as_stack(data).band.to_numpy().tolist() == ["band_1", "band_2"]
