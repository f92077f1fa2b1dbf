import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_gkd._common.labels import check_columns, check_rows, column_labels, read_channels

DATES = pd.to_datetime(["2016-01-12", "2016-01-24", "2016-02-05"])


@pytest.mark.parametrize(
    "labels",
    [
        pd.MultiIndex.from_product([["2016-01-12"], ["VV", "VH", "angle"]]),
        pd.Index([("VV", 1), ("VH", 1), ("VV", 2)], tupleize_cols=False),
        DATES,
        pd.Index([2016, 2017, 2018]),
        pd.Index([0.5, 1.5, np.nan]),
        pd.RangeIndex(3),
        pd.period_range("2016-01", periods=3, freq="M"),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_columns_are_compared_where_scikit_learn_does_not(labels):
    frame = pd.DataFrame(np.zeros((2, 3)), columns=labels)
    seen = column_labels(frame)
    check_columns(column_labels(frame.copy()), seen, "X_val")
    for other in (frame.iloc[:, ::-1], frame.iloc[:, [0, 2, 1]], frame.iloc[:, [0, 1, 1]]):
        with pytest.raises(ValueError, match=r"^X_val has other column labels than in fit"):
            check_columns(column_labels(other), seen, "X_val")


def test_columns_without_labels_contradict_none():
    names = pd.MultiIndex.from_product([["2016-01-12"], ["VV", "VH"]])
    named = column_labels(pd.DataFrame(np.zeros((2, 2)), columns=names))
    numbered = column_labels(pd.DataFrame(np.zeros((2, 2))))
    for labels, others in [(named, numbered), (named, None), (numbered, None)]:
        check_columns(labels, others, "X")
        check_columns(others, labels, "X")


def test_strings_are_left_to_scikit_learn():
    assert column_labels(pd.DataFrame({"VV": [1], "VH": [2]})) is None
    assert column_labels(pl.DataFrame({"VV": [1], "VH": [2]})) is None
    assert column_labels(np.zeros((2, 2))) is None


INDEX = pd.Index(["a", "b", "c"])
FIELDS = pd.MultiIndex.from_product([["a"], [1, 2, 3]])


@pytest.mark.parametrize(
    ("index", "other"),
    [
        (INDEX, INDEX[::-1]),
        (INDEX, pd.Index(["a", "b", "d"])),
        (pd.Index([7, 3, 5]), pd.Index([3, 5, 7])),
        (pd.Index([2, 0, 1]), pd.RangeIndex(3)),
        (pd.RangeIndex(3)[::-1], pd.RangeIndex(3)),
        (DATES, DATES[[0, 2, 1]]),
        (FIELDS, FIELDS[[0, 2, 1]]),
        (pd.Index(["a", 1, None]), pd.Index([1, "a", None])),
        (pd.Index(["a", "a", "b"]), pd.Index(["a", "b", "a"])),
    ],
)
def test_rows_that_contradict_are_refused(index, other):
    X, y = pd.DataFrame({"VV": [1, 2, 3]}, index=index), pd.Series([0, 1, 0], index=other)
    with pytest.raises(ValueError, match=r"^X and y are paired by position although"):
        check_rows(X=X, groups=None, y=y)
    with pytest.raises(ValueError, match=r"^y and X_priv are paired by position although"):
        check_rows(X=X.to_numpy(), y=y, X_priv=X)


def test_the_remedy_of_another_order_puts_it_right():
    X, X_priv = pd.DataFrame({"VV": [1, 2, 3]}, index=INDEX), pd.DataFrame(index=INDEX[::-1])
    with pytest.raises(ValueError, match=r"in one order, X_priv\.loc\[X\.index\]; or") as error:
        check_rows(X=X, X_priv=X_priv)
    assert "row 0 of X is 'a' and that of X_priv is 'c'" in str(error.value)
    check_rows(X=X, X_priv=X_priv.loc[X.index])
    check_rows(X=X.to_numpy(), X_priv=X_priv)


def test_rows_that_do_not_contradict_are_taken():
    X = pd.DataFrame({"VV": [1, 2, 3]}, index=INDEX)
    check_rows(X=X, X_priv=X.to_numpy(), y=[1, 2, 3], groups=None)
    check_rows(X=X, X_priv=pl.DataFrame(X), y=pd.Series([1, 2, 3], index=INDEX.astype(object)))
    check_rows(X=X.set_axis(range(3)), y=pd.Series([1, 2, 3], index=pd.RangeIndex(7, 10)))
    check_rows(X=X, y=pd.Series([1, 2, 3]))  # without labels of its own
    check_rows(X=X, X_priv=X[:2])  # whose number is refused elsewhere


def named(dates, bands="VV VH"):
    return [f"{band}_{date}" for date in dates.split() for band in bands.split()]


@pytest.mark.parametrize(
    ("names", "n_channels"),
    [
        (named("d012 d024 d036"), 2),
        (named("d012 d024", "VV"), 1),
        (named("d012", "B2 B3 B4"), 3),
        (named("d0.5 d7 d100.5", "VV_asc VH_asc angle"), 3),
        (named("d330 d342 d354 d001 d013"), 2),
        (named("d-10 d002 d014"), 2),
        (named("2016-12-24 2017-01-05", "VV VH"), 2),
        (["VV_2016-12-24T06:00:00", "VV_2016-12-24T18:00:00"], 1),
    ],
)
def test_channels_are_read_off_names(names, n_channels):
    assert read_channels(names, None, "X", "n_channels") == n_channels
    assert read_channels(names, n_channels, "X", "n_channels") == n_channels
    with pytest.raises(ValueError, match=rf"^X_val has {n_channels} channels .*n_channels=7\."):
        read_channels(names, 7, "X_val", "n_channels")


@pytest.mark.parametrize("n_channels", [None, 1, 2])
@pytest.mark.parametrize("names", [None, ["a", "b"], ["VV_12", "VH_12"]])
def test_other_names_tell_no_channels(names, n_channels):
    assert read_channels(names, n_channels, "X", "n_channels") == n_channels


def test_a_column_of_no_band_beside_those_of_bands_is_told():
    names = ["VV_d012", "area", "VH_d012"]
    assert read_channels(names, 1, "X", "n_channels") == 1
    with pytest.warns(UserWarning, match=r"X has columns of .*'area': .* or set n_channels=1"):
        assert read_channels(names, None, "X", "n_channels") is None


@pytest.mark.parametrize(
    ("names", "wrong", "right"),
    [
        (["VV_d012", "VV_d024", "VH_d012", "VH_d024"], "VV_d024", "VH_d012"),
        (["VV_d012", "VH_d012", "VH_d024", "VV_d024"], "VH_d024", "VV_d024"),
        (named("d012 d036 d024"), "VV_d036", "VV_d024"),
        (named("d036 d024 d012"), "VV_d036", "VV_d012"),
        (named("2017-01-05 2016-12-24"), "VV_2017-01-05", "VV_2016-12-24"),
        (named("d1 d2 d10 d3", "VV"), "VV_d10", "VV_d3"),
    ],
)
def test_columns_that_are_not_time_major_are_refused(names, wrong, right):
    message = rf"^The columns of X_priv are not time-major: '{wrong}' stands where '{right}' "
    for n_channels in (None, len({name.rpartition("_")[0] for name in names})):
        with pytest.raises(ValueError, match=message):
            read_channels(names, n_channels, "X_priv", "n_channels_priv")


@pytest.mark.parametrize("names", [["VV_d012", "VH_d012", "VV_d024"], ["VV_d012", "VV_d012"]])
def test_bands_that_miss_dates_are_no_series_of_channels(names):
    assert read_channels(names, None, "X", "n_channels") is None
    assert read_channels(names, 1, "X", "n_channels") == 1
    with pytest.raises(ValueError, match=r"^X has not each of its . bands .* n_channels at None"):
        read_channels(names, 2, "X", "n_channels")
