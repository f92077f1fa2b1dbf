import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from shapely.geometry import box

from sklearn_gkd.eo.raster import as_stack, object_patches, object_series, open_stack


def test_a_stack_is_what_the_files_hold(stack, paths, scene, write):
    np.testing.assert_array_equal(stack.to_numpy(), scene.images)
    assert stack.chunks is not None
    assert stack.rio.crs.to_epsg() == 32631
    assert stack.rio.transform() == scene.grid
    bands = [
        [write(f"{date}_{i}.tif", image[i : i + 1]) for i in range(2)]
        for date, image in zip(scene.dates, scene.images, strict=True)
    ]
    np.testing.assert_array_equal(open_stack(bands, scene.dates, ["VV", "VH"]), stack)


def test_files_on_another_grid(paths, stack, scene, write):
    power = np.cumsum(np.ones((2, 40, 40)), axis=2)
    image = 10 * np.log10(power)
    shifted = from_origin(500_003, 4_900_010, 20, 20)
    other = write("other.tif", image, shifted)
    with pytest.raises(ValueError, match=r"other.tif lies on another grid .*20.0.* Give like="):
        open_stack([*paths[:3], other], scene.dates, ["VV", "VH"])
    warped = open_stack([*paths[:3], other], scene.dates, ["VV", "VH"], like=stack)
    np.testing.assert_array_equal(warped[:3], stack[:3])
    expected = np.full((2, 50, 40), -9999.0, dtype="float32")
    reproject(
        power.astype("float32"),
        expected,
        src_transform=shifted,
        src_crs=32631,
        dst_transform=scene.grid,
        dst_crs=32631,
        src_nodata=-9999,
        dst_nodata=-9999,
        resampling=Resampling.bilinear,
    )
    expected = 10 * np.log10(np.where(expected == -9999, np.nan, expected))
    np.testing.assert_allclose(warped[3], expected, rtol=1e-4, atol=1e-4)
    in_degrees = write("degrees.tif", image, from_origin(2.9, 44.3, 1e-4, 1e-4), 4326)
    with pytest.raises(ValueError, match=r"degrees.tif lies on another grid .*EPSG:4326"):
        open_stack([*paths[:3], in_degrees], scene.dates, ["VV", "VH"])
    warped = open_stack([*paths[:3], in_degrees], scene.dates, ["VV", "VH"], like=stack)
    assert warped.rio.crs == stack.rio.crs
    assert warped.shape == stack.shape


def test_the_order_of_rows_and_columns_does_not_matter(stack, fields):
    expected = object_series(stack, fields)
    for part in ({"y": slice(None, None, -1)}, {"x": slice(None, None, -1)}):
        for other in (stack.isel(part), stack.compute().isel(part)):
            pd.testing.assert_frame_equal(object_series(other, fields), expected)


def test_a_stack_of_one_row_or_column(stack, fields):
    expected = stack.to_numpy()[:, :, 17, 15]
    pixel = fields.iloc[:1].set_geometry(
        [box(500_150, 4_899_820, 500_160, 4_899_830)], crs=fields.crs
    )
    row, column = stack.isel(y=[17]), stack.isel(x=[15])
    bare = row.drop_vars("spatial_ref").rio.write_crs(32631)  # square pixels
    for part in (row, column, bare, row.isel(x=[15]), stack.isel(y=slice(17, 18))):
        found = object_series(part, pixel, average="db").to_numpy()
        np.testing.assert_allclose(found.reshape(4, 2), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"one pixel, whose size is not known.*write_transform"):
        object_series(bare.isel(x=[15]), pixel)


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(
    "steps",
    [[*range(10), *range(12, 30)], [*range(20), *range(15, 30)], [0, 1, 1, 2], [3, 2, 5, 4]],
)
def test_a_gap_or_an_overlap_is_refused(stack, fields, axis, steps):
    with pytest.raises(ValueError, match=f"stack has an irregular {axis}.*Mosaic the tiles"):
        object_series(stack.isel({axis: steps}), fields)


@pytest.mark.parametrize("name", ["_FillValue", "missing_value", "nodata"])
@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("where", ["attrs", "encoding"])
def test_an_attribute_says_what_is_no_data(stack, fields, dtype, name, where):
    values = stack.compute().fillna(-99).round().astype(dtype)
    values.attrs, values.encoding = {}, {}
    getattr(values, where)[name] = -99
    if where == "encoding" and dtype.startswith("float"):
        values.loc[{}] = values.where(values != -99)  # xarray itself has decoded it
    expected = object_series(stack.round(), fields)
    pd.testing.assert_frame_equal(object_series(values, fields), expected)
    pd.testing.assert_frame_equal(object_series(values.chunk(), fields), expected)


def test_a_file_of_ground_control_points_is_told_to_be_warped(tmp_path, scene):
    path = tmp_path / "swath.tif"
    corners = [
        GroundControlPoint(row, column, column, -row) for row in (0, 50) for column in (0, 40)
    ]
    with rasterio.open(
        path, "w", "GTiff", 40, 50, 2, gcps=corners, crs=32631, dtype="float32"
    ) as file:
        file.write(scene.images[0])
    with pytest.raises(ValueError, match=r"swath.tif lies by ground control points, not on a grid"):
        open_stack([path], scene.dates[:1], ["VV", "VH"])


def test_an_attribute_may_have_several_values_or_none(stack, fields):
    values = stack.compute().round()
    values[0, 0, 5:9], values[1, 1, 7:12] = -99, -98
    expected = object_series(values.where(values > -98), fields)
    noted = values.assign_attrs(missing_value=[-99, -98], nodata=None)
    pd.testing.assert_frame_equal(object_series(noted, fields), expected)


@pytest.mark.parametrize("nodata", [-9999.9, 1e20, -3.4028235e38])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_that_float32_does_not_hold_is_no_data(stack, fields, nodata, dtype):
    values = stack.compute()
    filled = values.fillna(np.float32(nodata)).astype(dtype)
    assert (np.abs(filled) > 9000).any()
    for noted in ({"nodata": nodata}, {"nodatavals": (nodata,)}):
        table = object_series(filled.assign_attrs(noted), fields)
        pd.testing.assert_frame_equal(table, object_series(values, fields))


def test_digital_numbers_are_not_averaged_as_decibels(stack, fields):
    numbers = stack + 300
    with pytest.raises(ValueError, match=r"^band VV of the stack: decibel has \d"):
        object_series(numbers, fields)
    of_numbers = object_series(numbers, fields, average="db")
    np.testing.assert_allclose(of_numbers, object_series(stack, fields, average="db") + 300)


def test_scale_and_offset_attributes_are_applied_once(stack, fields):
    stored = (stack.fillna(-320) * 100).round().astype("int16")
    decoded = stack.where(np.isnan(stack), (stack * 100).round() / 100)
    noted = stored.assign_attrs(scale_factor=0.01, _FillValue=-32000)
    np.testing.assert_allclose(object_series(noted, fields), object_series(decoded, fields))
    with pytest.raises(ValueError, match="cannot be told whether they were applied"):
        object_series(decoded.assign_attrs(scale_factor=0.01), fields)


@pytest.mark.parametrize("average", ["power", "db"])
def test_infinite_decibels_are_missing(stack, fields, average):
    infinite = stack.fillna(-np.inf)
    expected = object_series(stack, fields, average=average)
    pd.testing.assert_frame_equal(object_series(infinite, fields, average=average), expected)


@pytest.mark.parametrize("form", ["text", "number", "zone"])
def test_dates_may_be_written_in_any_form(stack, scene, fields, form):
    dates = {
        "text": scene.dates,
        "number": [int(date.replace("-", "")) for date in scene.dates],
        "zone": pd.to_datetime(scene.dates).tz_localize("UTC").tz_convert("Europe/Paris"),
    }[form]
    written = stack.assign_coords(time=dates)
    np.testing.assert_array_equal(as_stack(written)["time"], stack["time"])
    pd.testing.assert_frame_equal(object_series(written, fields), object_series(stack, fields))
    inside = fields.drop("partly outside")
    of_patches = [object_patches(images, inside, 1) for images in (written, stack)]
    pd.testing.assert_frame_equal(*of_patches)


def test_two_acquisitions_on_a_day(stack, fields):
    times = np.array(["2016-01-04T05:41", "2016-01-04T17:22", "2016-02-20", "2016-05-01"], "M8[ns]")
    with pytest.raises(
        ValueError, match=r"two acquisitions on 2016-01-04: .*05:41:00.*17:22:00.*two stacks"
    ):
        object_series(stack.assign_coords(time=times), fields)


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[ns]", "object"])
def test_what_is_no_number_is_refused(stack, fields, dtype):
    with pytest.raises(ValueError, match=r"stack is (complex|of)"):
        object_series(stack.fillna(0).compute().astype(dtype), fields)


def test_errors_of_stacks(paths, stack, fields, scene, write):
    with pytest.raises(ValueError, match="paths has 4 entries, but dates has 3"):
        open_stack(paths, scene.dates[:3], ["VV", "VH"])
    with pytest.raises(ValueError, match="has 2 bands, but bands names 1"):
        open_stack(paths, scene.dates, ["VV"])
    with pytest.raises(ValueError, match="dates are not in order"):
        open_stack(paths, scene.dates[::-1], ["VV", "VH"])
    with pytest.raises(ValueError, match="Give dates such as 2016-01-12"):
        open_stack(paths, ["a", "b", "c", "d"], ["VV", "VH"])
    nowhere = write("nowhere.tif", scene.images[0], crs=None)
    with pytest.raises(ValueError, match=r"nowhere.tif has no CRS"):
        open_stack([nowhere, *paths[1:]], scene.dates, ["VV", "VH"])
    with pytest.raises(ValueError, match=r"stack is ndarray. Give an xarray.DataArray"):
        object_series(stack.to_numpy(), fields)
    with pytest.raises(ValueError, match="stack has no CRS"):
        object_series(stack.drop_vars("spatial_ref"), fields)


def test_the_package_does_not_need_the_extra():
    code = (
        "import sys; sys.modules.update(rasterio=None, geopandas=None, xarray=None, pooch=None)\n"
        "import sklearn_gkd, sklearn_gkd.datasets, sklearn_gkd.eo, sklearn_gkd.persistence\n"
        "from sklearn_gkd.eo.raster import open_stack"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "sklearn_gkd.eo.raster needs rasterio: pip install 'sklearn-gkd[geo]'." in last


@pytest.mark.parametrize("noted", ["nodata", "_FillValue"])
def test_0_is_no_data_in_a_band_of_quantities_and_a_flag_in_one_of_flags(stack, noted):
    whole = stack.isel(band=[0, 1]).fillna(0).astype("int16").assign_coords(band=["B04", "QA60"])
    whole[:, :, 0, 0] = 0
    read = as_stack(whole.assign_attrs({noted: 0}))
    assert np.isnan(read[:, 0, 0, 0]).all()
    assert (read[:, 1, 0, 0] == 0).all()
