import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.evaluation import privileged_importance, series_importance

N, T, C = 400, 4, 3


class SignOf(ClassifierMixin, BaseEstimator):
    """Tells the sign of one band at one date, and looks at nothing else."""

    def __init__(self, date=1, band=2):
        self.date = date
        self.band = band

    def fit(self, X, y, **params):
        self.classes_ = np.array([False, True])
        return self

    def predict(self, X):
        X = np.asarray(X)
        return X.reshape(len(X), T, C)[:, self.date, self.band] > 0


@pytest.fixture
def X():
    return np.random.RandomState(0).normal(size=(N, T, C))


@pytest.fixture
def y(X):
    return X[:, 1, 2] > 0


def forms(X):
    table = pd.DataFrame(X.reshape(len(X), -1)).astype({0: "float32"})
    return [(X, {}), (table.to_numpy(), {"n_channels": C}), (table, {"n_channels": C})]


@pytest.mark.parametrize("form", range(3))
def test_importance_is_where_the_classifier_looks_and_nowhere_else(X, y, form):
    series, params = forms(X)[form]
    before = series.copy()
    found = {
        by: series_importance(
            SignOf().fit(X, y), series, y, by=by, n_repeats=20, random_state=0, **params
        )["importance"]
        for by in ("band", "date", "both")
    }
    n_right = y.mean() ** 2 + (1 - y.mean()) ** 2  # of signs that chance alone pairs
    assert found["both"][2, 1] == pytest.approx(1 - n_right, abs=0.02)
    assert found["both"][2, 1] == found["band"][2] == found["date"][1]
    for importance in found.values():
        assert (importance != 0).sum() == 1
    assert np.array_equal(series, before)
    assert found["both"].index.names == ["band", "date"]


def test_its_value_is_that_of_permutations_by_hand(X, y):
    rng, losses = np.random.RandomState(3), []
    for _ in range(4):
        permuted = X.copy()
        permuted[:, 1] = X[rng.permutation(N), 1]
        losses.append(1 - np.mean((permuted[:, 1, 2] > 0) == y))
    table = series_importance(
        SignOf().fit(X, y),
        X,
        y,
        by="date",
        dates=list("wxyz"),
        scoring="accuracy",
        n_repeats=4,
        random_state=3,
        n_jobs=2,
    )
    assert table.loc["x"].tolist() == pytest.approx([np.mean(losses), np.std(losses)])
    assert table.index.tolist() == list("wxyz")


def test_a_pipeline_and_what_is_missing(series, small):
    X = series.X.copy()
    X[::7, 2] = np.nan
    pipeline = make_pipeline(GapFiller(), SeriesClassifier(small, random_state=0))
    table = series_importance(pipeline.fit(X, series.y), X, series.y, by="date", random_state=0)
    assert table.shape == (6, 2)
    assert table["importance"].to_numpy().argmax() >= 3  # the classes differ late in the season


def test_a_fitted_table_tells_its_bands_and_scikit_learns_function_takes_it(series, small):
    table = series.X.reshape(120, 12)
    clf = SeriesClassifier(small, n_channels=2, random_state=0).fit(table, series.y)
    found = series_importance(clf, table, series.y, random_state=0)
    assert found.index.tolist() == [(band, date) for band in range(2) for date in range(6)]
    theirs = permutation_importance(clf, table, series.y, random_state=0)
    assert theirs.importances_mean.shape == (12,)


class Taught(SignOf):
    """Is right where the band of X_priv that it looks at came as it was."""

    def fit(self, X, y, X_priv, X_unlabeled=None, X_priv_unlabeled=None):
        self.classes_ = np.array([False, True])
        known = ~np.isnan(X_priv[:, 0, 0])
        assert known.sum() == (~np.isnan(X_priv)).all(axis=(1, 2)).sum()
        self.learnt_ = (super().predict(X_priv) == y)[known].all()
        if X_priv_unlabeled is not None:
            self.learnt_ = np.array_equal(X_priv_unlabeled[:, 1, 2], X_unlabeled[:, 1, 2])
        return self

    def predict(self, X):
        return (X[:, 1, 2] > 0) == self.learnt_


def test_importance_of_privileged_bands_is_by_a_fit_without_them(X, y):
    X_priv = X.copy()
    X_priv[::5] = np.nan
    call = {"cv": 4, "bands": ["red", "green", "blue"], "random_state": 0}
    for pairs in ({}, {"X_unlabeled": X, "X_priv_unlabeled": X}):
        table = privileged_importance(Taught(), X, y, X_priv, **call, **pairs)
        assert table["importance"].to_dict() == {"red": 0.0, "green": 0.0, "blue": 1.0}
        assert (table["std"] == 0).all()
    by_date = privileged_importance(Taught(), X, y, X_priv, by="date", cv=2, random_state=0)
    assert by_date["importance"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": 9, "X_priv": 9}, r"y has 6 rows and X has 9"),
        ({"X_priv": 9}, r"X_priv has 9 rows"),
        ({"groups": 9}, r"groups has 9 rows and X has 6"),
        ({"X_priv_unlabeled": 3}, r"X_unlabeled"),
        ({"X_unlabeled": 3, "X_priv_unlabeled": 4}, r"X_priv_unlabeled has 4 rows"),
    ],
)
def test_rows_that_do_not_belong_together_are_refused(X, y, given, message):
    whole = {"X": X, "y": y, "X_priv": X, "groups": y, "X_unlabeled": X, "X_priv_unlabeled": X}
    arguments = {name: whole[name][:6] for name in ("X", "y", "X_priv")}
    arguments |= {name: whole[name][:n_rows] for name, n_rows in given.items()}
    with pytest.raises(ValueError, match=message):
        privileged_importance(Taught(), **arguments, cv=2)


class Sum(RegressorMixin, BaseEstimator):
    """Predicts a band at a date and twice another, as y had them where X_priv came as it was."""

    def fit(self, X, y, X_priv=None):
        values = (X if X_priv is None else X_priv)[:, 1, 1:]
        self.learnt_ = np.allclose(values @ [1, 2], y[:, 0])
        return self

    def predict(self, X):
        first = X[:, 1, 1] + 2 * X[:, 1, 2]
        return np.column_stack([first, first]) * self.learnt_


def test_importance_to_a_quantity_is_in_the_score_of_a_regressor(X):
    y = np.repeat(X[:, 1, 1:] @ [[1], [2]], 2, axis=1)
    found = series_importance(Sum().fit(X, y), X, y, by="band", random_state=0)["importance"]
    # R2 is 1 less twice the share of the variance that is permuted: 1/5 and 4/5
    np.testing.assert_allclose(found, [0, 2 / 5, 8 / 5], atol=0.15)
    taught = privileged_importance(Sum(), X, y, X, cv=2, random_state=0)["importance"]
    np.testing.assert_allclose(taught, [0, 1, 1], atol=0.05)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"by": "month"}, r"^by='month' is not one of \['band', 'date', 'both'\]"),
        ({"bands": ["VV"]}, "^bands has 1 names, 1 of them different, and X has 3 bands"),
        ({"dates": [1, 1, 2, 3]}, "^dates has 4 names, 3 of them different"),
        ({"n_repeats": 0}, "^n_repeats=0"),
        ({"n_channels": 2}, "^X is 3-D with 3 channels, but n_channels=2"),
    ],
)
def test_what_it_cannot_take_is_named(X, y, params, message):
    with pytest.raises(ValueError, match=message):
        series_importance(SignOf().fit(X, y), X, y, **params)


def test_a_table_needs_its_number_of_bands(X, y):
    table = X.reshape(N, -1)
    with pytest.raises(
        ValueError, match=r"^X is a table: give n_channels, the number of its bands"
    ):
        series_importance(SignOf().fit(X, y), table, y)
    with pytest.raises(ValueError, match=r"^X_priv is a table: give n_channels_priv"):
        privileged_importance(Taught(), X, y, table)
    with pytest.raises(ValueError, match=r"^X has 1 dimensions"):
        series_importance(SignOf().fit(X, y), X[:, 0, 0], y)


def test_sources_have_no_bands_and_dates_in_common(X, y):
    estimator = GKDClassifier(priv_sources=[("one", "passthrough", [0, 1], 2)])
    with pytest.raises(ValueError, match=r"^estimator has priv_sources, .* privileged_gain"):
        privileged_importance(estimator, X, y, X)


class MeanOf(RegressorMixin, BaseEstimator):
    """Predicts the mean of the series."""

    def fit(self, X, y, **params):
        return self

    def predict(self, X):
        return np.asarray(X).reshape(len(X), -1).mean(axis=1)


def test_a_scorer_of_one_s_own_is_given_numbers_as_they_came(X):
    y = X.mean(axis=(1, 2))
    expected = series_importance(
        MeanOf().fit(X, y), X, y, by="band", scoring="neg_mean_squared_error", random_state=0
    )
    found = series_importance(
        MeanOf().fit(X, y), X, y, by="band", scoring=squared_error, random_state=0
    )
    pd.testing.assert_frame_equal(found, expected)
    taught = privileged_importance(
        MeanOf(), X, y, X, by="band", cv=2, scoring=squared_error, random_state=0
    )
    assert (taught["importance"] == 0).all()


def test_numbers_are_split_without_classes(X):
    y = X.mean(axis=(1, 2))
    found = privileged_importance(MeanOf(), X, y, X, cv=2, random_state=0)
    assert (found["importance"] == 0).all()


def squared_error(estimator, X, y):
    errors = estimator.predict(X) - y
    assert errors.shape == (len(X),)
    return -np.mean(errors**2)


def test_what_ignores_x_priv_loses_nothing_by_it(X, y):
    forest = RandomForestClassifier(5, max_features=1)
    found = privileged_importance(IgnorePrivileged(forest), X[:60], y[:60], X[:60], cv=2)
    assert (found["importance"] == 0).all()


def test_labels_of_rows_that_contradict_are_an_error(X, y):
    table, y = pd.DataFrame(X.reshape(N, -1), index=range(1, N + 1)), pd.Series(y)
    y.index = table.index[::-1]
    with pytest.raises(ValueError, match="X and y are paired by position although"):
        series_importance(SignOf().fit(X, y), table, y, n_channels=C)
    with pytest.raises(ValueError, match="X and y are paired by position although"):
        privileged_importance(SignOf(), table, y, X)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="older versions of scikit-learn do not see the names of polars' columns",
)
def test_columns_of_polars_keep_their_names(series, small):
    names = [f"column {i}" for i in range(12)]
    scaler = make_column_transformer((StandardScaler(), names))
    pipeline = make_pipeline(scaler, SeriesClassifier(small, n_channels=2, random_state=0))
    columns = dict(zip(names, series.X.reshape(120, 12).T, strict=True))
    tables = pl.DataFrame(columns), pd.DataFrame(columns)
    pipeline.fit(tables[0], series.y)
    of_polars, of_pandas = (
        series_importance(pipeline, table, series.y, by="band", n_channels=2, random_state=0)
        for table in tables
    )
    pd.testing.assert_frame_equal(of_polars, of_pandas)
    assert of_polars["importance"].max() > 0
