import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_gkd.evaluation import gain_table, holm_corrected


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


def test_gain_is_over_the_better_of_alone_and_self_distillation(results):
    table = gain_table(results)
    assert table.index[table["to_beat"]].tolist() == [
        ("kappa", "student alone"),
        ("f_measure", "student alone"),
    ]
    taught = results[results["method"] == "permuted X_priv"].assign(method="self-distillation")
    for change, better in [(-0.1, "student alone"), (0.1, "self-distillation")]:
        both = pd.concat([results, taught.assign(value=taught["value"] + change)])
        marked = gain_table(both).loc["kappa"]
        assert marked.index[marked["to_beat"]].tolist() == [better]
    neither = results[results["method"] != "student alone"]
    assert not gain_table(neither)["to_beat"].any()
    assert not gain_table(results, reference="student alone")["to_beat"].any()


def test_gain_of_a_loss_is_positive_where_it_is_lower(results):
    scores = results[results["metric"] == "kappa"]
    losses = scores.assign(metric="log_loss", value=2 - scores["value"])
    of_scores = gain_table(scores).loc["kappa"]
    of_losses = gain_table(losses).loc["log_loss"]
    assert of_losses["mean"].to_numpy() == pytest.approx(2 - of_scores["mean"].to_numpy())
    for column in of_scores.columns.drop("mean"):
        np.testing.assert_allclose(of_losses[column], of_scores[column])
    assert of_losses.loc["student alone", "gain"] > 0 > of_losses.loc["teacher", "gain"]


def test_table_tells_on_how_many_splits_a_comparison_stands(results):
    gone = (results["method"] == "teacher") & (results["split"] == 2)
    n_splits = gain_table(results[~gone]).loc["kappa", "n_splits"]
    assert n_splits.to_dict() == {
        "estimator": 0,
        "student alone": 5,
        "teacher": 4,
        "permuted X_priv": 5,
    }


@pytest.fixture
def cells():
    """Four comparisons, of 5, 10, 10 and 8 splits, and the reference itself."""
    gain = np.array([0.05, 0.02, -0.03, 0.001, np.nan])
    error = np.array([0.004, 0.0075, 0.011, 0.02, np.nan])
    n_splits = np.array([5, 10, 10, 8, 0])
    margin = stats.t.ppf(0.975, n_splits - 1) * error
    p_value = 2 * stats.t.sf(np.abs(gain / error), n_splits - 1)
    return pd.DataFrame(
        {
            "gain": gain,
            "low": gain - margin,
            "high": gain + margin,
            "p_value": p_value,
            "n_splits": n_splits,
        },
        index=["fourth", "b", "c", "d", "estimator"],
    )


def test_holm_stops_at_the_first_that_is_not_significant(cells):
    corrected = holm_corrected(cells)
    p = cells["p_value"]  # 0.0002, 0.026, 0.023, 0.96: only the first holds among four
    assert p.iloc[0] < 0.05 / 4
    assert 0.05 / 3 < p["c"] < p["b"] < 0.05
    expected = [4 * p.iloc[0], 3 * p["c"], 3 * p["c"], p["d"]]
    assert corrected["p_value"].tolist()[:4] == pytest.approx(expected)
    for i, n_left in enumerate([4, 3, 3, 3]):
        law = stats.t(df=cells["n_splits"].iloc[i] - 1)
        error = abs(cells["gain"].iloc[i]) / law.isf(p.iloc[i] / 2)
        margin = law.isf(0.025 / n_left) * error
        gain = cells["gain"].iloc[i]
        row = corrected.iloc[i]
        assert row[["gain", "low", "high"]].tolist() == pytest.approx(
            [gain, gain - margin, gain + margin]
        )
        assert (row["low"] <= 0 <= row["high"]) == (row["p_value"] >= 0.05)
    pd.testing.assert_series_equal(corrected.loc["estimator"], cells.loc["estimator"])


def test_holm_of_one_comparison_changes_nothing(cells, results):
    one = cells.iloc[[1]]
    pd.testing.assert_frame_equal(holm_corrected(one), one)
    table = gain_table(results)
    widened = holm_corrected(table)
    compared = table["p_value"].notna()
    assert (widened["high"] >= table["high"])[compared].all()
    assert (widened["low"] <= table["low"])[compared].all()
    again = table[table["to_beat"]]
    assert (holm_corrected(again)["p_value"] >= again["p_value"]).all()


def test_holm_needs_a_gain_table(cells):
    with pytest.raises(ValueError, match=r"table lacks .'n_splits'.. Give a table as from gain_ta"):
        holm_corrected(cells.drop(columns="n_splits"))
