import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import SelectKBest

from sklearn_gkd._estimators._privileged import has_information


def test_columns_of_x_priv_keep_their_order(series, clf):
    frame = pd.DataFrame(series.X_priv.reshape(120, -1)).add_prefix("band_")
    clf.set_params(n_channels_priv=4).fit(series.X, series.y, X_priv=frame)
    with pytest.raises(ValueError, match="X_priv has other column names"):
        clf.teacher_predict_proba(series.X, frame[frame.columns[::-1]])
    expected = clf.teacher_predict_proba(series.X, frame)
    by_array = clf.teacher_predict_proba(series.X, series.X_priv)
    np.testing.assert_array_equal(by_array, expected)


def test_x_priv_may_be_a_table_where_fit_saw_3d(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(
        clf.teacher_predict_proba(series.X, series.X_priv.reshape(120, -1)),
        clf.teacher_predict_proba(series.X, series.X_priv),
    )


def test_a_supervised_priv_transformer_is_given_the_labels(series, clf):
    clf.set_params(priv_transformer=SelectKBest(k=3), beta=0)
    X_priv = series.X_priv.reshape(120, -1).copy()
    X_priv[::7] = np.nan
    clf.fit(series.X, series.y, X_priv=X_priv)
    assert clf.priv_shape_ == (3, 1)


@pytest.fixture
def X():
    return np.arange(24, dtype=float).reshape(4, 3, 2)


def test_has_information(X):
    X[1] = np.nan
    X[2, 0] = np.nan
    expected = [True, False, True, True]
    assert has_information(X).tolist() == expected
    assert has_information(X.reshape(4, -1)).tolist() == expected
    assert has_information(pd.DataFrame(X.reshape(4, -1)).astype(object)).tolist() == expected


@pytest.mark.parametrize("dtype", [float, "i2"])
def test_a_row_that_is_masked_throughout_has_no_information(X, dtype):
    masked = np.ma.masked_array(X.astype(dtype))
    masked[1] = np.ma.masked
    masked[2, 0] = np.ma.masked
    for given in (masked, list(masked), masked.reshape(4, -1)):
        assert has_information(given).tolist() == [True, False, True, True]
