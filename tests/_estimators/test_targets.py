import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression

from sklearn_gkd import GKDRegressor
from sklearn_gkd._estimators._targets import Classes, Quantity, as_numbers
from sklearn_gkd.losses import (
    DistillationLoss,
    LabelLoss,
    LossWeights,
    QuantityDistillationLoss,
    QuantityLoss,
)

Y = np.array(["oats", "rye", "oats", "maize"])


def test_codes_are_the_places_of_sorted_labels():
    classes, codes = Classes.of(Y)
    assert classes.labels.tolist() == ["maize", "oats", "rye"]
    assert classes.n_outputs == 3
    assert codes.tolist() == [1, 2, 1, 0]
    assert classes.encode(["rye", "maize"], 2).tolist() == [2, 0]
    assert classes.decode(torch.tensor([[0.1, 2, 1], [3, 1, 2]])).tolist() == ["oats", "maize"]


def test_what_cannot_be_encoded_is_named():
    with pytest.raises(ValueError, match="y holds one class, 'oats'"):
        Classes.of(Y[[0, 2]])
    classes, _ = Classes.of(Y)
    with pytest.raises(ValueError, match=r"y_val holds classes that y does not: \['wheat'\]"):
        classes.encode(["rye", "wheat"], 2)
    with pytest.raises(ValueError, match="y_val has 1 rows and X_val has 2"):
        classes.encode(["rye"], 2)


def test_weights_are_scikit_learn_s():
    classes, codes = Classes.of(Y)
    assert classes.weighted(None, codes).weights is None
    by_class = classes.weighted({"oats": 3}, codes)
    assert by_class.weights.tolist() == [1, 3, 1]
    assert classes.weighted("balanced", codes).weights == pytest.approx([4 / 3, 4 / 6, 4 / 3])
    assert isinstance(by_class.loss(), LabelLoss)
    assert by_class.loss().class_weight.tolist() == [1, 3, 1]
    assert isinstance(by_class.loss(LossWeights()), DistillationLoss)


@pytest.mark.parametrize(("weights", "points", "most"), [(None, 2, 3), ([1, 3, 5], 4, 9)])
def test_a_score_is_the_weight_of_the_rows_that_are_right(weights, points, most):
    classes = Classes(np.array(["maize", "oats", "rye"]), weights and np.array(weights, "f4"))
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [9, 0, 0], [0, 0, 9]])
    codes = torch.tensor([0, 1, 2, -1])  # the last has no label, and counts for nothing
    right, total = classes.score(logits, codes)
    assert (right.item(), total.item()) == (points, most)
    of_cohort, total = classes.score(torch.stack([logits, -logits]), codes)
    assert of_cohort.tolist() == [points, 0]
    assert total.item() == most


def test_weights_of_rows_multiply_those_of_classes_and_are_balanced_with_them():
    classes, codes = Classes.of(Y)
    of_rows = np.array([0.4, 1.6, 1.2, 0.8])  # 1 on average
    # The rows' weights sum to 0.8 of maize, 1.6 of oats, 1.6 of rye: 4 in all, of 3 classes.
    balanced = classes.weighted("balanced", codes, of_rows).weights
    assert balanced == pytest.approx([4 / 3 / 0.8, 4 / 3 / 1.6, 4 / 3 / 1.6])
    assert classes.weighted({"oats": 3}, codes, of_rows).weights.tolist() == [1, 3, 1]
    assert classes.weighted(None, codes, of_rows).weights is None

    logits = torch.tensor([[0.0, 9, 0], [0, 0, 9], [9, 0, 0], [0, 0, 9]])  # maize, oats wrong
    given = torch.tensor(codes), torch.tensor(of_rows)
    points, most = classes.weighted({"oats": 3}, codes).score(logits, *given)
    assert points.item() == pytest.approx(3 * 0.4 + 1.6)
    assert most.item() == pytest.approx(3 * 0.4 + 1.6 + 3 * 1.2 + 0.8)


@pytest.mark.parametrize("weights", [{"a": -1, "b": 2}, {"a": np.nan}, {"a": 0, "b": 0}])
def test_weights_that_are_no_weights_are_refused_by_name(weights):
    classes, codes = Classes.of(np.array(["a", "b", "b"]))
    with pytest.raises(ValueError, match=r"^class_weight gives the classes the weights {'a'"):
        classes.weighted(weights, codes)


def test_where_classes_weigh_differently_outputs_start_at_the_logarithms_of_their_rows_weights():
    labels = np.array(["maize", "oats", "rye"])
    codes = np.array([0, 1, 1, 1, 1, 2, 2, -1])
    of_rows = np.array([8.0, 0.5, 0.5, 0.5, 0.5, 2, 2, 99])
    classes = Classes(labels, np.array([1, 2, 0.5]))
    for weights, expected in [
        (None, [1 / 10, 8 / 10, 1 / 10]),
        (of_rows, [8 / 14, 4 / 14, 2 / 14]),
    ]:
        bias = np.array(classes.output_bias(codes, weights))
        assert np.exp(bias) / np.exp(bias).sum() == pytest.approx(expected)
        assert bias.sum() == pytest.approx(0)
    balanced = Classes(labels).weighted("balanced", codes[:-1])
    assert balanced.output_bias(codes, None) is None
    assert np.isfinite(classes.output_bias(np.array([0, 1]), None)).all()
    for alike in (None, np.full(3, 2.0)):
        assert Classes(labels, alike).output_bias(codes, of_rows) is None


NUMBERS = np.array([[1.0, 100.0], [2.0, 100.0], [4.0, 100.0], [100.0, 100.0]])
TRAIN = np.arange(3)


@pytest.mark.parametrize("weights", [None, np.array([2.0, 0.5, 0.5])])
def test_numbers_are_standardised_by_the_training_rows(weights):
    quantity, raw = Quantity.of(NUMBERS, "huber")
    np.testing.assert_array_equal(raw, NUMBERS)
    quantity, scaled = quantity.standardized(raw, TRAIN, weights)
    mean = np.average(NUMBERS[:3, 0], weights=weights)
    deviation = np.sqrt(np.average((NUMBERS[:3, 0] - mean) ** 2, weights=weights))
    np.testing.assert_allclose(scaled[:, 0], (NUMBERS[:, 0] - mean) / deviation, rtol=1e-6)
    assert scaled[:, 1].tolist() == [0, 0, 0, 0]  # a constant
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(quantity.as_given(scaled), NUMBERS, rtol=1e-6)
    np.testing.assert_allclose(quantity.decode(torch.tensor(scaled)), NUMBERS, rtol=1e-6)
    np.testing.assert_allclose(quantity.encode(NUMBERS[:2], 2), scaled[:2])
    assert quantity.n_outputs == 2
    assert quantity.output_bias(scaled, None) is None
    assert quantity.loss().kind == "huber"
    assert isinstance(quantity.loss(), QuantityLoss)
    assert isinstance(quantity.loss(LossWeights()), QuantityDistillationLoss)


def test_numbers_of_one_dimension_come_back_so():
    quantity, raw = Quantity.of(NUMBERS[:, 0], "squared_error")
    quantity, scaled = quantity.standardized(raw, TRAIN, None)
    assert scaled.shape == (4, 1)
    assert quantity.decode(torch.tensor(scaled)) == pytest.approx(NUMBERS[:, 0], rel=1e-6)


def test_numbers_that_cannot_be_learnt_are_named():
    with pytest.raises(ValueError, match="y: could not convert string to float"):
        as_numbers(np.array(["rye", "oats"]), "y")
    with pytest.raises(ValueError, match="y has 1 masked values"):
        as_numbers(np.ma.masked_equal([1.0, 2.0], 2.0), "y")
    with pytest.raises(ValueError, match="y contains NaN"):
        as_numbers([1.0, np.nan], "y")
    quantity, raw = Quantity.of(NUMBERS, "squared_error")
    with pytest.raises(ValueError, match=r"y_val has the shape \(2,\). Give \(2, 2\)"):
        quantity.encode([1.0, 2.0], 2)
    with pytest.raises(ValueError, match="y has one sample to train on"):
        quantity.standardized(raw, TRAIN[:1], None)
    with pytest.raises(ValueError, match="so large"):
        quantity.standardized(raw * 1e200, TRAIN, None)
    with pytest.raises(ValueError, match="so alike"):
        quantity.standardized(raw * 1e-160, TRAIN, None)


def test_the_unit_of_a_quantity_does_not_matter():
    quantity, raw = Quantity.of(NUMBERS, "squared_error")
    expected = quantity.standardized(raw, TRAIN, None)[1]
    for factor in (1e-100, 1e100):
        scaled = quantity.standardized(raw * factor, TRAIN, None)[1]
        np.testing.assert_allclose(scaled, expected, rtol=1e-5)
    assert not quantity.standardized(np.full_like(raw, 1e-200), TRAIN, None)[1].any()


def test_the_score_of_a_quantity_is_minus_the_distance():
    quantity = Quantity(np.array(5.0), np.array(2.0), "absolute_error")
    outputs = torch.tensor([[1.0], [2.0], [3.0]])
    numbers = torch.tensor([[0.0], [4.0], [torch.nan]])
    points, most = quantity.score(outputs, numbers)
    assert (points.item(), most.item()) == (-3, 2)
    of_cohort, most = quantity.score(torch.stack([outputs, -outputs]), numbers, torch.arange(1, 4))
    assert (of_cohort.tolist(), most.item()) == ([-(1 + 2 * 2), -(1 + 2 * 6)], 3)


def test_held_out_losses_of_a_quantity_are_squared_errors_by_weight():
    quantity = Quantity(np.zeros(2), np.ones(2), "absolute_error")
    rows = np.array([[1.0, 2.0], [0.0, 3.0]])
    losses = quantity.held_out_losses(torch.zeros(2, 2), rows, None)
    assert losses.tolist() == [5, 9]
    losses = quantity.held_out_losses(torch.zeros(2, 2), rows, np.array([1.0, 3.0]))
    assert losses.tolist() == [2.5, 13.5]


def test_a_regressor_teaches_in_the_units_of_y_and_is_read_standardised():
    X = np.arange(8.0).reshape(4, 2)
    y = X.sum(axis=1)
    quantity, raw = Quantity.of(y, "squared_error")
    quantity, scaled = quantity.standardized(raw, np.arange(4), None)
    teacher = LinearRegression()
    assert not quantity.is_known_to(teacher)
    teacher.fit(X, quantity.for_teacher(scaled))
    assert quantity.is_known_to(teacher)
    np.testing.assert_allclose(teacher.predict(X), y, rtol=1e-5)
    np.testing.assert_allclose(quantity.told_by(teacher, X), scaled, atol=1e-5)
    with pytest.raises(ValueError, match="teacher predicts 1 numbers for each row, and y has 2"):
        Quantity(np.zeros(2), np.ones(2)).told_by(teacher, X)


@pytest.mark.parametrize("of", [np.asarray, list, pd.Series, pd.Index])
def test_dates_are_no_numbers(of, small, series):
    dates = np.datetime64("2020-01-01") + np.arange(120)
    with pytest.raises(ValueError, match=r"y holds dates or durations. Give numbers"):
        GKDRegressor(small, small, beta=0, gamma=0).fit(series.X, of(dates))
    table = pd.DataFrame({"a": dates, "b": dates - dates[0]})
    with pytest.raises(ValueError, match=r"X holds dates or durations"):
        GKDRegressor(small, small, beta=0, gamma=0).fit(table, np.arange(120.0))
    with pytest.raises(ValueError, match=r"X_priv holds dates or durations"):
        GKDRegressor(small, small).fit(series.X, np.arange(120.0), X_priv=table)
