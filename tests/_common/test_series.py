from pathlib import Path

import numpy as np
import polars as pl
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
    ("values", "dtype", "expected"),
    [
        (np.array([[1, 2], [3, 4]], "i2"), "f8", [[1, np.nan], [3, 4]]),
        (np.array([[True, True], [False, True]]), "f8", [[1, np.nan], [0, 1]]),
        (np.array([[1, 2], [3, 4]], "f4"), "f4", [[1, np.nan], [3, 4]]),
        (np.array([[1.5, 2], [3, 4]], object), "O", [[1.5, np.nan], [3, 4]]),
    ],
)
def test_masked_values_are_missing(values, dtype, expected):
    masked = np.ma.masked_array(values, [[False, True], [False, False]])
    for given in (masked, [masked[0], masked[1]], tuple(masked)):
        filled = as_array(given, "X")
        assert not isinstance(filled, np.ma.MaskedArray)
        np.testing.assert_array_equal(filled.astype(float), expected)
    assert as_array(masked, "X").dtype == dtype
    assert values.tolist()[0][1] == masked.data[0, 1]  # what was given is left as it was


def test_masked_values_deep_in_a_list_are_missing():
    rows = [[np.ma.masked_array([1.0, 2], [False, True]), [3, np.ma.masked]], [[5, 6], [7, 8]]]
    expected = [[[1, np.nan], [3, np.nan]], [[5, 6], [7, 8]]]
    np.testing.assert_array_equal(as_array(rows, "X"), expected)


def test_masked_labels_are_refused():
    with pytest.raises(ValueError, match=r"^groups has 2 masked values"):
        as_column(np.ma.masked_equal([1, 2, 1], 1), "groups")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (None, "^X_val is None. Give series as"),
        ("fields.npz", "^X_val is of type str.*: read the file first"),
        (Path("fields.npz"), "^X_val is of type PosixPath.*: read the file first"),
        (b"1", "^X_val is of type bytes. Give series"),
        ({"X": [[1]]}, "^X_val is of type dict.*: the array of one of its keys"),
        ({1, 2}, "^X_val is of type set. Give series"),
        (iter([[1]]), "^X_val is of type list_iterator.*: what it yields, in a list"),
        (([i] for i in range(3)), "^X_val is of type generator.*: what it yields, in a list"),
        (pl.LazyFrame({"VV": [1.0]}), r"^X_val is of type LazyFrame.*: X_val.collect\(\)"),
    ],
)
def test_what_is_no_array_is_refused(X, message):
    with pytest.raises(TypeError, match=message):
        as_table(X, "X_val")


def test_a_sparse_array_of_3_dimensions_is_refused():
    class Sparse:  # as scipy's since 1.15, and those of other packages
        shape = (4, 3, 2)

        def todense(self):
            return np.zeros(self.shape)

    with pytest.raises(TypeError, match=r"^X_val is sparse and has 3 dimensions"):
        as_table(Sparse(), "X_val")


@pytest.mark.parametrize(
    ("X", "shapes"),
    [
        ([[1], [1, 2]], r"\(1,\) and \(2,\)"),
        ([np.zeros((5, 3, 2)), np.zeros((5, 4, 6))], r"\(5, 3, 2\) and \(5, 4, 6\)"),
        ([np.zeros((5, 6)), np.zeros((5, 6)), np.zeros((5, 8))], r"\(5, 6\) and \(5, 8\)"),
        ([np.zeros((5, 3, 2)), np.zeros((5, 6))], r"\(5, 3, 2\) and \(5, 6\)"),
        ([[[1], [1, 2]], [[1, 2], [3, 4]]], r"ragged and \(2, 2\)"),
    ],
)
def test_parts_of_different_shapes_are_refused(X, shapes):
    for given in (X, tuple(X)):
        with pytest.raises(ValueError, match=f"^X_val: its . parts have .* {shapes}. Each row"):
            as_array(given, "X_val")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_table(3.5, "X_val"), "^X_val has 0 dimensions; give series"),
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


def test_a_view_knows_its_rows():
    series = np.zeros((3, 2, 2), dtype=np.float32)
    series[1] = np.nan
    series[2, 0] = np.nan
    assert View(series, False).known.tolist() == [True, False, True]
