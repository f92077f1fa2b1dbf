import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gkd import GKDClassifier, GKDRegressor
from sklearn_gkd.evaluation import _controls as controls
from sklearn_gkd.evaluation import _gain, privileged_gain

METHODS = [
    "forest",
    "student alone",
    "student alone, longer",
    "estimator",
    "teacher",
    "permuted X_priv",
    "self-distillation",
    "imputation",
    "modality dropout",
]
METRICS = ["f_measure", "macro_f", "kappa", "accuracy", "log_loss", "brier"]


@pytest.fixture
def estimator(small):
    return GKDClassifier(small, small, random_state=99)


@pytest.fixture
def runs(monkeypatch):
    """Replace the fits by one that records what it is given, and predicts the first class."""
    seen = []

    def record(estimator, split):
        seen.append((estimator, split))
        classes = np.unique(split.y)
        return controls.Predicted(classes, np.eye(len(classes))[np.zeros(len(split.X_test), int)])

    monkeypatch.setattr(_gain, "FITS", {record: ("first",)})
    return seen


def value_of(results, method, split, metric="accuracy"):
    rows = results.query("method == @method and split == @split and metric == @metric")
    return rows["value"].item()


def test_gain_has_a_row_for_each_split_method_and_metric(estimator, series, monkeypatch):
    ran = []
    spies = {}
    for fit, methods in controls.FITS.items():

        def spy(estimator, split, fit=fit):
            ran.append((fit.__name__, estimator.random_state, split.X.sum()))
            return fit(estimator, split)

        spies[spy] = methods
    monkeypatch.setattr(_gain, "FITS", spies)
    cv = [(np.arange(0, 120, 2), np.arange(1, 120, 2)), (np.arange(90), np.arange(90, 120))]
    call = (estimator, series.X, series.y, series.X_priv)
    results = privileged_gain(*call, cv=cv, random_state=0)
    assert results.columns.tolist() == ["method", "split", "metric", "value", "n_train", "n_test"]
    expected = [(s, m, k) for s in (0, 1) for m in METHODS for k in METRICS]
    assert (
        list(zip(results["split"], results["method"], results["metric"], strict=True)) == expected
    )
    of_losses = results["metric"].isin(["log_loss", "brier"])
    assert results["value"][~of_losses].between(-1, 1).all()
    assert (results["value"][of_losses] > 0).all()
    sizes = results.groupby("split")[["n_train", "n_test"]].agg(set)
    assert sizes.to_numpy().tolist() == [[{60}, {60}], [{90}, {30}]]
    assert len({(seed, rows) for _, seed, rows in ran}) == 2
    assert len({seed for _, seed, _ in ran}) == 2
    assert len(ran) == 2 * 8
    assert estimator.random_state == 99
    assert not hasattr(estimator, "classes_")

    (train, test), seed = cv[0], ran[0][1]
    by_hand = clone(estimator).set_params(random_state=seed)
    by_hand.fit(series.X[train], series.y[train], X_priv=series.X_priv[train])
    right = by_hand.predict(series.X[test]) == series.y[test]
    assert value_of(results, "estimator", 0) == right.mean()
    proba = by_hand.predict_proba(series.X[test])
    of_true = proba[series.y[test][:, None] == by_hand.classes_]
    assert value_of(results, "estimator", 0, "log_loss") == pytest.approx(-np.log(of_true).mean())
    plain = RandomForestClassifier(random_state=seed).fit(
        series.X[train, :].reshape(60, -1), series.y[train]
    )
    right = plain.predict(series.X[test].reshape(60, -1)) == series.y[test]
    assert value_of(results, "forest", 0) == right.mean()


@pytest.mark.long
def test_gain_is_the_same_by_one_process_or_two(estimator, series):
    call = (estimator.set_params(student__max_epochs=1, teacher__max_epochs=1), series.X, series.y)
    one, two, again = (
        privileged_gain(*call, series.X_priv, cv=2, n_jobs=n_jobs, random_state=seed)
        for n_jobs, seed in [(1, 0), (2, 0), (1, 1)]
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(again)


@pytest.mark.parametrize("grouped", [False, True])
def test_gain_by_default_tests_on_ten_random_shares(estimator, series, runs, grouped):
    groups = series.groups if grouped else None
    results = privileged_gain(
        estimator, series.X, series.y, series.X_priv, groups=groups, random_state=0
    )
    assert len(runs) == 10
    assert len({split.X.sum() for _, split in runs}) >= 9  # of 12 groups, two draws may agree
    assert len({fitted.random_state for fitted, _ in runs}) == 10
    shares = results["n_test"] / 120
    assert shares.between(0.2, 0.4).all() if grouped else (shares == 0.3).all()
    for _, split in runs:
        in_test = (series.X[:, None, 0, 0] == split.X_test[None, :, 0, 0]).any(axis=1)
        np.testing.assert_array_equal(series.X[~in_test], split.X)
        np.testing.assert_array_equal(series.y[~in_test], split.y)
        np.testing.assert_array_equal(series.X_priv[~in_test], split.X_priv)
        np.testing.assert_array_equal(series.X_priv[in_test], split.X_priv_test)
        if grouped:
            np.testing.assert_array_equal(groups[~in_test], split.groups)
            assert not set(groups[in_test]) & set(split.groups)


def test_gain_takes_a_number_of_folds_and_a_splitter_of_groups(estimator, series, runs):
    call = (estimator, series.X.tolist(), series.y, pd.DataFrame(series.X_priv.reshape(120, -1)))
    privileged_gain(*call, cv=3, random_state=0)
    for _, split in runs:
        assert [np.sum(split.y == name) for name in ("maize", "meadow", "forest")] == pytest.approx(
            [33, 27, 20], abs=1
        )
    runs.clear()
    privileged_gain(*call, cv=GroupKFold(4), groups=series.groups)
    assert [len(set(split.groups)) for _, split in runs] == [9] * 4


def test_gain_fits_without_memory(estimator, series, runs, tmp_path):
    estimator.set_params(memory=str(tmp_path))
    privileged_gain(estimator, series.X, series.y, series.X_priv, cv=2)
    assert [fitted.memory for fitted, _ in runs] == [None, None]
    assert estimator.memory == str(tmp_path)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"estimator": RandomForestClassifier()}, TypeError, "a RandomForestClassifier"),
        ({"estimator": make_pipeline(StandardScaler(), GKDClassifier())}, TypeError, "a Pipeline"),
        ({"estimator": GKDClassifier(beta=0, gamma=0)}, ValueError, "beta=0 and gamma=0"),
        (
            {"estimator": GKDClassifier(FrozenEstimator(RandomForestClassifier()), beta=0)},
            ValueError,
            "FrozenEstimator as its teacher.*Give it unfitted",
        ),
        ({"estimator": GKDClassifier(alpha=-1)}, ValueError, "'alpha'"),
        ({"X_priv": np.zeros((119, 6, 4))}, ValueError, "X_priv has 119 rows and X has 120"),
        ({"X_priv": None}, TypeError, "X_priv is None"),
        ({"X_priv": np.full((120, 6, 4), np.nan)}, ValueError, "NaN throughout in 118 of the 118"),
        ({"y": np.zeros(119)}, ValueError, "y has 119 rows and X has 120"),
        ({"groups": np.zeros(119)}, ValueError, "groups has 119 rows and X has 120"),
        ({"groups": np.zeros((120, 2))}, ValueError, "^groups: "),
        ({"y": np.zeros((120, 2))}, ValueError, "^y"),
        ({"cv": 51}, ValueError, "^cv: n_splits=51 cannot be greater than the number of members"),
        ({"cv": [([0], [1, 2])]}, ValueError, "^cv=.* leaves a fold a single row.*another cv"),
    ],
)
def test_gain_refuses_before_any_fit(estimator, series, runs, changed, error, message):
    call = {"estimator": estimator, "X": series.X, "y": series.y, "X_priv": series.X_priv}
    with pytest.raises(error, match=message):
        privileged_gain(**(call | changed), random_state=0)
    assert not runs


def test_gain_with_pairs_without_a_label_and_rows_without_x_priv(estimator, series, runs):
    X_priv = series.X_priv.copy()
    X_priv[:60] = np.nan
    cv = [(np.arange(90), np.arange(90, 120))]
    pairs = {"X_unlabeled": series.X[:7], "X_priv_unlabeled": series.X_priv[:7]}
    privileged_gain(estimator, series.X, series.y, X_priv, cv=cv, **pairs)
    [(_, split)] = runs
    np.testing.assert_array_equal(split.X_unlabeled, series.X[:7])
    np.testing.assert_array_equal(split.X_priv_unlabeled, series.X_priv[:7])
    np.testing.assert_array_equal(np.isnan(split.X_priv).all(axis=(1, 2)), np.arange(90) < 60)
    unlabeled = series.X_priv[:7].copy()
    unlabeled[:3] = np.nan
    runs.clear()
    pairs["X_priv_unlabeled"] = unlabeled
    privileged_gain(estimator, series.X, series.y, X_priv, cv=cv, **pairs)
    np.testing.assert_array_equal(runs[0][1].X_unlabeled, series.X[3:7])  # the others teach nothing
    with pytest.raises(ValueError, match=r"in 60 of the 120 rows that are tested on.*cv"):
        privileged_gain(estimator, series.X, series.y, X_priv, cv=2)
    with pytest.raises(ValueError, match="X_unlabeled was given without X_priv_unlabeled"):
        privileged_gain(estimator, series.X, series.y, X_priv, cv=cv, X_unlabeled=series.X[:7])


def test_the_gain_of_a_regressor_has_all_methods(series, small):
    small.set_params(max_epochs=1)
    y = np.column_stack([series.X[:, 0, 0], -series.X[:, 0, 1]]).astype(float)
    reg = GKDRegressor(small, small)
    results = privileged_gain(reg, series.X, y, series.X_priv, cv=2, random_state=0)
    assert results["method"].unique().tolist() == METHODS
    assert set(results["metric"]) == {"r2", "rmse", "mae"}
    assert np.isfinite(results["value"]).all()


def test_what_each_source_adds_is_measured(series, small, monkeypatch):
    table = series.X_priv.reshape(120, -1).copy()
    table[::5, :8] = np.nan
    table[::7, 8:16] = np.nan
    sources = [(f"s{i}", "passthrough", slice(8 * i, 8 * i + 8), 4) for i in range(3)]
    estimator = GKDClassifier(small.set_params(max_epochs=1), small, priv_sources=sources)
    kept = []

    def spy(estimator, split):
        kept.append([name for name, *_ in estimator.priv_sources or ()])
        return original(estimator, split)

    original = controls.distillation
    monkeypatch.setattr(controls, "distillation", spy)
    rows = np.arange(120)
    cv = [(rows[rows % 3 > 0], rows[rows % 3 == 0])]
    results = privileged_gain(estimator, series.X, series.y, table, cv=cv, random_state=0)
    of_sources = ["s0 alone", "s1 alone", "s2 alone", "no s0", "no s1", "no s2"]
    assert list(results["method"].unique()) == METHODS + of_sources
    assert kept[-6:] == [["s0"], ["s1"], ["s2"], ["s1", "s2"], ["s0", "s2"], ["s0", "s1"]]
    two = clone(estimator).set_params(priv_sources=sources[:2])
    assert list(controls.fits_of_sources(two).values()) == [("s0 alone",), ("s1 alone",)]
    assert controls.fits_of_sources(two.set_params(priv_sources=None)) == {}


def test_a_network_of_series_sees_the_pixels_of_an_image_as_steps(series, logits_only):
    source = ("image", "passthrough", slice(0, None), (2, 3, 4))
    estimator = GKDClassifier(RandomForestClassifier(2), logits_only, beta=0, priv_sources=[source])
    table = series.X_priv.reshape(120, -1)
    estimator.set_params(max_epochs=1)
    results = privileged_gain(estimator, series.X, series.y, table, cv=2, random_state=0)
    assert np.isfinite(results["value"]).all()
