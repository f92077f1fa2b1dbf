import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices

TRANSFORMERS = [
    GapFiller(),
    Resample(range(12), [0.5, 7]),
    CloudMask(clouds=[]),
    SpectralIndices(bands=["B3", "B4", "B8"]),
]


@pytest.fixture(params=TRANSFORMERS, ids=lambda transformer: type(transformer).__name__)
def transformer(request):
    """Each transformer of series of 12 steps and 3 channels."""
    return clone(request.param)


def as_table(series):
    return series.reshape(len(series), -1)


def test_table_is_time_major(transformer, gappy):
    series = clone(transformer).fit_transform(gappy)
    of_table = transformer.set_params(n_channels=3).fit(as_table(gappy))
    assert of_table.n_features_in_ == 36
    assert of_table.series_shape_ == (12, 3)
    np.testing.assert_array_equal(of_table.transform(as_table(gappy)), as_table(series))
    np.testing.assert_array_equal(of_table.transform(gappy), series)


def test_a_table_is_taken_where_fit_saw_series(transformer, gappy):
    transformer.fit(gappy)
    assert transformer.n_features_in_ == 36
    of_table = transformer.transform(as_table(gappy))
    np.testing.assert_array_equal(of_table, as_table(transformer.transform(gappy)))


def test_a_table_without_n_channels_has_one(gappy):
    one_channel = GapFiller().fit_transform(as_table(gappy))
    assert not np.array_equal(one_channel, as_table(GapFiller().fit_transform(gappy)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_leaves_its_input_alone(transformer, gappy, order):
    given = np.asarray(as_table(gappy), order=order)
    copy = given.copy()
    transformer.set_params(n_channels=3).fit_transform(given)
    np.testing.assert_array_equal(given, copy)


@pytest.mark.parametrize(
    ("given", "returned"), [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i4", "f8")]
)
def test_dtype(transformer, given, returned):
    X = np.arange(72).reshape(2, 12, 3).astype(given)
    assert transformer.fit(X).transform(X).dtype == returned


def test_dataframe_gets_names(transformer, gappy):
    names = [f"{band}_d{day:03d}" for day in range(12) for band in ("VV", "VH", "angle")]
    frame = pd.DataFrame(as_table(gappy), columns=names)
    expected = as_table(clone(transformer).fit_transform(gappy))
    transformer.set_params(n_channels=3).set_output(transform="pandas")
    transformed = transformer.fit_transform(frame)
    np.testing.assert_array_equal(transformed, expected)
    assert list(transformed.columns) == list(transformer.get_feature_names_out())
    assert transformer.feature_names_in_.tolist() == names
    with pytest.raises(ValueError, match="feature names should match"):
        transformer.transform(frame[names[::-1]])


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_masked_values_are_missing(transformer, dtype):
    values = np.random.RandomState(0).randint(-9, 99, size=(40, 12, 3)).astype(dtype)
    mask = np.random.RandomState(1).uniform(size=values.shape) < 0.3
    values[mask] = -999
    missing = np.where(mask, np.nan, values.astype(float)).astype("f4" if dtype == "f4" else "f8")
    masked = np.ma.masked_array(values, mask)
    expected = clone(transformer).fit_transform(missing)
    for given in (masked, list(masked)):
        np.testing.assert_array_equal(clone(transformer).fit_transform(given), expected)
    np.testing.assert_array_equal(transformer.fit(missing).transform(masked), expected)
    assert expected.dtype == transformer.transform(masked).dtype


def test_tags_allow_nan_and_series(transformer):
    tags = transformer.__sklearn_tags__().input_tags
    assert tags.allow_nan
    assert tags.three_d_array


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_inf_is_refused(transformer, gappy, value):
    transformer.fit(gappy)
    gappy[3, 2, 1] = value
    with pytest.raises(ValueError, match="infinity"):
        transformer.transform(gappy)
    with pytest.raises(ValueError, match="infinity"):
        transformer.fit(gappy)


def test_a_fit_that_fails_leaves_the_one_before(transformer, gappy):
    with pytest.raises(NotFittedError):
        transformer.transform(gappy)
    before = transformer.fit(gappy).transform(gappy)
    refused = np.full((4, 5, 1), np.nan)
    with pytest.raises(ValueError, match=r"no observation|Give 5|beside other|bands names"):
        transformer.fit(refused)
    assert transformer.series_shape_ == (12, 3)
    np.testing.assert_array_equal(transformer.transform(gappy), before)


def test_errors_of_shape(transformer, gappy):
    table = as_table(gappy)
    with pytest.raises(ValueError, match="n_channels=5 does not divide"):
        clone(transformer).set_params(n_channels=5).fit(table)
    with pytest.raises(ValueError, match="3-D with 3 channels, but n_channels=2"):
        clone(transformer).set_params(n_channels=2).fit(gappy)
    with pytest.raises(ValueError, match="'n_channels' parameter"):
        clone(transformer).set_params(n_channels=0).fit(table)
    transformer.fit(gappy)
    with pytest.raises(ValueError, match=r"\(9, 4\).*fitted on \(12, 3\)"):
        transformer.transform(gappy.reshape(40, 9, 4))
    with pytest.raises(ValueError, match="33 features"):
        transformer.transform(table[:, :33])


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("of", ["all", "one"])
def test_set_output_makes_frames_of_tables_alone(transformer, gappy, library, of):
    expected = clone(transformer).fit_transform(gappy)
    if of == "one":
        transformer.set_output(transform=library)
    with sklearn.config_context(transform_output=library if of == "all" else None):
        for transformed in (
            transformer.fit_transform(gappy),
            transformer.fit(gappy).transform(gappy),
        ):
            assert type(transformed) is np.ndarray
            np.testing.assert_array_equal(transformed, expected)
        transformer.set_params(n_channels=3)
        frame = transformer.fit_transform(pd.DataFrame(as_table(gappy), index=np.arange(40) + 7))
        assert type(frame).__module__.startswith(library)
        np.testing.assert_array_equal(frame.to_numpy(), as_table(expected))
        assert list(frame.columns) == list(transformer.get_feature_names_out())
        if library == "pandas":
            assert frame.index.tolist() == list(range(7, 47))
