import numpy as np
import pandas as pd
import pytest

from sklearn_gkd.evaluation import area_adjusted

CLASSES = ["deforestation", "gain", "forest", "other"]
COUNTS = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
AREAS = dict(zip(CLASSES, [200_000, 150_000, 3_200_000, 6_450_000], strict=True))


def sample():
    mapped, true = np.meshgrid(CLASSES, CLASSES, indexing="ij")
    counts = np.ravel(COUNTS)
    return np.repeat(true.ravel(), counts), np.repeat(mapped.ravel(), counts)


def test_the_example_of_olofsson_et_al():
    estimates = area_adjusted(*sample(), AREAS)
    assert (round(estimates.accuracy, 2), round(estimates.accuracy_margin, 2)) == (0.95, 0.02)
    table = estimates.classes
    assert table["users"].round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert table["users_margin"].round(2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert table["producers"].round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert table.loc["deforestation", "producers_margin"].round(2) == 0.21
    assert table.loc["deforestation", "area"] == pytest.approx(235_086, abs=1)
    assert table.loc["deforestation", "area_margin"] == pytest.approx(68_418, rel=1e-3)
    assert table["area"].sum() == pytest.approx(10_000_000)


def test_areas_of_a_series_are_by_its_index():
    of_classes = area_adjusted([1] * 5 + [2] * 5, [1] * 5 + [2] * 5, pd.Series({2: 1.0, 1: 2.0}))
    assert of_classes.classes["area"].to_dict() == {1: 2.0, 2: 1.0}


def test_margins_cover_what_is_true():
    rng = np.random.default_rng(0)
    shares = np.array([[0.8, 0.2], [0.1, 0.9]])  # of the reference classes, where the map has each
    covered = []
    for _ in range(400):
        true = np.concatenate([rng.choice(["a", "b"], 60, p=row) for row in shares])
        estimates = area_adjusted(true, np.repeat(["a", "b"], 60), {"a": 100, "b": 300})
        classes = estimates.classes.loc["a"]
        covered.append(
            [
                abs(estimates.accuracy - (0.25 * 0.8 + 0.75 * 0.9)) < estimates.accuracy_margin,
                abs(classes["area"] - (80 + 30)) < classes["area_margin"],
                abs(classes["producers"] - 80 / 110) < classes["producers_margin"],
            ]
        )
    assert np.all(np.abs(np.mean(covered, axis=0) - 0.95) < 0.03)


def test_errors():
    y_true, y_pred = sample()
    with pytest.raises(ValueError, match=r"areas has none for \['gain'\]"):
        area_adjusted(y_true, y_pred, {name: 1 for name in CLASSES if name != "gain"})
    with pytest.raises(ValueError, match="and 0 for one that the map does not show"):
        area_adjusted([*y_true, "lake"], [*y_pred, y_pred[0]], AREAS)
    with pytest.raises(ValueError, match="0 rows where the map has 'lake'"):
        area_adjusted(y_true, y_pred, AREAS | {"lake": 5})
    with pytest.raises(ValueError, match="1 row where the map has 'lake'"):
        area_adjusted([*y_true, "lake"], [*y_pred, "lake"], AREAS | {"lake": 5})
    for confidence in (95, 0, 1, -0.5, np.nan, "0.95"):
        with pytest.raises(ValueError, match=f"confidence is {confidence!r}. Give a number"):
            area_adjusted(y_true, y_pred, AREAS, confidence=confidence)
    for area in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"areas is .* Give sizes, 0 or more"):
            area_adjusted(y_true, y_pred, AREAS | {"gain": area})
    with pytest.raises(ValueError, match="not all of them 0"):
        area_adjusted(y_true, y_pred, dict.fromkeys(AREAS, 0))
    with pytest.raises(ValueError, match="areas: could not convert"):
        area_adjusted(y_true, y_pred, AREAS | {"gain": "much"})
    with pytest.raises(ValueError, match=r"^y_true or y_pred: .*inconsistent numbers"):
        area_adjusted(y_true, y_pred[:5], AREAS)
    with pytest.raises(ValueError, match=r"^y_true: "):
        area_adjusted(np.stack([y_true, y_true], axis=1), y_pred, AREAS)
    with pytest.raises(ValueError, match=r"^y_pred: "):
        area_adjusted(y_true, np.stack([y_pred, y_pred], axis=1), AREAS)


def test_a_class_that_the_map_does_not_show_has_the_area_that_others_have_of_it():
    y_true = ["crop"] * 8 + ["lake"] * 2 + ["wood"] * 10
    y_pred = ["crop"] * 10 + ["wood"] * 10
    found = area_adjusted(y_true, y_pred, {"crop": 100, "wood": 900, "lake": 0})
    assert found.classes["area"].tolist() == pytest.approx([80, 900, 20])
    assert found.accuracy == pytest.approx((100 * 0.8 + 900) / 1000)
    assert found.classes["producers"].tolist() == [1, 1, 0]
    assert np.isnan(found.classes.loc["lake", ["users", "users_margin"]]).all()
