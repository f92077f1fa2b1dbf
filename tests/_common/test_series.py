import numpy as np
import pandas as pd
import pytest

from sklearn_gkd._common.series import View, as_table, series_shape
from sklearn_gkd._estimators._privileged import PrivilegedReader, has_information
from sklearn_gkd.eo import GapFiller


@pytest.fixture
def X():
    return np.arange(24, dtype=float).reshape(4, 3, 2)


def test_a_table_is_time_major(X):
    table, shape = as_table(X, "X")
    assert shape == (3, 2)
    for step in range(3):
        for channel in range(2):
            np.testing.assert_array_equal(table[:, step * 2 + channel], X[:, step, channel])


@pytest.mark.parametrize(
    ("n_columns", "shape", "n_channels", "expected"),
    [
        (12, None, None, (12, 1)),
        (12, None, 4, (3, 4)),
        (12, (6, 2), None, (6, 2)),
        (12, (6, 2), 2, (6, 2)),
    ],
)
def test_series_shape(n_columns, shape, n_channels, expected):
    assert series_shape(n_columns, shape, n_channels, "X", "n_channels") == expected


def test_has_information(X):
    X[1] = np.nan
    X[2, 0] = np.nan
    expected = [True, False, True, True]
    assert has_information(X).tolist() == expected
    assert has_information(X.reshape(4, -1)).tolist() == expected
    assert has_information(pd.DataFrame(X.reshape(4, -1)).astype(object)).tolist() == expected


def test_rows_without_information_do_not_reach_the_transformer(X):
    X[1] = np.nan
    X[2, 1] = np.nan
    reader = PrivilegedReader(GapFiller(), None).fit(X, np.zeros(4), np.array([0, 1, 3]))
    view, seen = reader.read(X, "X_priv")
    assert seen.tolist() == [True, False, True, True]
    expected = X.copy()
    expected[1] = 0
    expected[2, 1] = (X[2, 0] + X[2, 2]) / 2
    np.testing.assert_array_equal(view.series, expected)
    assert view.series.dtype == np.float32


def test_n_channels_describe_what_the_transformer_returns(X):
    class FirstBand(GapFiller):
        def transform(self, X):
            return super().transform(X)[:, :, 0]

    reader = PrivilegedReader(FirstBand(), n_channels=3).fit(X, np.zeros(4), np.arange(4))
    view, _ = reader.read(X, "X_priv")
    np.testing.assert_array_equal(view.series, X[:, None, :, 0])


def test_scaling_per_channel_and_per_column(X):
    mean, scale = View(X, per_column=False).scaling()
    np.testing.assert_allclose(mean, X.mean(axis=(0, 1)))
    np.testing.assert_allclose(scale, X.std(axis=(0, 1)))
    columns = X.reshape(4, 6, 1)
    columns[:, 2] = 0.1
    mean, scale = View(columns.astype("f4"), per_column=True).scaling()
    np.testing.assert_allclose(mean, columns.mean(axis=0), rtol=1e-6)
    expected = columns.std(axis=0)
    expected[2] = 1
    np.testing.assert_allclose(scale, expected, rtol=1e-6)
