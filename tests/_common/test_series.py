import numpy as np
import pytest

from sklearn_gkd._common.series import View, as_array, as_column, as_table, series_shape


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


def test_a_view_with_more_rows(X):
    view = View(X[:3], per_column=True).followed_by(X[3:])
    np.testing.assert_array_equal(view.series, X)
    assert view.per_column
    assert view.shape == (3, 2)


def test_arrays_stay_as_they_are_and_lists_become_arrays(X):
    assert as_array(X, "X") is X
    np.testing.assert_array_equal(as_array(X.tolist(), "X"), X)
    assert as_column([[1], [2]], "y").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_array([[1], [1, 2]], "X_val"), "^X_val: "),
        (lambda: as_table(np.zeros((1, 2, 3, 4)), "X_val"), "^X_val has 4 dimensions; give series"),
        (lambda: as_column(np.zeros((3, 2)), "groups"), r"^groups: .* shape \(3, 2\)"),
        (
            lambda: series_shape(12, (6, 2), 3, "X_priv", "n_channels_priv"),
            "^X_priv is 3-D with 2 channels, but n_channels_priv=3",
        ),
        (
            lambda: series_shape(12, None, 5, "X_priv", "n_channels_priv"),
            "^X_priv has 12 columns, which n_channels_priv=5 does not divide",
        ),
    ],
)
def test_errors_name_their_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
