import numpy as np
import pandas as pd
import pytest

from sklearn_gkd.evaluation import (
    area_adjusted,
    class_f_measures,
    quantity_scores,
    scores,
    train_valid_test_split,
)


@pytest.fixture
def labels():
    rng = np.random.RandomState(0)
    y_true = rng.choice(["crops", "forest", "water"], size=60, p=[0.5, 0.3, 0.2])
    return y_true, np.where(rng.uniform(size=60) < 0.6, y_true, rng.permutation(y_true))


def confusion(y_true, y_pred):
    names = np.unique(y_true)
    return np.array([[np.sum((y_true == t) & (y_pred == p)) for p in names] for t in names])


def test_stratified_split_is_50_20_30_of_each_class():
    y = np.repeat(["a", "b", "c"], [200, 100, 40])
    parts = train_valid_test_split(y, random_state=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(340))
    for part, share in zip(parts, [0.5, 0.2, 0.3], strict=True):
        counts = [np.sum(y[part] == name) for name in "abc"]
        np.testing.assert_allclose(counts, share * np.array([200, 100, 40]), atol=1)


def test_grouped_split_shares_no_group_and_keeps_every_class_in_training():
    rng = np.random.RandomState(1)
    groups = np.repeat(np.arange(40), rng.randint(5, 40, size=40))
    y = rng.choice(list("abcd"), size=len(groups), p=[0.5, 0.3, 0.15, 0.05])
    for seed in range(5):
        parts = train_valid_test_split(y, groups=groups, random_state=seed)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
        train, valid, test = (set(groups[part]) for part in parts)
        assert not train & valid
        assert not train & test
        assert not valid & test
        assert set(y[parts[0]]) == set("abcd")
        np.testing.assert_allclose([len(p) / len(y) for p in parts], [0.5, 0.2, 0.3], atol=0.02)


@pytest.mark.parametrize("groups", [None, np.arange(100) // 4])
def test_same_seed_same_split(groups):
    y = np.arange(100) % 3
    first, second, other = (
        train_valid_test_split(y, groups=groups, random_state=seed) for seed in (1, 1, 2)
    )
    for part, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("sizes", [(0.5, 0.5), (0.5, 0.2, 0.2), (1.1, -0.2, 0.1)])
def test_sizes_are_three_shares_of_one(sizes):
    with pytest.raises(ValueError, match="sizes="):
        train_valid_test_split([0, 1] * 10, sizes=sizes)


def test_scores_by_hand(labels):
    table = confusion(*labels)
    n = table.sum()
    observed = np.trace(table) / n
    expected = (table.sum(0) * table.sum(1)).sum() / n**2
    f_measures = 2 * np.diag(table) / (table.sum(0) + table.sum(1))
    assert scores(*labels) == pytest.approx(
        {
            "accuracy": observed,
            "kappa": (observed - expected) / (1 - expected),
            "f_measure": (f_measures * table.sum(1)).sum() / n,
            "macro_f": f_measures.mean(),
        }
    )
    by_class = class_f_measures(*labels, ["water", "crops", "forest", "moor"])
    assert by_class.to_dict() == pytest.approx(
        {"crops": f_measures[0], "forest": f_measures[1], "water": f_measures[2], "moor": 0}
    )


def test_losses_by_hand(labels):
    y_true, y_pred = labels
    classes = ["water", "crops", "forest"]  # in no order
    proba = np.random.RandomState(0).dirichlet([1, 1, 1], size=60)
    measured = scores(y_true, y_pred, proba, classes=classes)
    assert scores(y_true, y_pred).items() <= measured.items()
    log_loss = brier = 0.0
    for name, row in zip(y_true, proba, strict=True):
        true = classes.index(name)
        log_loss -= np.log(row[true]) / 60
        brier += sum((p - (i == true)) ** 2 for i, p in enumerate(row)) / 60
    assert measured["log_loss"] == pytest.approx(log_loss)
    assert measured["brier"] == pytest.approx(brier)


def test_a_class_that_was_not_trained_on_has_no_probability():
    measured = scores(
        ["a", "b", "c"], ["a", "a", "b"], [[0.8, 0.2], [0.5, 0.5], [0, 1]], classes=["a", "b"]
    )
    assert measured["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.5**2 + 2) / 3)
    smallest = np.finfo(float).eps
    assert measured["log_loss"] == pytest.approx(-np.log([0.8, 0.5, smallest]).mean())


@pytest.mark.parametrize(
    ("y_proba", "classes", "message"),
    [
        (np.full((2, 2), 0.5), None, "classes is None, and y_proba alone"),
        (np.full((2, 3), 0.5), ["a", "b"], r"y_proba has shape \(2, 3\) and not \(2, 2\)"),
        (np.full((3, 2), 0.5), ["a", "b"], r"y_proba has shape \(3, 2\) and not \(2, 2\)"),
    ],
)
def test_probabilities_need_their_classes(y_proba, classes, message):
    with pytest.raises(ValueError, match=message):
        scores(["a", "b"], ["a", "b"], y_proba, classes=classes)


def test_scores_of_a_quantity_are_by_hand():
    y_true = np.array([[1.0, 10], [2, 30], [6, 20]])
    y_pred = np.array([[2.0, 10], [2, 10], [6, 20]])
    one = quantity_scores(y_true[:, 0], y_pred[:, 0])
    assert one == pytest.approx({"r2": 1 - 1 / 14, "rmse": (1 / 3) ** 0.5, "mae": 1 / 3})
    both = quantity_scores(y_true, y_pred)
    of_second = {"r2": 1 - 400 / 200, "rmse": (400 / 3) ** 0.5, "mae": 20 / 3}
    assert both == pytest.approx({name: (one[name] + of_second[name]) / 2 for name in one})


def test_rows_whose_labels_contradict_are_not_compared():
    y_true = pd.Series(["a", "b"] * 10)
    y_pred = y_true.sample(frac=1, random_state=0)
    for compare in (
        lambda true, pred: scores(true, pred)["accuracy"],
        lambda true, pred: quantity_scores(true == "a", pred == "a")["r2"],
        lambda true, pred: class_f_measures(true, pred, ["a", "b"]).min(),
        lambda true, pred: area_adjusted(true, pred, {"a": 1, "b": 2}).accuracy,
    ):
        with pytest.raises(ValueError, match="y_true and y_pred are paired by position although"):
            compare(y_true, y_pred)
        assert compare(y_true, y_pred.loc[y_true.index]) == 1
