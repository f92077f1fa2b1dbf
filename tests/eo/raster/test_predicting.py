import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_gkd.eo import GapFiller

pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
from sklearn_gkd.eo.raster._predicting import (
    PixelClassifier,
    names_of_numbers,
    numbers_per_row,
    predict_numbers,
    predict_probabilities,
    predict_quantity,
    refuse_options_of_classes,
    refuse_options_of_probabilities,
)

NAMES = ["VV_d003", "VH_d003", "VV_d015", "VH_d015"]


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture
def y(X):
    return np.where(X[:, 0] < -0.5, "rye", np.where(X[:, 0] < 0.5, "oats", "maize"))


@pytest.mark.parametrize(
    ("model", "n_without"),
    [
        (LogisticRegression(), 2),
        (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2), 1),
        (make_pipeline(GapFiller(), LogisticRegression()), 1),
        (make_pipeline(StandardScaler(), LogisticRegression()), 2),
        (make_pipeline("passthrough", LogisticRegression()), 2),
        (make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()), 1),
        (
            make_pipeline(
                make_column_transformer((SimpleImputer(), [0, 1]), remainder="passthrough"),
                LogisticRegression(),
            ),
            2,
        ),
        (GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression()), {}, cv=2), 1),
        (CalibratedClassifierCV(make_pipeline(SimpleImputer(), LogisticRegression()), cv=2), 1),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_rows_without_data_are_no_class(model, n_without, named, X, y):
    names = NAMES if named else None
    model.fit(pd.DataFrame(X, columns=names) if named else X, y)
    table = X.copy()
    table[0] = np.nan
    table[1, 2] = np.nan
    numbers = predict_numbers(model, table, names)
    probabilities = predict_probabilities(model, table, names)
    assert numbers[:n_without].tolist() == [0] * n_without
    assert np.isnan(probabilities[:n_without]).all()
    rest = pd.DataFrame(table[n_without:], columns=names) if named else table[n_without:]
    assert model.classes_[numbers[n_without:] - 1].tolist() == model.predict(rest).tolist()
    np.testing.assert_array_equal(probabilities[n_without:], model.predict_proba(rest))


class Unchecked(ClassifierMixin, BaseEstimator):
    """Multiplies whatever it is given, as a net does that checks nothing."""

    classes_ = np.array([1, 2])

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1) + 1

    def predict_proba(self, X):
        return X[:, :2] * 0.5


def test_a_row_whose_probabilities_would_be_nan_is_no_class():
    table = np.array([[1.0, np.nan], [2.0, 1.0]])
    assert predict_numbers(Unchecked(), table).tolist() == [0, 1]


def test_the_class_is_what_predict_says(X):
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.1, pos_label="wet")
    model.fit(X, np.where(X[:, 0] > 1, "wet", "dry"))
    layers = PixelClassifier(model, measures=("confidence",)).layers_of(X, None)
    highest = model.predict_proba(X)
    assert (highest[:, 1] > 0.1).sum() > (highest[:, 1] > 0.5).sum()
    assert layers[0].tolist() == (1 + (highest[:, 1] >= 0.1)).tolist()
    np.testing.assert_allclose(layers[1], highest.max(axis=1), rtol=1e-6)


def test_a_table_without_any_data(X, y):
    model = LogisticRegression().fit(X, y)
    table = np.full((2, 4), np.nan)
    assert predict_numbers(model, table).tolist() == [0, 0]
    assert np.isnan(predict_probabilities(model, table)).all()
    assert predict_probabilities(model, table).shape == (2, 3)


@pytest.mark.parametrize("n_numbers", [1, 2])
@pytest.mark.parametrize("named", [False, True])
def test_rows_without_data_have_no_quantity(n_numbers, named, X):
    names = NAMES if named else None
    y = X[:, 0] if n_numbers == 1 else X[:, :2]
    model = LinearRegression().fit(pd.DataFrame(X, columns=names) if named else X, y)
    assert numbers_per_row(model, 4) == n_numbers
    table = X.copy()
    table[[0, 1], [0, 2]] = np.nan
    numbers = predict_quantity(model, table, n_numbers, names)
    assert np.isnan(numbers[:2]).all()
    np.testing.assert_allclose(numbers[2:], X[2:, :n_numbers])
    assert np.isnan(predict_quantity(model, table[:2], n_numbers, names)).all()


def test_numbers_have_names_and_no_options_of_classes():
    assert names_of_numbers(1) == ["predicted"]
    assert names_of_numbers(2) == ["predicted_1", "predicted_2"]
    refuse_options_of_classes(names=None)
    with pytest.raises(ValueError, match="colors was given, but the estimator is a regressor"):
        refuse_options_of_classes(names=None, colors={})


def test_measures_need_probabilities():
    refuse_options_of_probabilities(LinearSVC(), confidence=None)
    refuse_options_of_probabilities(LogisticRegression(), confidence="a.tif")
    with pytest.raises(ValueError, match="confidence was given, but LinearSVC has no predict_pr"):
        refuse_options_of_probabilities(LinearSVC(), confidence="a.tif")


def test_classes_as_a_column_and_any_error_of_a_row_with_gaps(X, y):
    class Column(LogisticRegression):
        def predict(self, X):
            return super().predict(X)[:, None]

        def predict_proba(self, X):
            if np.isnan(X).any():
                raise RuntimeError("no values")
            return super().predict_proba(X)

    gaps = X.copy()
    gaps[0, 0] = np.nan
    expected = predict_numbers(LogisticRegression().fit(X, y), gaps)
    np.testing.assert_array_equal(predict_numbers(Column().fit(X, y), gaps), expected)
