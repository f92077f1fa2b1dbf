import datetime

import numpy as np
import pandas as pd
import pytest

from sklearn_gkd.eo import GapFiller, Resample
from sklearn_gkd.eo._dates import as_dates, as_days

nan = np.nan


@pytest.mark.parametrize(
    "dates",
    [
        ["2020-01-25", "2020-01-31", "2020-02-06"],
        ["20200125", "20200131", "20200206"],
        [20200125, 20200131, 20200206],
        np.array([20200125, 20200131, 20200206], dtype="uint32"),
        [20200125.0, 20200131.0, 20200206.0],
        [b"20200125", b"20200131", b"20200206"],
        np.array(["2020-01-25", "2020-01-31", "2020-02-06"], dtype="M8[D]"),
        pd.to_datetime(["2020-01-25", "2020-01-31", "2020-02-06"]),
        pd.Series(["20200125", "20200131", "20200206"], index=[5, 6, 7]),
        pd.to_datetime(["2020-01-25T12", "2020-01-31T12", "2020-02-06T12"]).tz_localize("UTC"),
        [datetime.date(2020, 1, 25), datetime.date(2020, 1, 31), datetime.date(2020, 2, 6)],
        ["20200125T054123", "20200131T054123Z", "2020-02-06T05:41:23Z"],
        ["2020-01-25T05:41:23.125+02:00", "2020-01-31 03:41:23", "2020-02-06T03:41"],
        [25, 31, 37],
        ["20200125", datetime.date(2020, 1, 31), 20200206],
    ],
)
def test_six_days_apart_however_they_are_written(dates):
    filled = GapFiller(dates=dates).fit_transform([[0.0, nan, 1.0]])
    assert filled[0, 1] == pytest.approx(0.5, abs=1e-3)
    if np.asarray(dates).dtype.kind != "i" or max(dates) > 366:
        found = as_dates(dates, "dates").astype("M8[D]").astype(str).tolist()
        assert found == ["2020-01-25", "2020-01-31", "2020-02-06"]


def test_a_month_is_its_first_day():
    assert as_days(["2020-01", "2020-02", "2020-03"], "dates").tolist() == [18262, 18293, 18322]


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["20200101", "20200113", "20200113"], r"2020-01-13 \(entry 2\) repeats 2020-01-13"),
        ([20200113, 20200101], r"2020-01-01 \(entry 1\) comes before 2020-01-13 \(entry 0\)"),
        ([1, 5, 3], r"not in order: 3 \(entry 2\) comes before 5 \(entry 1\)"),
        ([1, 5, 5], r"5 \(entry 2\) repeats 5"),
        ([20200132], "20200132 is not a date"),
        ([12, 20200113], "12 is not a date"),
        (["2020013"], "'2020013' is not a date"),
        ([2016361, 2017004], r"2016361 and the others look like YYYYDDD.*format='%Y%j'"),
        ([201612, 201701], r"201612 and the others look like YYYYMM, .*format='%Y%m'"),
        (["2020"], "'2020' is not a date"),
        (["0", "12"], "'0' is not a date"),
        (["13/01/2020"], "'13/01/2020' is not a date"),
        (["2020-13-01"], "'2020-13-01' is not a date: .* Give dates such as"),
        (np.array(["20200113"], dtype="M8[D]"), "20200113-01-01 lies outside of 1900"),
        ([None], "None is not a date"),
        (["2020-01-01", pd.NaT], "entry 1 is NaT"),
        ([3.0, nan], "entry 1 is nan"),
        ("2020-01-01", r"dates has shape \(\)"),
        ([], r"dates has shape \(0,\)"),
    ],
)
def test_what_is_no_date_is_named(dates, message):
    with pytest.raises(ValueError, match=message):
        as_days(dates, "dates")


@pytest.mark.parametrize("dates", [[0, 12], [18262.0], [202001]])
def test_numbers_of_days_have_no_date(dates):
    with pytest.raises(ValueError, match="is not a date"):
        as_dates(dates, "dates")


def test_names_of_dates_are_those_of_their_day():
    X = np.zeros((1, 3))
    for to_dates in (
        [20200131, 20200201],
        ["20200131", "20200201"],
        pd.to_datetime(["2020-01-31", "2020-02-01"]),
    ):
        resample = Resample([20200125, 20200131, 20200206], to_dates).fit(X)
        assert resample.get_feature_names_out(["a_0", "a_1", "a_2"]).tolist() == [
            "a_2020-01-31",
            "a_2020-02-01",
        ]
