import os
import pickle

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
xarray = pytest.importorskip("xarray", reason="needs the extra geo")
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

from sklearn_gkd.eo import GapFiller, Resample  # noqa: E402
from sklearn_gkd.eo.raster import object_series, predict_map, resample_stack  # noqa: E402
from sklearn_gkd.eo.raster._identity import fingerprint_of_pixels, source_files  # noqa: E402


def dated(stack, *dates):
    return stack.assign_coords(time=np.array(dates, "M8[ns]"))


def series(stack):
    """Return the pixels (n, T, C) of a stack."""
    return stack.to_numpy().transpose(2, 3, 0, 1).reshape(-1, *stack.shape[:2])


def day(stack):
    return np.datetime_as_string(stack["time"].to_numpy(), "D").tolist()


TO_DATES = ["2016-01-01", "2016-01-04", "2016-01-10", "2016-02-20", "2016-04-01", "2016-05-05"]


def test_pixels_are_interpolated_as_tables_are(stack, scene, monkeypatch):
    seen = np.random.default_rng(0).random(stack.shape) < 0.6
    stack = stack.where(xarray.DataArray(seen, dims=stack.dims))
    expected = Resample(scene.dates, TO_DATES).fit_transform(series(stack))
    assert np.isnan(expected).any()
    for n_values in (2**22, 1):
        monkeypatch.setattr("sklearn_gkd.eo.raster._resample.VALUES", n_values)
        for given in (stack, stack.compute(), stack.chunk(x=7, y=5), stack.transpose("y", ...)):
            resampled = resample_stack(given, TO_DATES)
            assert resampled.chunks is not None
            assert resampled.dtype == np.float32
            assert resampled.dims == ("time", "band", "y", "x")
            np.testing.assert_array_equal(series(resampled), expected)
            assert day(resampled) == TO_DATES
            assert resampled.rio.crs == stack.rio.crs
            assert resampled.rio.transform() == stack.rio.transform()
    first = resampled[1].to_numpy()  # on a date of the stack, where it has one
    observed = np.isfinite(stack[0].to_numpy())
    np.testing.assert_array_equal(first[observed], stack[0].to_numpy()[observed])


def test_the_time_of_the_day_does_not_matter(stack, scene):
    in_evenings = stack.assign_coords(time=stack.time + np.timedelta64(17, "h"))
    np.testing.assert_array_equal(
        resample_stack(in_evenings, TO_DATES), resample_stack(stack, TO_DATES)
    )
    np.testing.assert_array_equal(
        resample_stack(in_evenings, in_evenings["time"]), resample_stack(stack, scene.dates)
    )


@pytest.mark.parametrize(
    ("of_model", "of_stack"),
    [
        (["2016-01-04", "2016-01-16", "2016-02-20", "2016-05-01"],
         ["2017-01-02", "2017-01-26", "2017-03-01", "2017-05-06"]),
        # Over New Year, and a stack that begins in the year before that of the table.
        (["2015-11-04", "2015-12-30", "2016-01-20", "2016-03-01"],
         ["2016-11-02", "2016-12-21", "2017-01-26", "2017-03-04"]),
        (["2016-01-02", "2016-01-16", "2016-02-20", "2016-05-01"],
         ["2016-12-28", "2017-01-26", "2017-03-01", "2017-05-06"]),
        (["2015-12-30", "2016-01-16", "2016-02-20", "2016-05-01"],
         ["2017-01-02", "2017-01-26", "2017-03-01", "2017-05-06"]),
    ],
)  # fmt: skip
def test_another_year_takes_the_days_of_a_model(stack, fields, of_model, of_stack):
    table = object_series(dated(stack, *of_model), fields)
    other = dated(stack, *of_stack)
    first = np.array(of_model, "M8[D]")
    wanted = first - first[0].astype("M8[Y]").astype("M8[D]")  # days of the season
    with pytest.raises(ValueError, match="no acquisition of its own within 6 days"):
        object_series(other, fields, like=table)
    years = round((np.datetime64(of_stack[0]) - first[0]).astype(int) / 365.25)
    to_dates = ((first[0].astype("M8[Y]") + years).astype("M8[D]") + wanted).astype(str)
    expected = Resample(of_stack, to_dates).fit_transform(series(other))
    for dates in (table, table.columns, list(table), wanted.astype(int), to_dates):
        resampled = resample_stack(other, dates)
        assert day(resampled) == to_dates.tolist()
        np.testing.assert_array_equal(series(resampled), expected)
        assert list(object_series(resampled, fields, like=table)) == list(table)
    of_objects = object_series(resample_stack(other, table), fields, like=table, average="db")
    both = Resample(of_stack, to_dates, n_channels=2).fit_transform(
        object_series(other, fields, average="db").to_numpy()
    )
    complete = [name for name in fields.index if name not in ("askew", "with a hole in the data")]
    rows = fields.index.isin(complete)
    np.testing.assert_allclose(of_objects[rows], both[rows], rtol=1e-5)


def test_a_map_of_another_year(stack, later, fields, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    table = object_series(stack, fields).dropna()
    y = fields.crop.loc[table.index]
    forest = RandomForestClassifier(5, random_state=0).fit(table, y)
    moved = later.assign_coords(time=later.time + np.array([0, 20, 10, 3], "m8[D]"))
    with pytest.raises(ValueError, match="no acquisition of its own"):
        predict_map(forest, moved, tmp_path / "a.tif", progress=False)
    resampled = resample_stack(moved, forest.feature_names_in_)
    with pytest.warns(UserWarning, match="fitted on named columns"):
        predict_map(forest, resampled, tmp_path / "a.tif", progress=False)
    pixels = series(resampled).reshape(-1, 8)
    complete = np.isfinite(pixels).all(axis=1)
    with rasterio.open(tmp_path / "a.tif") as file:
        found = file.read(1).ravel()
    expected = forest.predict(pd.DataFrame(pixels[complete], columns=table.columns))
    np.testing.assert_array_equal(forest.classes_[found[complete] - 1], expected)
    assert (found[~complete] == 0).all()
    pipeline = make_pipeline(GapFiller(), forest).fit(table, y)
    with pytest.warns(UserWarning, match="fitted on named columns"):
        predict_map(pipeline, resampled, tmp_path / "b.tif", progress=False)


def test_masked_pixels_are_gaps(stack, scene):
    cloudy = np.random.default_rng(0).random((4, 50, 40)) < 0.4
    cloudy = xarray.DataArray(cloudy, dims=("time", "y", "x"))
    scl = xarray.full_like(stack.isel(band=0, drop=True), 4).where(~cloudy, 9).astype("f4")
    with_mask = xarray.concat([stack, scl.expand_dims(band=["SCL"])], "band")
    clear = stack.where(~cloudy) + 1
    np.testing.assert_array_equal(
        resample_stack(with_mask, TO_DATES, mask="SCL", offset=1), resample_stack(clear, TO_DATES)
    )
    with pytest.raises(ValueError, match=r"SCL holds classes.*Give mask='SCL'"):
        resample_stack(with_mask, TO_DATES)


def test_resampled_pixels_are_told_by_their_files(stack, paths):
    resampled = resample_stack(stack, TO_DATES)
    assert source_files(resampled) == {path.resolve() for path in paths}
    first = fingerprint_of_pixels(resampled, 16)
    assert fingerprint_of_pixels(resample_stack(stack, TO_DATES), 16) == first
    assert fingerprint_of_pixels(pickle.loads(pickle.dumps(resampled)), 16) == first
    assert fingerprint_of_pixels(resample_stack(stack, TO_DATES[:4]), 16) != first
    os.utime(paths[0], (1, 1))
    assert fingerprint_of_pixels(resampled, 16) != first


def test_dates_that_a_stack_does_not_cover(stack):
    for dates, message in (
        (
            ["2017-01-10", "2017-02-01"],
            r"from 2016-01-04 to 2016-05-01, and 2017-02-01 is 276 days",
        ),
        (["2015-12-20", "2016-02-01"], "2015-12-20 is 15 days outside.* greater tolerance"),
        ([3, 200], "2016-07-19 is 79 days outside"),
        (["VV_d003", "VV_d200"], "2016-07-19 is 79 days outside"),
        (["2016-02-01", "2016-01-10"], "dates are not in order"),
        (["2016-02-01T05:00", "2016-02-01T17:00"], "2016-02-01 .entry 1. repeats"),
        ([3.5, 20], r"dates has 3\.5\. Give whole days"),
        (["VV", "VH"], "dates: 'VV' is not a date"),
        ([], r"dates has shape \(0,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            resample_stack(stack, dates)
    assert day(resample_stack(stack, ["2015-12-20"], tolerance=15)) == ["2015-12-20"]
    alone = stack.isel(time=[0])
    before = resample_stack(alone, ["2015-12-20"], tolerance=15)
    np.testing.assert_array_equal(before, alone)
