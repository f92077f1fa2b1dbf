import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gkd.sits import GapFiller

nan = np.nan


@pytest.fixture
def gappy():
    """Series (40, 12, 3) with a third of the values missing, the first one complete."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(40, 12, 3))
    series[rng.random(series.shape) < 0.35] = nan
    series[0] = rng.normal(size=(12, 3))
    return series


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


def test_table_is_time_major(gappy):
    table = gappy.reshape(40, 36)
    filled = GapFiller().fit_transform(gappy)
    np.testing.assert_array_equal(GapFiller(n_channels=3).fit_transform(table).ravel(), filled.flat)
    fitted_on_series = GapFiller().fit(gappy)
    assert fitted_on_series.n_features_in_ == 36
    assert fitted_on_series.transform(table).shape == (40, 36)
    np.testing.assert_array_equal(fitted_on_series.transform(table).ravel(), filled.flat)
    one_channel = GapFiller().fit_transform(table)
    assert not np.array_equal(one_channel, filled.reshape(40, 36))


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


@pytest.mark.parametrize(
    ("given", "returned"), [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i4", "f8")]
)
def test_dtype(given, returned):
    X = np.arange(12).reshape(2, 3, 2).astype(given)
    assert GapFiller().fit(X).transform(X).dtype == returned


def test_float32_is_filled_to_float32_precision(gappy):
    filled = GapFiller().fit_transform(gappy.astype("f4"))
    assert filled.dtype == np.float32
    np.testing.assert_allclose(filled, GapFiller().fit_transform(gappy), atol=1e-6)


def test_single_date():
    np.testing.assert_array_equal(GapFiller().fit_transform([[1.0], [nan], [3.0]]), [[1], [2], [3]])


def test_dataframe_keeps_its_names(gappy):
    names = [f"{band}_d{day:03d}" for day in range(12) for band in ("VV", "VH", "angle")]
    frame = pd.DataFrame(gappy.reshape(40, 36), columns=names)
    filler = GapFiller(n_channels=3).set_output(transform="pandas")
    filled = filler.fit_transform(frame)
    assert list(filled.columns) == list(filler.get_feature_names_out()) == names
    np.testing.assert_array_equal(filled.to_numpy().ravel(), GapFiller().fit_transform(gappy).flat)


def test_in_a_pipeline(gappy):
    table, y = gappy.reshape(40, 36), np.arange(40.0)
    model = make_pipeline(GapFiller(n_channels=3), LinearRegression()).fit(table, y)
    assert model.predict(table).shape == (40,)


def test_tags_allow_nan():
    assert GapFiller().__sklearn_tags__().input_tags.allow_nan


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_inf_is_refused(gappy, value):
    filler = GapFiller().fit(gappy)
    gappy[3, 2, 1] = value
    with pytest.raises(ValueError, match="infinity"):
        filler.transform(gappy)
    with pytest.raises(ValueError, match="infinity"):
        filler.fit(gappy)


def test_channel_never_observed(gappy):
    gappy[:, :, 2] = nan
    with pytest.raises(ValueError, match=r"channel 2 \(of 3\).*Leave that channel out"):
        GapFiller().fit(gappy)


def test_errors_of_shape(gappy):
    table = gappy.reshape(40, 36)
    with pytest.raises(ValueError, match="n_channels=5 does not divide"):
        GapFiller(n_channels=5).fit(table)
    with pytest.raises(ValueError, match="3-D with 3 channels, but n_channels=2"):
        GapFiller(n_channels=2).fit(gappy)
    with pytest.raises(ValueError, match="'n_channels' parameter"):
        GapFiller(n_channels=0).fit(table)
    filler = GapFiller().fit(gappy)
    with pytest.raises(ValueError, match=r"\(9, 4\).*fitted on \(12, 3\)"):
        filler.transform(gappy.reshape(40, 9, 4))
    with pytest.raises(ValueError, match="33 features"):
        filler.transform(table[:, :33])
