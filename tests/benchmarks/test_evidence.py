from functools import partial

import evidence
import evidence_report
import numpy as np
import pandas as pd
import pytest
from evidence import Cell, draw

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import load_sits


@pytest.fixture
def run(npz, small, tmp_path, monkeypatch):
    small.set_params(max_epochs=1)
    monkeypatch.setattr(evidence, "GKDClassifier", partial(GKDClassifier, small, small))
    monkeypatch.setattr(evidence, "LABELS", ("12", "20", "800"))

    def run(*options):
        command = ["evidence.py", str(npz), "--output", str(tmp_path / "out"), *options]
        monkeypatch.setattr("sys.argv", command)
        evidence.main()
        return tmp_path / "out"

    return run


def test_every_cell_that_rows_allow_is_measured_once(run):
    out = run("--splits", "2", "--rivals", "forest")
    cells = evidence.read(out / "cells.csv")
    assert not cells.duplicated([*evidence.KEY, "metric"]).any()
    kinds = cells.groupby(["n_labels", "n_pairs"])["method"].agg(lambda names: sorted(set(names)))
    taught = ["estimator", "self-distillation", "teacher"]
    assert kinds.to_dict() == {
        ("12", "0"): ["forest", "student alone"],
        ("12", "all"): taught,
        ("20", "0"): ["forest", "student alone"],
        ("20", "all"): taught,
        ("all", "0"): ["estimator", "student alone", "teacher"],
    }
    assert (cells.groupby(evidence.KEY).size() == 6).all()
    report = out.with_suffix(".md").read_text()
    of_f = cells[cells["metric"] == "f_measure"].pivot_table(
        "value", ["n_labels", "n_pairs"], "method"
    )
    alone, by_self, taught = (
        100 * of_f.loc[key, method]
        for key, method in [
            (("12", "0"), "student alone"),
            (("12", "all"), "self-distillation"),
            (("12", "all"), "estimator"),
        ]
    )
    n_pairs = cells.query("n_labels == '12' and n_pairs == 'all'")["n_pairs_used"].mean()
    assert f"| tiny | {n_pairs:.0f} | {alone:.1f} | {by_self:.1f} | {taught:.1f} |" in report
    gain = taught - max(alone, by_self)
    assert f" | {gain:+.1f} (" in report
    assert (out / "gain.png").exists()


def test_an_interrupted_run_goes_on(run, monkeypatch):
    monkeypatch.setattr("evidence_report.write", lambda *args: None)
    path = run("--splits", "1", "--rivals") / "cells.csv"
    whole = path.read_text().splitlines()
    path.write_text("\n".join(whole[:-12]) + "\n")  # without the last cell, its teacher too
    run("--splits", "1", "--rivals")
    again = path.read_text().splitlines()
    assert again[:-12] == whole[:-12]

    def values(lines):
        return [line.rpartition(",")[0] for line in lines]  # without the seconds

    assert values(again) == values(whole)


def test_draws_keep_groups_apart_and_every_class(npz):
    sits = load_sits(npz)
    rows = draw(sits, Cell("tiny", 0, "12", "all", "estimator"))
    assert len(rows.labelled) == 12
    assert (np.unique(rows.y[rows.labelled], return_counts=True)[1] >= 2).all()
    known = np.append(rows.labelled, rows.pairs)
    assert len(np.unique(known)) == len(known) == rows.n_train
    assert not set(rows.groups[known]) & set(rows.groups[rows.test])
    assert np.isfinite(rows.X).all()
    some = draw(sits, Cell("tiny", 0, "12", "20", "estimator"))
    np.testing.assert_array_equal(some.labelled, rows.labelled)
    assert set(some.pairs) < set(rows.pairs)
    assert len(some.pairs) == 20
    assert draw(sits, Cell("tiny", 0, "12", "0", "estimator")).pairs.tolist() == []
    assert draw(sits, Cell("tiny", 0, "all", "all", "estimator")) is None
    assert draw(sits, Cell("tiny", 0, "800", "all", "estimator")) is None
    assert draw(sits, Cell("tiny", 0, "12", "300", "estimator")) is None


def test_what_each_method_is_taught(npz, monkeypatch):
    rows = draw(load_sits(npz), Cell("tiny", 0, "12", "all", "estimator"))
    calls = []

    class Recorder:
        def __init__(self, **params):
            self.params = params

        def fit(self, **given):
            calls.append(given)
            return self

    monkeypatch.setattr(evidence, "GKDClassifier", Recorder)
    for method in ("estimator", "self-distillation", "permuted X_priv"):
        evidence.METHODS[method](rows, 0)
    own, by_self, permuted = calls
    np.testing.assert_array_equal(own["X_priv"], rows.X_priv[rows.labelled])
    np.testing.assert_array_equal(own["X_priv_unlabeled"], rows.X_priv[rows.pairs])
    np.testing.assert_array_equal(by_self["X_priv"], rows.X[rows.labelled])
    np.testing.assert_array_equal(by_self["X_priv_unlabeled"], rows.X[rows.pairs])
    assert (permuted["X_priv"] != own["X_priv"]).any()
    for given in calls:
        np.testing.assert_array_equal(given["X_unlabeled"], rows.X[rows.pairs])
        np.testing.assert_array_equal(given["groups"], rows.groups[rows.labelled])


def test_gains_are_over_the_better_control_of_the_same_splits():
    value = {"student alone": 50, "self-distillation": 60, "estimator": 63, "teacher": 80}
    values = pd.DataFrame(
        [
            {
                "data": "tiny",
                "split": split,
                "n_labels": "50",
                "n_pairs": "0" if method == "student alone" else "all",
                "method": method,
                "metric": "f_measure",
                "value": mean + split * (method == "estimator"),
                "n_pairs_used": 100,
                "n_train": 700,
                "n_test": 300,
                "distilled": split > 0,
            }
            for split in range(3)
            for method, mean in value.items()
            if (method, split) != ("student alone", 2)
        ]
    )
    (row,) = evidence_report.gains_of(values).to_dict("records")
    assert row["gain"] == pytest.approx(3.5)  # of splits 0 and 1, which all have
    assert (row["n_splits"], row["distilled"]) == (2, 0.5)
    assert row["estimator"] == pytest.approx(63.5)
    assert row["low_of_all"] <= row["low"]


def test_what_to_expect_goes_by_the_lead_of_the_teacher():
    gains = pd.DataFrame(
        {
            "n_labels": ["50", "50", "50", "200"],
            "n_pairs": "all",
            "student alone": [50.0, 50, 50, 50],
            "estimator": [53.0, 55, 51, 49],
            "teacher": [70.0, 61, 54, 49],
            "gain": [3.0, 5, 1, -1],
        }
    )
    rows = evidence_report.expectations(gains)[-3:]
    assert rows == [
        "| 50 | all | 0 to 10 | 1 | +1.0 | +1.0 | +1.0 |",
        "| 50 | all | over 10 | 2 | +4.0 | +3.0 | +5.0 |",
        "| 200 | all | under 0 | 1 | -1.0 | -1.0 | -1.0 |",
    ]


def test_rivals_are_compared_on_the_splits_that_both_have():
    of_split = {
        "student alone": [60.0, 61, 62],
        "forest": [50.0, 51, 52.1],  # clearly worse
        "CatBoost": [58.0, np.nan, np.nan],
        "teacher": [90.0, 90, 90],
        "estimator": [70.0, 70, 70],
    }
    values = pd.DataFrame(
        [
            {
                "data": "tiny",
                "split": split,
                "n_labels": "50",
                "n_pairs": "0",
                "method": method,
                "metric": "f_measure",
                "value": value,
                "n_train": 700,
                "n_test": 300,
            }
            for method, of_method in of_split.items()
            for split, value in enumerate(of_method)
            if not np.isnan(value)
        ]
    )
    head, _, row = evidence_report.table_of_rivals(values, ["forest", "CatBoost", "QUANT"])[-3:]
    assert head == "| labels | data | student alone | forest | CatBoost |"
    assert row == "| 50 | tiny | 61.0 | +10.0* | +2.0 |"
    assert len(evidence_report.table_of_rivals(values.query("method != 'forest'"), ["QUANT"])) == 6
