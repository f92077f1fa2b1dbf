import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gkd.eo import GapFiller, Resample

nan = np.nan

DATES = np.array("2016-01-04", dtype="datetime64[D]") + np.cumsum(
    [0, 12, 1, 30, 3, 6, 6, 24, 5, 2, 9, 11]
)


@parametrize_with_checks([GapFiller(), GapFiller(n_channels=1)])
def test_estimator_checks(estimator, check):
    check(estimator)


def test_interpolates_as_pandas_does(gappy):
    filled = GapFiller().fit_transform(gappy)
    for before, after in zip(gappy, filled, strict=True):
        expected = pd.DataFrame(before).interpolate(method="linear", limit_direction="both")
        np.testing.assert_allclose(after, expected, rtol=1e-12)


def test_ends_take_the_nearest_observation():
    X = np.array([[nan, nan, 3.0, nan, 5.0, nan], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(GapFiller().fit_transform(X)[0], [3, 3, 3, 4, 5, 5])


def test_series_without_observation_takes_the_training_medians():
    X = np.array([[1.0, nan, 7.0], [2.0, nan, 8.0], [6.0, nan, 12.0], [nan, nan, nan]])
    filler = GapFiller().fit(X)
    # The middle date is never observed: the median of 1, 2, 6, 7, 8, 12.
    np.testing.assert_array_equal(filler.medians_[:, 0], [2.0, 6.5, 8.0])
    np.testing.assert_array_equal(filler.transform(X)[3], [2.0, 6.5, 8.0])


def test_medians_are_of_the_channel_that_is_missing(gappy):
    filler = GapFiller().fit(gappy)
    np.testing.assert_allclose(filler.medians_, np.nanmedian(gappy, axis=0))
    gappy[5, :, 1] = nan
    filled = filler.transform(gappy)
    np.testing.assert_array_equal(filled[5, :, 1], filler.medians_[:, 1])
    others = GapFiller().fit_transform(gappy[:, :, [0, 2]])
    np.testing.assert_array_equal(filled[5][:, [0, 2]], others[5])


def test_medians_come_from_the_training_rows_only(gappy):
    train, test = gappy[:30], gappy[30:].copy()
    test[0] = nan
    filled = GapFiller().fit(train).transform(1e6 * test)
    np.testing.assert_array_equal(filled[0], np.nanmedian(train, axis=0))


@pytest.mark.parametrize("order", ["C", "F"])
def test_leaves_observations_and_its_input_alone(gappy, order):
    given = np.asarray(gappy.reshape(40, 36), order=order)
    copy = given.copy()
    filled = GapFiller(n_channels=3).fit_transform(given)
    np.testing.assert_array_equal(given, copy)
    seen = ~np.isnan(given)
    np.testing.assert_array_equal(filled[seen], given[seen])
    assert np.isfinite(filled).all()
    again = GapFiller(n_channels=3).fit_transform(filled)
    assert again.tobytes() == filled.tobytes()


def test_float32_is_filled_to_float32_precision(gappy):
    filled = GapFiller().fit_transform(gappy.astype("f4"))
    assert filled.dtype == np.float32
    np.testing.assert_allclose(filled, GapFiller().fit_transform(gappy), atol=1e-6)


def test_single_date():
    np.testing.assert_array_equal(GapFiller().fit_transform([[1.0], [nan], [3.0]]), [[1], [2], [3]])


def test_dataframe_keeps_its_names(gappy):
    names = [f"{band}_d{day:03d}" for day in range(12) for band in ("VV", "VH", "angle")]
    frame = pd.DataFrame(gappy.reshape(40, 36), columns=names)
    filled = GapFiller(n_channels=3).set_output(transform="pandas").fit_transform(frame)
    assert list(filled.columns) == names


def test_in_a_pipeline(gappy):
    table, y = gappy.reshape(40, 36), np.arange(40.0)
    model = make_pipeline(GapFiller(n_channels=3), LinearRegression()).fit(table, y)
    assert model.predict(table).shape == (40,)


def test_channel_never_observed(gappy):
    gappy[:, :, 2] = nan
    with pytest.raises(ValueError, match=r"channel 2 \(of 3\).*Leave that channel out"):
        GapFiller().fit(gappy)


@pytest.mark.parametrize("kind", [str, "datetime64[ns]", "datetime64[D]"])
def test_gaps_are_filled_in_real_days(gappy, kind):
    filled = GapFiller(dates=DATES.astype(kind)).fit_transform(gappy)
    for before, after in zip(gappy, filled, strict=True):
        frame = pd.DataFrame(before, index=pd.DatetimeIndex(DATES))
        expected = frame.interpolate(method="time", limit_direction="both")
        np.testing.assert_allclose(after, expected, rtol=1e-12)
    in_days = GapFiller(dates=(DATES - DATES[0]).astype(float)).fit_transform(gappy)
    np.testing.assert_allclose(in_days, filled, rtol=1e-12)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (DATES[:5], r"dates has shape \(5,\). Give 12, one for each step"),
        (DATES[::-1], "dates are not in order"),
        (["spring"] * 12, "dates: .*Give dates such as 2016-01-12"),
        ([np.nan] * 12, "dates are not in order"),
    ],
)
def test_dates_that_are_none(gappy, dates, message):
    with pytest.raises(ValueError, match=message):
        GapFiller(dates=dates).fit(gappy)


def test_resample_interpolates_what_was_observed(gappy):
    gappy[7, :, 2] = nan
    to_dates = DATES[0] + np.array([-5, 0, 2, 12, 40, 52, 90, 200])
    resampled = Resample(DATES, to_dates).fit_transform(gappy)
    assert resampled.shape == (40, 8, 3)
    days, to_days = DATES.astype(float), to_dates.astype(float)
    for row in range(40):
        for channel in range(3):
            seen = ~np.isnan(gappy[row, :, channel])
            expected = np.full(8, nan)
            if seen.any():
                expected = np.interp(to_days, days[seen], gappy[row, seen, channel])
            np.testing.assert_allclose(resampled[row, :, channel], expected, rtol=1e-9)


def test_resample_as_a_table(gappy):
    names = [f"{band}_{date}" for date in DATES for band in ("VV", "VH", "VV_angle")]
    frame = pd.DataFrame(gappy.reshape(40, 36), columns=names)
    resample = Resample(DATES, ["2016-01-10", "2016-02-01"], n_channels=3)
    resampled = resample.set_output(transform="pandas").fit_transform(frame)
    assert list(resampled)[:4] == [
        "VV_2016-01-10",
        "VH_2016-01-10",
        "VV_angle_2016-01-10",
        "VV_2016-02-01",
    ]
    series = Resample(DATES, ["2016-01-10", "2016-02-01"]).fit_transform(gappy)
    np.testing.assert_array_equal(resampled, series.reshape(40, 6))
    in_days = Resample(range(12), [0.5, 7], n_channels=3).fit(frame)
    assert in_days.get_feature_names_out()[[0, 5]].tolist() == ["VV_d0.5", "VV_angle_d007"]


@pytest.mark.parametrize(
    ("dates", "to_dates", "message"),
    [
        ([12, 24, 36], ["2016-01-13"], "dates and to_dates are not of one kind"),
        (["2016-01-13", "2016-01-25", "2016-02-06"], [12, 18], "are not of one kind"),
        (["2016-01-13", "2016-01-25", "2016-02-06"], ["2017-01-13"], "all far outside of dates"),
        (
            [20, 32, 44],
            [2, 7],
            r"\(d002 ...\) lie all far outside of dates \(d020 to d044\)",
        ),
    ],
)
def test_dates_that_have_nothing_to_do_with_those_of_x_are_refused(dates, to_dates, message):
    with pytest.raises(ValueError, match=message):
        Resample(dates, to_dates).fit([[1.0, 2.0, 3.0]])


def test_a_date_shortly_before_the_first_takes_its_value():
    assert Resample([20, 32, 44], [8]).fit_transform([[1.0, 2.0, 3.0]]).tolist() == [[1.0]]
