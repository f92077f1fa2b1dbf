from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import xarray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from shapely.geometry import box  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from sklearn_gkd.eo.raster import object_series, predict_map  # noqa: E402

nan = np.nan


def stack_of(values, dates, bands):
    """Return a stack of values (T, C, height, width), 10 m pixels from 500000, 5000000."""
    values = np.asarray(values)
    coords = {
        "time": np.array(dates, dtype="M8[ns]"),
        "band": bands,
        "y": 4_999_995.0 - 10 * np.arange(values.shape[2]),
        "x": 500_005.0 + 10 * np.arange(values.shape[3]),
    }
    return xarray.DataArray(values, coords).rio.write_crs(32631)


def field(height, width):
    shape = box(500_000, 5_000_000 - 10 * height, 500_000 + 10 * width, 5_000_000)
    return geopandas.GeoDataFrame(geometry=[shape], index=["field"], crs=32631)


@pytest.fixture(params=["numpy", "dask"])
def lay(request):
    """Leave a stack in memory, or put it in dask chunks."""
    return (
        (lambda stack: stack) if request.param == "numpy" else (lambda stack: stack.chunk(time=1))
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int32"])
def test_clouds_are_left_out_before_averaging(lay, dtype):
    values = np.zeros((2, 3, 4, 4))
    values[:, 0], values[:, 1], values[:, 2] = 2000, 1000, 4
    values[0, :2, :, :2], values[0, 2, :, :2] = 9000, 9
    values[1, 0] = [2000, 2100, 2200, 2300]
    values[1, 2] = [[3, 4, 5, 8]] * 4
    stack = lay(stack_of(values.astype(dtype), ["2020-06-01", "2020-06-11"], ["B8", "B4", "SCL"]))
    table = object_series(stack, field(4, 4), indices=["NDVI"], mask="SCL")
    days = ["d152", "d162"]
    assert list(table) == [f"{band}_{day}" for day in days for band in ("B8", "B4", "NDVI")]
    np.testing.assert_allclose(
        table.iloc[0],
        [2000, 1000, 1 / 3, 2150, 1000, (1100 / 3100 + 1200 / 3200) / 2],
        rtol=1e-6,
    )
    only_5 = object_series(stack, field(4, 4), mask="SCL", mask_values=[3, 4, 8, 9])
    np.testing.assert_array_equal(only_5.iloc[0], [nan, nan, 2200, 1000])


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
@pytest.mark.parametrize(
    ("name", "params", "kept"),
    [
        ("QA60", {}, [0, 1, 2, 3]),
        ("qa_pixel", {}, [0, 1, 4, 5]),
        ("QA60", {"mask_bits": [5]}, [0, 2, 3, 4, 5, 6]),
        ("flags", {"mask_bits": (0, 11)}, [0, 1, 3, 4]),
        ("flags", {"mask_values": [32, 1024], "mask_bits": [3]}, [0, 2, 5, 6]),
    ],
)
def test_bits(lay, dtype, name, params, kept):
    flags = np.array([0, 32, 1, 8, 1024, 2048, 2049])
    brightness = np.array([1, 2, 4, 8, 16, 32, 64])
    values = np.stack([brightness, flags])[None, :, None].astype(dtype)
    stack = lay(stack_of(values, ["2020-01-01"], ["B4", name]))
    table = object_series(stack, field(1, 7), mask=name, **params)
    assert table.iloc[0, 0] == pytest.approx(brightness[kept].mean())


def test_where_the_mask_has_no_data_nothing_is_used(lay):
    values = np.array([[[[1, 2, 3, 4]], [[4, 4, nan, -np.inf]]]], dtype="float32")
    stack = lay(stack_of(values, ["2020-01-01"], ["B4", "SCL"]))
    assert object_series(stack, field(1, 4), mask="SCL").iloc[0, 0] == 1.5


def test_what_lies_between_the_values_of_a_mask_is_not_used(lay):
    values = np.array([[[[1, 2, 4, 8]], [[0, 0.25, 1, 0]]]], dtype="float32")
    stack = lay(stack_of(values, ["2020-01-01"], ["B4", "clouds"]))
    assert object_series(stack, field(1, 4), mask="clouds", mask_values=[1]).iloc[0, 0] == 4.5
    told = object_series(stack, field(1, 4), mask="clouds", mask_values=[1, 0.25])
    assert told.iloc[0, 0] == 4.5
    told = object_series(stack, field(1, 4), mask="clouds", mask_values=[0.5])
    assert told.iloc[0, 0] == 3.75


def test_a_map_leaves_out_what_the_mask_marks(tmp_path, lay):
    values = np.array([[[[100, 5000, 5000, 100]], [[4, 4, 9, 8]]]], dtype="float32")
    stack = lay(stack_of(values, ["2020-01-01"], ["B4", "SCL"]))
    X = pd.DataFrame({"B4_d000": [-900.0, 4000.0]})
    model = DecisionTreeClassifier().fit(X.to_numpy(), ["dark", "light"])
    out = predict_map(model, stack, tmp_path / "a.tif", mask="SCL", offset=-1000, progress=False)
    with rasterio.open(out) as file:
        assert file.read(1).tolist() == [[1, 2, 0, 0]]
    named = DecisionTreeClassifier().fit(X, ["dark", "light"])
    with pytest.warns(UserWarning, match="named columns"):
        out = predict_map(
            named, stack, tmp_path / "b.tif", mask="SCL", offset=[-1000], progress=False
        )
    with rasterio.open(out) as file:
        assert file.read(1).tolist() == [[1, 2, 0, 0]]


class Recorded(ClassifierMixin, BaseEstimator):
    """Keeps the tables that it predicts."""

    classes_ = np.array([1, 2])
    tables: ClassVar[list] = []

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        if hasattr(X, "columns"):
            self.feature_names_in_ = X.columns.to_numpy()
        return self

    def predict(self, X):
        self.tables.append(check_array(X))
        return np.ones(len(X), dtype=int)


@pytest.fixture
def mapped(monkeypatch, tmp_path):
    """Return the tables that an estimator is given for the pixels of a map, as one."""

    def mapped(estimator, stack, **kwargs):
        monkeypatch.setattr(Recorded, "tables", [])
        predict_map(estimator, stack, tmp_path / "map.tif", progress=False, **kwargs)
        return np.concatenate(Recorded.tables)

    return mapped


@pytest.fixture
def reflectances():
    """Two dates of B4, B8 and SCL in 3 x 4 pixels, shifted by 1000; one is a cloud."""
    values = np.random.default_rng(0).integers(1100, 6000, size=(2, 3, 3, 4)).astype("uint16")
    values[:, 2] = 4
    values[1, 2, 0, 0] = 9
    return stack_of(values, ["2022-02-01", "2022-02-11"], ["B4", "B8", "SCL"])


@pytest.mark.filterwarnings("ignore:The estimator was fitted on named columns")
def test_a_map_has_the_indices_of_its_model(lay, reflectances, mapped):
    given = {"mask": "SCL", "offset": -1000, "indices": ["NDVI"]}
    stack = lay(reflectances)
    each = geopandas.GeoDataFrame(
        geometry=[
            box(500_000 + 10 * i, 4_999_990 - 10 * j, 500_010 + 10 * i, 5_000_000 - 10 * j)
            for j in range(3)
            for i in range(4)
        ],
        crs=32631,
    )
    table = object_series(stack, each, **given)
    red, nir = reflectances.to_numpy()[0, :2].astype(float) - 1000
    np.testing.assert_allclose(table["NDVI_d031"], ((nir - red) / (nir + red)).ravel())
    y = np.arange(12) % 2 + 1
    others = [  # the order of the columns, and which of them there are, is the model's own
        list(table),
        sorted(table),
        ["NDVI_d041", "NDVI_d031"],
        ["B8_d041", "B4_d031", "NDVI_d031"],
    ]
    for names in others:
        model = Recorded().fit(table[names], y)
        np.testing.assert_allclose(mapped(model, stack, **given), table[names][1:], rtol=1e-6)
        again = object_series(stack, each, like=names, **given)
        pd.testing.assert_frame_equal(again, table[names])
    model = Recorded().fit(table.to_numpy(), y)
    np.testing.assert_allclose(mapped(model, stack, **given), table[1:], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The estimator was fitted on named columns")
def test_indices_that_contradict_the_model_are_refused(reflectances, mapped):
    stack = reflectances.sel(band=["B4", "B8"])
    table = object_series(stack, field(3, 4), indices=["NDVI"])
    with_ndvi, without = Recorded().fit(table, [1]), Recorded().fit(table.iloc[:, :2], [1])
    for model, given, message in [
        (with_ndvi, [], r"no band NDVI, .* spectral index, to indices="),
        (with_ndvi, ["NDVI", "NDWI"], "indices has 'NDWI', which the columns have not"),
        (with_ndvi, "NDVI", r"indices is 'NDVI'. Give a list: \['NDVI'\]"),
        (without, ["NDVI"], "indices has 'NDVI', which the columns have not"),
        (Recorded().fit(table.to_numpy(), [1]), [], "stack has 4 columns, .* fitted on 6 columns"),
        (Recorded().fit(np.ones((1, 1)), [1]), [], "stack has 4 columns, .* fitted on 1 column. "),
        (Recorded().fit(table.to_numpy(), [1]), ["NDMI"], "NDMI needs the band B11"),
        (Recorded().fit(table.to_numpy(), [1]), ["SAVY"], "indices has 'SAVY', which is not one"),
    ]:
        with pytest.raises(ValueError, match=message):
            mapped(model, stack, indices=given)
    named = stack.assign_coords(band=["B4", "NDVI"])
    for call in (
        lambda: object_series(named, field(3, 4), indices=["NDVI"]),
        lambda: mapped(Recorded().fit(table.to_numpy(), [1]), named, indices=["NDVI"]),
    ):
        with pytest.raises(ValueError, match="names 'NDVI' twice, or it is a band of the stack"):
            call()


@pytest.mark.parametrize("name", ["SCL", "QA_PIXEL", "QA60", "cloud_mask", "scl"])
def test_classes_have_no_mean(name):
    stack = stack_of(np.zeros((1, 2, 4, 4)), ["2020-01-01"], ["B4", name])
    with pytest.raises(ValueError, match=rf"{name} holds classes.*mask='{name}'.*drop_sel"):
        object_series(stack, field(4, 4))
    assert list(object_series(stack.drop_sel(band=name), field(4, 4))) == ["B4_d000"]
    assert list(object_series(stack, field(4, 4), like=["B4_d000"])) == ["B4_d000"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mask": "CLM"}, "mask='CLM' is to be a band of the stack"),
        ({"mask": "B4"}, "mask='B4' is not a mask that is known.*mask_values=.*mask_bits="),
        ({"mask_values": [3]}, "mask is None"),
        ({"mask_bits": [3]}, "mask is None"),
        ({"mask": "SCL", "offset": [1, 2]}, "offset is .*1 numbers, one for each date"),
        ({"mask": "SCL", "offset": nan}, "offset is nan"),
        ({"offset": "much"}, "offset: could not convert"),
        ({"mask": "SCL", "mask_values": ["3"]}, r"mask_values is \['3'\]. Give a list of numbers"),
        ({"mask": "SCL", "mask_values": [nan]}, r"mask_values is \[nan\]. Give a list of numbers"),
        ({"mask": "SCL", "mask_bits": ["3"]}, r"mask_bits is \['3'\]. Give a list of numbers"),
        ({"mask": "SCL", "mask_bits": [1.5]}, r"mask_bits is \[1.5\]. Give whole numbers"),
        ({"mask": "SCL", "mask_bits": [-1]}, r"mask_bits is \[-1\]. Give whole numbers"),
        ({"mask": "SCL", "mask_bits": [64]}, r"mask_bits is \[64\]. Give whole numbers"),
    ],
)
def test_errors_of_masks_and_offsets(params, message):
    stack = stack_of(np.zeros((1, 2, 4, 4)), ["2020-01-01"], ["B4", "SCL"])
    with pytest.raises(ValueError, match=message):
        object_series(stack, field(4, 4), **params)
    with pytest.raises(ValueError, match="to be a band of the stack beside others"):
        object_series(stack.sel(band=["SCL"]), field(4, 4), mask="SCL")


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_an_offset_for_each_date(lay, dtype):
    red, nir = [1000, 2000, 2200], [3000, 4000, 4500]
    values = np.stack([red, nir], axis=1)[:, :, None, None] * np.ones((1, 1, 2, 2))
    values[1, :, 0, 0] = 0
    stack = stack_of(
        values.astype(dtype), ["2022-01-13", "2022-01-27", "2022-02-02"], ["B04", "B08"]
    )
    stack = lay(stack.assign_attrs(_FillValue=0))
    table = object_series(stack, field(2, 2), indices=["NDVI"], offset=[0, -1000, -1000])
    np.testing.assert_allclose(
        table.iloc[0], [1000, 3000, 0.5, 1000, 3000, 0.5, 1200, 3500, 2300 / 4700], rtol=1e-6
    )
    names = ["B04_d026", "B08_d026", "NDVI_d026"]  # the dates that are wanted keep their own
    some = object_series(stack, field(2, 2), indices=["NDVI"], offset=[0, -1000, -1000], like=names)
    np.testing.assert_allclose(some.iloc[0], [1000, 3000, 0.5], rtol=1e-6)
    one = object_series(stack, field(2, 2), offset=-1000)
    np.testing.assert_allclose(one.iloc[0], [0, 2000, 1000, 3000, 1200, 3500])


def test_indices_of_dark_pixels_stay_bounded():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 2, 30, 30)) * 10.0 ** rng.integers(-8, 4, size=(1, 1, 30, 30))
    stack = stack_of(values, ["2020-01-01"], ["B4", "B8"])
    pixels = geopandas.GeoDataFrame(
        geometry=[
            box(500_000 + 10 * i, 4_999_990 - 10 * j, 500_010 + 10 * i, 5_000_000 - 10 * j)
            for j in range(30)
            for i in range(30)
        ],
        crs=32631,
    )
    index = object_series(stack, pixels, indices=["NDVI"])["NDVI_d000"]
    assert index.between(-1, 1).all()
    red, nir = values.reshape(2, -1)
    np.testing.assert_array_equal(index[(red > 0) & (nir < 0)], -1)
    np.testing.assert_array_equal(index[(red < 0) & (nir > 0)], 1)
    np.testing.assert_array_equal(index[(red < 0) & (nir < 0)], 0)
    both = (red > 0) & (nir > 0)
    np.testing.assert_allclose(index[both], (nir - red)[both] / (nir + red)[both])


def test_no_polygons_give_an_empty_table():
    stack = stack_of(np.zeros((2, 1, 4, 4)), ["2020-01-01", "2020-01-13"], ["VV"])
    table = object_series(stack, field(4, 4).iloc[:0])
    assert table.shape == (0, 2)
    assert list(table) == ["VV_d000", "VV_d012"]
    assert (table.dtypes == "float64").all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["2019-11-01", "2019-12-15", "2020-01-20"], ["2020-11-03", "2020-12-13", "2021-01-22"]),
        (["2019-12-28", "2020-01-09", "2020-01-21"], ["2021-01-01", "2021-01-13", "2021-01-25"]),
        (["2021-01-01", "2021-01-13", "2021-01-25"], ["2019-12-28", "2020-01-09", "2020-01-21"]),
        (["2018-12-31", "2019-01-12", "2019-06-01"], ["2024-01-01", "2024-01-13", "2024-05-31"]),
    ],
)
def test_a_season_over_new_year_fits_the_next(first, second):
    values = np.arange(3.0)[:, None, None, None] * np.ones((1, 1, 2, 2))
    table = object_series(stack_of(values, first, ["B8"]), field(2, 2))
    other = stack_of(values, second, ["B8"])
    pd.testing.assert_frame_equal(object_series(other, field(2, 2), like=table), table)
    far = other.assign_coords(time=other.time + np.timedelta64(40, "D"))
    with pytest.raises(ValueError, match="no acquisition of its own within 6 days"):
        object_series(far, field(2, 2), like=table)


def test_a_part_of_a_season_is_found_in_the_whole():
    winter = ["2019-10-05", "2019-12-20", "2020-01-10", "2020-03-01"]
    values = np.arange(4.0)[:, None, None, None] * np.ones((1, 1, 2, 2))
    stack = stack_of(values, winter, ["B8"])
    spring = object_series(stack.isel(time=[2, 3]), field(2, 2))
    assert list(spring) == ["B8_d009", "B8_d060"]
    found = object_series(stack, field(2, 2), like=spring)
    assert found.iloc[0].tolist() == [2, 3]
    assert found.attrs["dates"] == winter[2:]
    whole = object_series(stack, field(2, 2))
    later = object_series(stack.isel(time=[2, 3]), field(2, 2), like=list(whole)[2:])
    assert later.iloc[0].tolist() == [2, 3]
