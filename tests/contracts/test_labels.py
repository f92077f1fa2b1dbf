"""Tables are compared by the labels of their columns, and paired rows by those of their index."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices
from sklearn_gkd.evaluation import privileged_gain

pytestmark = pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")

NAMES = {
    "MultiIndex": pd.MultiIndex.from_product([pd.date_range("2016-01", periods=6), ["VV", "VH"]]),
    "dates": pd.date_range("2016-01-12", periods=12),
    "years": pd.Index(range(2005, 2017)),
    "positions": pd.RangeIndex(12),
    "tuples": pd.Index([(band, day) for day in range(6) for band in "ab"], tupleize_cols=False),
}


@pytest.fixture(params=NAMES)
def frame(request, series):
    return pd.DataFrame(series.X.reshape(120, 12), columns=NAMES[request.param])


@pytest.fixture
def clf(small):
    small.set_params(max_epochs=1)
    return GKDClassifier(small, small, n_channels=2, n_channels_priv=2, random_state=0)


def test_columns_in_another_order_are_refused(series, clf, frame):
    y, other = series.y, frame.iloc[:, [1, 0, *range(2, 12)]]
    clf.fit(frame, y, X_priv=frame)
    expected = clf.predict_proba(frame.to_numpy())
    np.testing.assert_array_equal(clf.predict_proba(frame.iloc[::-1])[::-1], expected)
    calls = {
        "X": lambda: clf.predict(other),
        "X_val": lambda: clone(clf).fit(frame, y, X_priv=frame, X_val=other, y_val=y),
        "X_unlabeled": lambda: clone(clf).fit(
            frame, y, X_priv=frame, X_unlabeled=other, X_priv_unlabeled=frame
        ),
        "X_priv": lambda: clf.teacher_predict_proba(frame, other),
        "X_priv_unlabeled": lambda: clone(clf).fit(
            frame, y, X_priv=frame, X_unlabeled=frame, X_priv_unlabeled=other
        ),
        "X_priv_val": lambda: clone(clf).fit(
            frame, y, X_priv=frame, X_val=frame, y_val=y, X_priv_val=other
        ),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^{name} has other column labels than in fit"):
            call()


def test_a_fit_forgets_the_labels_of_the_one_before(series, clf, frame):
    clf.fit(frame, series.y, X_priv=frame).fit(frame.to_numpy(), series.y, X_priv=series.X)
    clf.predict(frame.iloc[:, ::-1])
    with pytest.raises(ValueError, match="y holds one class"):
        clf.fit(frame, np.zeros(120), X_priv=frame)
    clf.predict(frame.iloc[:, ::-1])


def test_transformers_compare_columns(frame):
    for transformer in (GapFiller(2), SpectralIndices(bands=["B4", "B8"], n_channels=2)):
        transformer.fit(frame).transform(frame)
        with pytest.raises(ValueError, match="X has other column labels than in fit"):
            transformer.transform(frame.iloc[:, ::-1])


# Rows


@pytest.fixture
def tables(series):
    index = [f"field {i}" for i in range(120)]
    return {
        "X": pd.DataFrame(series.X.reshape(120, 12), index=index),
        "y": pd.Series(series.y, index=index),
        "X_priv": pd.DataFrame(series.X_priv.reshape(120, 24), index=index),
        "groups": pd.Series(series.groups, index=index),
    }


@pytest.mark.parametrize("name", ["X", "y", "X_priv", "groups"])
def test_rows_whose_labels_contradict_are_refused(tables, clf, name):
    clone(clf).fit(**tables)
    for other in (tables[name][::-1], tables[name].rename(index="{} of last year".format)):
        call = {**tables, name: other}
        with pytest.raises(ValueError, match=rf"\b{name}\b.* paired by position although"):
            clf.fit(**call)
        with pytest.raises(ValueError, match=rf"\b{name}\b.* paired by position although"):
            privileged_gain(clf, **call)
        clf.fit(**{key: value.to_numpy() for key, value in call.items()})


@pytest.mark.parametrize(
    "name", ["X_unlabeled", "X_priv_unlabeled", "X_val", "y_val", "X_priv_val"]
)
def test_further_rows_whose_labels_contradict_are_refused(tables, clf, name):
    call = {key: table for key, table in tables.items() if key != "groups"}
    call |= {"X_unlabeled": call["X"], "X_priv_unlabeled": call["X_priv"]}
    call |= {"X_val": call["X"], "y_val": call["y"], "X_priv_val": call["X_priv"]}
    call[name] = call[name][::-1]
    with pytest.raises(ValueError, match=rf"\b{name}\b.* paired by position although"):
        clf.fit(**call)


def test_a_series_classifier_and_a_teacher_compare_rows(tables, clf, small):
    X, y, X_priv = tables["X"], tables["y"], tables["X_priv"]
    with pytest.raises(ValueError, match="X and y are paired by position"):
        SeriesClassifier(small).fit(X, y[::-1])
    with pytest.raises(ValueError, match="X_val and y_val are paired by position"):
        SeriesClassifier(small).fit(X, y, X_val=X, y_val=y[::-1])
    with pytest.raises(ValueError, match="X and X_priv are paired by position"):
        clf.fit(X, y, X_priv=X_priv).teacher_predict_proba(X, X_priv[::-1])


def test_folds_of_numbered_tables_agree(tables, clf):
    X, y, X_priv = (tables[name].reset_index(drop=True) for name in ("X", "y", "X_priv"))
    scores = cross_val_score(clf, X, y, params={"X_priv": X_priv}, cv=2, error_score="raise")
    expected = cross_val_score(
        clf, X.to_numpy(), y.to_numpy(), params={"X_priv": X_priv.to_numpy()}, cv=2
    )
    np.testing.assert_array_equal(scores, expected)


# Pipelines that resample rows


def test_a_sampler_in_a_pipeline_is_refused(tables, clf):
    X, y, X_priv = tables["X"], tables["y"], tables["X_priv"]
    pipeline = make_pipeline(RandomUnderSampler(random_state=0), clf)
    with pytest.raises(
        ValueError, match=r"X_priv has 120 rows and X has 90\..* resample both before"
    ):
        pipeline.fit(X, y, gkdclassifier__X_priv=X_priv)
    balanced = np.r_[0:30, 50:80, 90:120]  # of which as many remain, in another order
    X, y, X_priv = X.iloc[balanced], y.iloc[balanced], X_priv.iloc[balanced]
    shuffling = RandomUnderSampler(random_state=0, replacement=True)
    with pytest.raises(ValueError, match="X and X_priv are paired by position although"):
        make_pipeline(shuffling, clf).fit(X, y, gkdclassifier__X_priv=X_priv)


def test_resampling_both_before_keeps_the_pairs(series, clf):
    sampler = RandomUnderSampler(random_state=0)
    rows, y = sampler.fit_resample(np.arange(120)[:, None], series.y)
    rows = rows.ravel()
    assert sorted(np.unique(y, return_counts=True)[1]) == [30, 30, 30]
    np.testing.assert_array_equal(series.y[rows], y)
    clf.set_params(n_channels=None, n_channels_priv=None)
    clf.fit(series.X[rows], y, X_priv=series.X_priv[rows])


# Tables that are named by band and date


def named(X, bands):
    names = [f"{band}_d{day:03d}" for day in range(12, 84, 12) for band in bands]
    return pd.DataFrame(X.reshape(len(X), -1), columns=names)


RADAR, OPTICAL = ["VV", "VH"], ["B2", "B3", "B4", "B8"]


@pytest.fixture
def named_tables(series):
    return named(series.X, RADAR), named(series.X_priv, OPTICAL)


SEES_POLARS = parse_version(sklearn.__version__) >= parse_version("1.9")


@pytest.mark.parametrize(
    "library",
    [
        pd.DataFrame,
        pytest.param(
            pl.from_pandas,
            marks=pytest.mark.skipif(
                not SEES_POLARS, reason="older versions of scikit-learn do not see polars' names"
            ),
        ),
    ],
)
def test_n_channels_follow_from_names(series, clf, named_tables, library):
    X, X_priv = map(library, named_tables)
    clf.set_params(n_channels=None, n_channels_priv=None)
    by_names = clone(clf)
    pairs = {"X_val": series.X, "y_val": series.y, "X_priv_val": series.X_priv}
    clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs)
    expected = clf.predict_proba(series.X)
    by_names.fit(X, series.y, X_priv=X_priv, X_val=X, y_val=series.y, X_priv_val=X_priv)
    assert (by_names.series_shape_, by_names.priv_shape_) == ((6, 2), (6, 4))
    np.testing.assert_array_equal(by_names.predict_proba(X), expected)
    np.testing.assert_array_equal(by_names.predict_proba(series.X), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert by_names.get_params()["n_channels"] is None
    alone = SeriesClassifier(clf.student, random_state=0).fit(X, series.y)
    assert alone.series_shape_ == (6, 2)


@pytest.mark.parametrize("priv_transformer", [GapFiller(), StandardScaler(), "pandas"])
def test_n_channels_of_what_a_transformer_returns(series, clf, named_tables, priv_transformer):
    X, X_priv = named_tables
    if priv_transformer == "pandas":
        bands = ["B2", "B3", "B4", "B8"]
        priv_transformer = SpectralIndices(bands=bands).set_output(transform="pandas")
    clf.set_params(n_channels=None, n_channels_priv=None, priv_transformer=priv_transformer)
    clf.fit(X, series.y, X_priv=X_priv)
    n_channels = 5 if isinstance(priv_transformer, SpectralIndices) else 4
    assert clf.priv_shape_ == (6, n_channels)
    fitted = clf.priv_transformer_
    if hasattr(fitted, "series_shape_"):
        assert fitted.series_shape_ == (6, 4)


def test_names_that_contradict_are_refused(series, clf, named_tables):
    X, X_priv = named_tables
    y, by_band = series.y, sorted(X.columns)
    six_bands = X.set_axis(
        [f"{band}_{day}" for day in ("d001", "d002") for band in "abcdef"], axis=1
    )
    for name, call in {
        "X": lambda: clone(clf).set_params(n_channels=3).fit(X, y),
        "X_priv": lambda: clone(clf).fit(X, y, X_priv=X_priv),  # n_channels_priv=2
        "X_val": lambda: clone(clf).fit(series.X, y, X_val=six_bands, y_val=y),
    }.items():
        with pytest.raises(ValueError, match=rf"^{name} has . channels by its column names"):
            call()
    clf.set_params(n_channels=None, n_channels_priv=None)
    calls = {
        "X": lambda: clf.fit(X[by_band], y, X_priv=X_priv),
        "X_priv": lambda: clf.fit(X, y, X_priv=X_priv[sorted(X_priv.columns)]),
        "X_new": lambda: clone(clf).fit(series.X, y, X_priv=series.X_priv).predict(X[by_band]),
        "X_priv_new": lambda: (
            clone(clf)
            .fit(series.X, y, X_priv=series.X_priv)
            .teacher_predict_proba(series.X, X_priv[sorted(X_priv.columns)])
        ),
    }
    for name, call in calls.items():
        name = name.removesuffix("_new")
        with pytest.raises(ValueError, match=f"The columns of {name} are not time-major"):
            call()


def test_transformers_read_names(series, named_tables):
    _, X_priv = named_tables
    for transformer in (
        GapFiller(),
        Resample(range(6), [0.5, 2]),
        CloudMask(clouds=[]),
        SpectralIndices(bands=OPTICAL),
    ):
        table = clone(transformer).fit_transform(X_priv)
        expected = clone(transformer).fit_transform(series.X_priv)
        np.testing.assert_array_equal(table, expected.reshape(120, -1))
        with pytest.raises(ValueError, match="X has 4 channels by its column names"):
            clone(transformer).set_params(n_channels=6).fit(X_priv)
        with pytest.raises(ValueError, match="The columns of X are not time-major"):
            clone(transformer).fit(X_priv[sorted(X_priv.columns)])
        with pytest.raises(ValueError, match="The columns of X are not time-major"):
            clone(transformer).fit(series.X_priv).transform(X_priv[sorted(X_priv.columns)])


def test_the_remedy_of_a_gap_names_the_channels(series, clf, named_tables):
    X, X_priv = named_tables
    clf.set_params(n_channels=None, n_channels_priv=None)
    with pytest.raises(
        ValueError, match=r"GapFiller\(n_channels=2\), GKDClassifier\(n_channels=2\)"
    ):
        clf.fit(X.where(X.max() > X), series.y, X_priv=X_priv)
    with pytest.raises(ValueError, match=r"priv_transformer=eo.GapFiller\(n_channels=4\)"):
        clf.fit(X, series.y, X_priv=X_priv.where(X_priv < X_priv.max()))


def test_a_gain_reads_names(series, clf, named_tables):
    X, X_priv = named_tables
    clf.set_params(n_channels=None, n_channels_priv=None)
    of_names = privileged_gain(clf, X, series.y, X_priv, cv=2, random_state=0)
    clf.set_params(n_channels=2, n_channels_priv=4)
    of_arrays = privileged_gain(
        clf, X.to_numpy(), series.y, X_priv.to_numpy(), cv=2, random_state=0
    )
    pd.testing.assert_frame_equal(of_names, of_arrays)
