from functools import partial

import evidence
import numpy as np
import pandas as pd
import pytest

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import load_sits


@pytest.fixture
def run(npz, small, tmp_path, monkeypatch):
    nets = [small.set_params(max_epochs=1), small]
    monkeypatch.setattr(evidence, "GKDClassifier", partial(GKDClassifier, *nets))

    def run(*options):
        command = ["evidence.py", str(npz), "--output", str(tmp_path / "out"), *options]
        monkeypatch.setattr("sys.argv", command)
        evidence.main()
        return tmp_path / "out"

    return run


def test_evidence_answers_every_question_and_resumes(run, capsys):
    out = run("--splits", "2", "--seeds", "1")
    results = pd.read_csv(out / "results.csv")
    methods = results["method"].nunique()
    assert methods == 10
    assert results.groupby(["question", "split"])["metric"].size().eq(3 * methods).all()
    assert set(results["question"]) == set(evidence.QUESTIONS)
    report = out.with_suffix(".md").read_text()
    assert report.count("2 splits, headroom") == 4
    assert all((out / f"tiny_{name}.png").exists() for name in ["all_labelled_random"])
    table = results.query("question == 'all labelled, random' and metric == 'f_measure'")
    mean = 100 * table.loc[table["method"] == "forest", "value"].mean()
    first = report.index("## tiny: all labelled, random")
    assert f"| forest | {mean:.1f} |" in report[first:]

    removed = sorted(out.glob("fits/*.csv"))[3]
    content = removed.read_text()
    removed.unlink()
    capsys.readouterr()
    run("--splits", "2", "--seeds", "1")
    assert capsys.readouterr().out.startswith("1 splits in")
    assert removed.read_text() == content


def test_questions_leave_out_labels_and_privileged_information(npz, monkeypatch):
    calls = []

    def record(estimator, X, y, X_priv, **kwargs):
        calls.append((X, X_priv, kwargs))
        return pd.DataFrame()

    monkeypatch.setattr(evidence, "privileged_gain", record)
    sits = load_sits(npz)
    for question in evidence.QUESTIONS.values():
        evidence.measure_split(sits, 0, 0, **question)
    (_, _, every), (_, _, grouped), (X, _, fifth), (_, half_priv, half) = calls
    (train, test), (few, same_test) = every["cv"][0], fifth["cv"][0]
    assert "X_unlabeled" not in every
    assert len(train) + len(test) == len(sits.y)
    assert len(few) == pytest.approx(0.2 * len(grouped["cv"][0][0]), abs=3)
    assert same_test.tolist() == grouped["cv"][0][1].tolist()
    assert len(few) + len(fifth["X_unlabeled"]) == len(grouped["cv"][0][0])
    assert len(fifth["X_priv_unlabeled"]) == len(fifth["X_unlabeled"])
    assert np.isfinite(X).all()
    train, test = half["cv"][0]
    without = np.isnan(half_priv).all(axis=(1, 2))
    assert without[train].mean() == pytest.approx(0.5, abs=0.05)
    assert not without[test].any()
    assert not set(sits.groups[train]) & set(sits.groups[test])
