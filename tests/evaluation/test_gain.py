import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gkd import GKDClassifier
from sklearn_gkd.evaluation import _controls as controls
from sklearn_gkd.evaluation import _gain, gain_table, privileged_gain

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
METRICS = ["f_measure", "kappa", "accuracy"]


@pytest.fixture
def estimator(small):
    return GKDClassifier(small, small, random_state=99)


@pytest.fixture
def runs(monkeypatch):
    """Replace the fits by one that records what it is given, and predicts the first class."""
    seen = []

    def record(estimator, split):
        seen.append((estimator, split))
        return np.repeat(split.y[:1], len(split.X_test))

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
    assert results["value"].between(-1, 1).all()
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
    plain = RandomForestClassifier(random_state=seed).fit(
        series.X[train, :].reshape(60, -1), series.y[train]
    )
    right = plain.predict(series.X[test].reshape(60, -1)) == series.y[test]
    assert value_of(results, "forest", 0) == right.mean()


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


def test_table_is_the_corrected_resampled_t_test(results):
    table = gain_table(results)
    for metric in ("kappa", "f_measure"):
        of_metric = results[results["metric"] == metric]
        values = {name: rows["value"].to_numpy() for name, rows in of_metric.groupby("method")}
        headroom = values["teacher"].mean() - values["student alone"].mean()
        for method in values:
            row = table.loc[(metric, method)]
            above = values[method].mean() - values["student alone"].mean()
            assert row["mean"] == pytest.approx(values[method].mean())
            assert row["above_alone"] == pytest.approx(above)
            assert row["recovered"] == pytest.approx(above / headroom)
            if method == "estimator":
                assert row[["gain", "low", "high", "p_value"]].isna().all()
                continue
            d = values["estimator"] - values[method]
            error = (((d - d.mean()) ** 2).sum() / 4 * (1 / 5 + 30 / 60)) ** 0.5
            law = stats.t(df=4)
            low, high = d.mean() - 2.776445 * error, d.mean() + 2.776445 * error
            assert row[["gain", "low", "high"]].tolist() == pytest.approx([d.mean(), low, high])
            assert row["p_value"] == pytest.approx(2 * (1 - law.cdf(abs(d.mean() / error))))


def test_table_without_correction_is_a_paired_t_test(results):
    table = gain_table(results.assign(n_test=0)).loc["kappa"]
    values = results[results["metric"] == "kappa"].pivot_table("value", "split", "method")
    test = stats.ttest_rel(values["estimator"], values["teacher"])
    assert table.loc["teacher", "p_value"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval()
    assert table.loc["teacher", ["low", "high"]].tolist() == pytest.approx(list(interval))


def test_table_survives_csv_order_and_another_reference(results, tmp_path):
    results.sample(frac=1, random_state=0).to_csv(tmp_path / "results.csv", index=False)
    again = gain_table(pd.read_csv(tmp_path / "results.csv"))
    table = gain_table(results)
    pd.testing.assert_frame_equal(again.loc[table.index], table)
    of_teacher = gain_table(results, reference="teacher")
    assert (
        of_teacher.loc[("kappa", "estimator"), "gain"] == -table.loc[("kappa", "teacher"), "gain"]
    )


def test_table_of_one_split_has_no_interval(results):
    table = gain_table(results[results["split"] == 0])
    assert table[["low", "high", "p_value"]].isna().all(axis=None)
    assert table["gain"].notna().sum() == 6
    assert table["recovered"].notna().all()


def test_table_of_equal_methods_has_no_p_value(results):
    same = results.assign(value=0.5)
    table = gain_table(same)
    assert table[["p_value", "recovered"]].isna().all(axis=None)
    assert (table.loc[("kappa", "teacher"), ["gain", "low", "high"]] == 0).all()


def test_table_without_a_teacher_has_no_headroom(results):
    table = gain_table(results[results["method"] != "teacher"])
    assert table["recovered"].isna().all()
    assert table["above_alone"].notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda results: results.drop(columns="n_test"), "results lack .'n_test'."),
        (lambda results: results[results["method"] != "estimator"], "reference='estimator'"),
        (lambda results: pd.concat([results, results]), "a split twice"),
    ],
)
def test_table_refuses(results, change, message):
    with pytest.raises(ValueError, match=message):
        gain_table(change(results))


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
    with pytest.raises(ValueError, match=r"in 60 of the 120 rows that are tested on.*cv"):
        privileged_gain(estimator, series.X, series.y, X_priv, cv=2)
    with pytest.raises(ValueError, match="X_unlabeled was given without X_priv_unlabeled"):
        privileged_gain(estimator, series.X, series.y, X_priv, cv=cv, X_unlabeled=series.X[:7])
