import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_gkd.eo import CloudMask, GapFiller, SpectralIndices

nan = np.nan


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
    days = np.cumsum([0, 12, 1, 30, 3, 6, 6, 24, 5, 2, 9, 11])
    pipeline = make_pipeline(CloudMask(), GapFiller(dates=days))
    without = gappy.copy()
    without[:, 3] = nan
    np.testing.assert_allclose(
        pipeline.fit_transform(np.concatenate([gappy, mask], axis=2)),
        GapFiller(dates=days).fit_transform(without),
    )


@pytest.mark.parametrize("channel", [3, -4])
def test_no_such_mask(gappy, channel):
    with pytest.raises(ValueError, match=f"channel={channel} is to be a mask"):
        CloudMask(channel).fit(gappy)


@pytest.mark.parametrize("clouds", [["3"], [None], [np.nan], [[1, 2]], "1"])
def test_clouds_that_equal_no_number_are_refused(clouds):
    with pytest.raises(ValueError, match="clouds"):
        CloudMask(clouds=clouds).fit(np.zeros((2, 3, 2)))


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


def test_indices_stay_bounded_where_reflectances_are_not_positive():
    X = np.array([[[1e-30, -1e-30], [50, -40], [-40, 50], [-3, -5], [1e-8, 3e-8]]])
    indices = SpectralIndices(bands=["B4", "B8"]).fit_transform(X)
    np.testing.assert_allclose(indices[0, :, 2], [-1, -1, 1, 0, 0.5])
    np.testing.assert_array_equal(indices[..., :2], X)


def test_an_offset_for_each_date():
    X = np.array([[[1000.0, 3000], [2000, 4000]]])
    indices = SpectralIndices(bands=["B4", "B8"], offset=[0, -1000])
    expected = [[[1000, 3000, 0.5], [1000, 3000, 0.5]]]
    np.testing.assert_array_equal(indices.fit_transform(X), expected)
    table = SpectralIndices(bands=["B4", "B8"], offset=(0, -1000), n_channels=2)
    found = table.fit_transform(X.reshape(1, 4).astype("f4"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.reshape(expected, (1, 6)))
    with pytest.raises(ValueError, match=r"offset has shape \(3,\)\. Give a number, or 2"):
        SpectralIndices(bands=["B4", "B8"], offset=[0, 1, 2]).fit(X)
    with pytest.raises(ValueError, match=r"offset is nan. Give finite numbers"):
        SpectralIndices(bands=["B4", "B8"], offset=np.nan).fit(X)


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
        ({"indices": ["NDMI"]}, "NDMI needs the band B11, which is not in bands="),
        ({"indices": ["Evi"]}, "indices has 'Evi', which is not one of .*NDVI"),
    ],
)
def test_indices_that_cannot_be(params, message):
    with pytest.raises(ValueError, match=message):
        SpectralIndices(**params).fit(np.ones((2, 3, 4)))


def test_between_cloudy_and_clear_is_not_used():
    series = np.array([[[0.2, 0], [0.9, 0.8], [0.6, 1], [0.5, 2]]])
    expected = [0.2, np.nan, np.nan, 0.5]
    np.testing.assert_array_equal(CloudMask().fit_transform(series)[0, :, 0], expected)
    by_share = CloudMask(clouds=(0.8,)).fit_transform(series)[0, :, 0]
    np.testing.assert_array_equal(by_share, [0.2, np.nan, 0.6, 0.5])
