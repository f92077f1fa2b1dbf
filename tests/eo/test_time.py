import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gkd.eo import (
    CloudMask,
    GapFiller,
    Resample,
    SpectralIndices,
    despeckle,
    from_decibel,
    to_decibel,
)

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


DATES = np.array("2016-01-04", dtype="datetime64[D]") + np.cumsum(
    [0, 12, 1, 30, 3, 6, 6, 24, 5, 2, 9, 11]
)


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


def test_cloud_mask(gappy):
    rng = np.random.default_rng(1)
    mask = rng.choice([4.0, 5.0, 8.0, 9.0, nan], size=(40, 12))
    with_mask = np.insert(gappy, 1, mask, axis=2)
    masked = CloudMask(1, clouds=(8, 9)).fit_transform(with_mask)
    for row in range(40):
        for step in range(12):
            clear = mask[row, step] in (4.0, 5.0)
            expected = gappy[row, step] if clear else np.full(3, nan)
            np.testing.assert_array_equal(masked[row, step], expected)
    assert not np.isnan(with_mask[0, 0, 0])
    names = [f"{band}_d{step:03d}" for step in range(12) for band in ("B4", "SCL", "B8", "B11")]
    frame = pd.DataFrame(with_mask.reshape(40, 48), columns=names)
    table = CloudMask(1, clouds=(8, 9), n_channels=4).set_output(transform="pandas")
    table = table.fit_transform(frame)
    assert list(table)[:4] == ["B4_d000", "B8_d000", "B11_d000", "B4_d001"]
    np.testing.assert_array_equal(table, masked.reshape(40, 36))


def test_cloud_mask_before_gap_filling_in_a_fold(gappy):
    mask = np.zeros((40, 12, 1))
    mask[:, 3] = 1
    pipeline = make_pipeline(CloudMask(), GapFiller(dates=DATES))
    without = gappy.copy()
    without[:, 3] = nan
    np.testing.assert_allclose(
        pipeline.fit_transform(np.concatenate([gappy, mask], axis=2)),
        GapFiller(dates=DATES).fit_transform(without),
    )


@pytest.mark.parametrize("channel", [3, -4])
def test_no_such_mask(gappy, channel):
    with pytest.raises(ValueError, match=f"channel={channel} is to be a mask"):
        CloudMask(channel).fit(gappy)


def test_spectral_indices_are_normalised_differences():
    rng = np.random.default_rng(0)
    bands = ["B02", "B03", "B04", "B05", "B08", "B11", "B12"]
    X = rng.uniform(1000, 9000, size=(6, 3, 7))
    X[0, 1, 4] = nan
    names = ["NDVI", "NDWI", "MNDWI", "NDMI", "NDRE", "NBR"]
    indices = SpectralIndices(names, bands=bands, offset=-1000).fit_transform(X)
    _, green, red, red_edge, nir, swir, long_swir = np.moveaxis(X - 1000, 2, 0)
    expected = [
        (nir - red) / (nir + red),
        (green - nir) / (green + nir),
        (green - swir) / (green + swir),
        (nir - swir) / (nir + swir),
        (nir - red_edge) / (nir + red_edge),
        (nir - long_swir) / (nir + long_swir),
    ]
    np.testing.assert_array_equal(indices[..., :7], X - 1000)
    np.testing.assert_allclose(np.moveaxis(indices[..., 7:], 2, 0), expected)
    assert np.isnan(indices[0, 1, 7])


def test_an_index_of_nothing_is_0():
    X = np.zeros((1, 1, 4), dtype=np.float32)
    indices = SpectralIndices().fit_transform(X)
    assert indices.dtype == np.float32
    assert indices[0, 0, 4] == 0


def test_names_of_indices():
    frame = pd.DataFrame(np.ones((2, 4)), columns=["B4_d000", "B8_d000", "B4_d010", "B8_d010"])
    indices = SpectralIndices(bands=["B4", "B8"], n_channels=2).set_output(transform="pandas")
    expected = ["B4_d000", "B8_d000", "NDVI_d000", "B4_d010", "B8_d010", "NDVI_d010"]
    assert list(indices.fit_transform(frame)) == expected
    unnamed = SpectralIndices(bands=["B4", "B8"], n_channels=2).fit(frame.to_numpy())
    assert unnamed.get_feature_names_out()[[2, 5]].tolist() == ["NDVI_0", "NDVI_1"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bands": ["B4", "B8"]}, "bands names 2 channels, but X has 4"),
        ({"indices": ["NDMI"]}, "NDMI needs the band B11, which bands=.* has not"),
        ({"indices": ["EVI"]}, "indices has 'EVI', which is none of .*NDVI"),
    ],
)
def test_indices_that_cannot_be(params, message):
    with pytest.raises(ValueError, match=message):
        SpectralIndices(**params).fit(np.ones((2, 3, 4)))


def test_decibels_and_back():
    power = np.array([[1.0, 0.01], [nan, 0.0]], dtype=np.float32)
    decibel = to_decibel(power)
    assert decibel.dtype == np.float32
    np.testing.assert_allclose(decibel, [[0, -20], [nan, nan]], atol=1e-5)
    np.testing.assert_allclose(from_decibel(decibel), [[1, 0.01], [nan, nan]], rtol=1e-5)


def test_despeckle_is_quegan_and_yu_pixel_by_pixel():
    rng = np.random.default_rng(0)
    stack = rng.gamma(3, 1 / 3, size=(5, 9, 8))
    stack[2, 3, 4] = stack[0, :4, :4] = nan
    stack[1, 6, 6] = 0
    filtered = despeckle(stack, window=3)
    padded = np.pad(stack, [(0, 0), (1, 1), (1, 1)], mode="edge")
    for row in range(9):
        for column in range(8):
            local = np.array(
                [
                    np.nanmean(image[row : row + 3, column : column + 3]) if seen else nan
                    for image, seen in zip(padded, ~np.isnan(stack[:, row, column]), strict=True)
                ]
            )
            expected = local * np.nanmean(stack[:, row, column] / local)
            np.testing.assert_allclose(filtered[:, row, column], expected, rtol=1e-9)


def test_despeckle_keeps_the_mean_and_drops_the_noise():
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(60) < 30, 0.05, 0.2) * np.ones((60, 1))
    stack = truth * rng.gamma(4, 1 / 4, size=(20, 60, 60))
    filtered = despeckle(stack.astype(np.float32))
    assert filtered.dtype == np.float32
    inside = filtered[:, :, [*range(5, 25), *range(35, 55)]]
    expected = truth[:, [*range(5, 25), *range(35, 55)]]
    np.testing.assert_allclose(inside.mean(axis=(0, 1)), expected[0], rtol=0.1)
    looks = (expected.mean(axis=0)[0] / inside[:, :, :20].std()) ** 2
    assert looks > 12 * 4 / 2  # M * N looks at most, of 20 images and windows of 49 pixels


def test_despeckle_wants_power():
    with pytest.raises(ValueError, match="from_decibel"):
        despeckle(np.full((2, 3, 3), -12.0))
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        despeckle(np.ones((3, 3)))
