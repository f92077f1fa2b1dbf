import numpy as np
import pandas as pd
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
from shapely.geometry import Point, Polygon, box  # noqa: E402

from sklearn_gkd import GKDClassifier  # noqa: E402
from sklearn_gkd.eo.raster import (  # noqa: E402
    object_series,
    open_stack,
    training_set,
)


def mean_of_pixels(image, shape, grid):
    """Average an image (height, width) over a polygon, pixel by pixel."""
    total = weight = 0.0
    for (row, column), value in np.ndenumerate(image):
        x, y = grid @ (column, row)
        share = box(x, y - 10, x + 10, y).intersection(shape).area
        if share and np.isfinite(value):
            total, weight = total + share * value, weight + share
    return total / weight


def test_a_part_of_a_stack_has_the_same_objects(stack, fields):
    part = stack.isel(x=slice(20, None), y=slice(2, 49))
    east = fields.loc[["east"]]
    pd.testing.assert_frame_equal(object_series(part, east), object_series(stack, east))


@pytest.mark.parametrize("average", ["power", "db"])
def test_objects_are_means_of_pixels_by_their_share(stack, fields, average, scene):
    table = object_series(stack, fields, average=average)
    assert list(table)[:3] == ["VV_d003", "VH_d003", "VV_d015"]
    assert table.attrs["dates"] == scene.dates
    assert table.index.equals(fields.index)
    images = scene.images.reshape(8, *scene.classes.shape).astype(float)
    for parcel, shape in fields.geometry.items():
        for name, image in zip(table, images, strict=True):
            if average == "power":
                expected = 10 * np.log10(mean_of_pixels(10 ** (image / 10), shape, scene.grid))
            else:
                expected = mean_of_pixels(image, shape, scene.grid)
            assert table.loc[parcel, name] == pytest.approx(expected, abs=1e-5)


def test_polygons_of_another_crs_and_stacks_in_memory_make_no_difference(stack, fields):
    table = object_series(stack, fields)
    pd.testing.assert_frame_equal(object_series(stack.compute(), fields), table)
    in_degrees = object_series(stack, fields.to_crs(4326))
    np.testing.assert_allclose(in_degrees, table, atol=1e-3)
    pd.testing.assert_frame_equal(object_series(stack, fields.geometry), table)


def test_indices_are_computed_in_each_pixel(paths, fields, scene):
    stack = open_stack(paths, scene.dates, ["B04", "B08"])
    stack = 3000 + 100 * stack
    table = object_series(stack, fields, indices=["NDVI"], offset=-1000)
    red, nir = np.moveaxis(2000 + 100 * scene.images.astype(float), 1, 0)
    assert list(table)[:4] == ["B04_d003", "B08_d003", "NDVI_d003", "B04_d015"]
    for parcel in ("askew", "with a hole in the data"):
        shape = fields.geometry[parcel]
        assert table.loc[parcel, "B08_d050"] == pytest.approx(
            mean_of_pixels(nir[2], shape, scene.grid), rel=1e-5
        )
        expected = mean_of_pixels((nir[2] - red[2]) / (nir[2] + red[2]), shape, scene.grid)
        assert table.loc[parcel, "NDVI_d050"] == pytest.approx(expected, rel=1e-4)


def test_polygons_without_pixels_are_reported_and_kept(stack, fields):
    left, top = 500_000, 4_900_000
    bowtie = Polygon([(left, top), (left + 50, top - 50), (left + 50, top), (left, top - 50)])
    shapes = [Polygon(), bowtie, Point(0, 0).buffer(50), None, fields.geometry.iloc[0]]
    polygons = geopandas.GeoDataFrame(
        geometry=shapes, index=["hollow", "bowtie", "far", "lost", "good"], crs=32631
    )
    with pytest.warns(UserWarning, match=r"polygons? (are|is) ") as warned:
        table = object_series(stack, polygons)
    messages = [str(warning.message) for warning in warned]
    assert any("2 polygons are empty: hollow, lost." in message for message in messages)
    assert any("1 polygon is invalid" in message and "bowtie" in message for message in messages)
    assert any("polygons.set_geometry(polygons.make_valid())" in message for message in messages)
    assert any("1 polygon is outside of the stack: far." in message for message in messages)
    assert table.index.tolist() == ["hollow", "bowtie", "far", "lost", "good"]
    assert table.isna().all(axis=1).tolist() == [True, True, True, True, False]
    np.testing.assert_allclose(table.loc["good"], object_series(stack, fields).iloc[0])


def test_columns_of_like_keep_their_order(stack, fields):
    table = object_series(stack, fields)
    by_band = sorted(table)
    assert by_band[:2] == ["VH_d003", "VH_d015"]
    for names in (by_band, ["VH_d015"], ["VV_d050", "VH_d003"]):
        pd.testing.assert_frame_equal(object_series(stack, fields, like=names), table[names])


def test_errors_of_polygons(stack, fields):
    with pytest.raises(ValueError, match="polygons have no CRS"):
        object_series(stack, fields.set_crs(None, allow_override=True))
    with pytest.raises(ValueError, match="several rows named 'east'"):
        object_series(stack, fields.iloc[[5, 5]])
    with pytest.raises(ValueError, match="'polygons' parameter"):
        object_series(stack, pd.DataFrame(fields))


def test_next_year_takes_the_columns_of_this_one(stack, fields, later):
    first = object_series(stack, fields)
    assert list(object_series(later, fields)) != list(first)
    second = object_series(later, fields, like=first)
    np.testing.assert_array_equal(second, first)
    assert list(second) == list(first)
    assert second.attrs["dates"][0] == "2017-01-07"
    only_vh = [name for name in first if name.startswith("VH")]
    np.testing.assert_array_equal(object_series(later, fields, like=only_vh), first[only_vh])
    with pytest.raises(ValueError, match=r"no acquisition of its own within 2 days of day 003"):
        object_series(later, fields, like=first, tolerance=2)
    with pytest.raises(ValueError, match="no band HH"):
        object_series(later, fields, like=["HH_d003"])
    with pytest.raises(ValueError, match="'x0' is not the name of a band and a day"):
        object_series(later, fields, like=["x0"])


def test_what_an_estimator_is_fitted_on(stack, fields):
    radar = object_series(stack, fields)
    optical = object_series(stack, fields).iloc[[5, 0, 2]]
    radar.loc["askew"] = np.nan
    fields.loc[["east", "partly outside"], "crop"] = None
    with pytest.warns(UserWarning, match=r"2 polygons are without radar.*: askew, partly outside."):
        data = training_set(fields.assign(block=range(6)), radar, optical, y="crop", groups="block")
    names = ["aligned", "with a hole in the data", "smaller than a pixel"]
    assert data.X.index.tolist() == data.X_priv.index.tolist() == names
    assert data.y.tolist() == ["oats", "rye", "oats"]
    assert data.groups.tolist() == [0, 2, 4]
    assert data.X_priv.isna().all(axis=1).tolist() == [False, False, True]
    pd.testing.assert_frame_equal(data.X_unlabeled, radar.loc[["east"]])
    pd.testing.assert_frame_equal(data.X_priv_unlabeled, optical.loc[["east"]])
    whole = training_set(fields.assign(crop="oats"), object_series(stack, fields), y="crop")
    assert whole.groups is whole.X_priv is whole.X_unlabeled is whole.X_priv_unlabeled is None
    with pytest.warns(UserWarning, match=r"2 polygons .* with neither a class nor optical"):
        alone = training_set(fields, object_series(stack, fields), y="crop")
    assert alone.X_unlabeled is None


@pytest.mark.parametrize("dtype", [None, "Int64", "Int16"])
def test_integer_classes_stay_integers_beside_missing_ones(stack, fields, dtype):
    table = object_series(stack, fields)
    codes = pd.Series([211, 311, 211, None, 311, 211], index=fields.index, dtype=dtype)
    y = training_set(fields.assign(crop=codes), table, table, y="crop").y
    assert y.dtype == ("int16" if dtype == "Int16" else "int64")
    assert y.tolist() == [211, 311, 211, 311, 211]
    surveyed = fields.assign(crop=codes.astype(float)).dropna()
    assert training_set(surveyed, table, table, y="crop").y.dtype == "int64"
    levels = codes.astype(float) + 0.5
    assert training_set(fields.assign(crop=levels), table, table, y="crop").y[0] == 211.5


@pytest.mark.parametrize("classes", [[True, False], [11, 12]])
def test_classes_of_a_column_with_gaps_are_of_their_own_dtype(stack, fields, classes):
    table = object_series(stack, fields)
    column = pd.Series([*classes, None, *classes, None], dtype=object, index=fields.index)
    y = training_set(fields.assign(crop=column), table, table, y="crop").y
    assert y.dtype == np.asarray(classes).dtype


def test_tables_of_other_objects_are_refused(stack, fields):
    table = object_series(stack, fields)
    other = table.set_index(table.index.astype(str) + "_")
    with pytest.raises(ValueError, match="polygons and optical have no name in common"):
        training_set(fields, table, other, y="crop")
    with pytest.raises(ValueError, match="radar has several rows named"):
        training_set(fields, pd.concat([table, table]), y="crop")


def test_a_crs_of_no_place_is_named(stack, fields):
    local = stack.rio.write_crs('LOCAL_CS["unnamed",UNIT["metre",1]]')
    with pytest.raises(ValueError, match=r"polygons, of .*, cannot be brought to the CRS of"):
        object_series(local, fields)


def test_a_training_set_is_what_fit_takes(stack, fields, small):
    table = object_series(stack, fields)
    fields.loc["east", "crop"] = None
    data = training_set(fields, table, table, y="crop")
    clf = GKDClassifier(small, small, validation_fraction=0, random_state=0).fit(**data)
    other = GKDClassifier(small, small, validation_fraction=0, random_state=0)
    other.fit(data.X, data.y, data.X_priv, X_unlabeled=table.loc[["east"]],
              X_priv_unlabeled=table.loc[["east"]])  # fmt: skip
    np.testing.assert_array_equal(clf.predict_proba(table), other.predict_proba(table))


def test_warnings_are_at_the_line_that_called(stack, fields):
    hollow = fields.assign(geometry=Polygon())
    table = object_series(stack, fields)

    def series():
        return object_series(stack, hollow)

    def training():
        return training_set(fields, table * np.nan, y="crop")

    for call in (series, training, lambda: series()):
        with pytest.warns(UserWarning, match="6 polygons are") as warned:
            call()
        line = (training if call is training else series).__code__.co_firstlineno + 1
        places = [(entry.filename, entry.lineno) for entry in warned if "6" in str(entry.message)]
        assert places == [(__file__, line)]
