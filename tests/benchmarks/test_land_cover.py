import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from sklearn_gkd.evaluation import train_valid_test_split

pytest.importorskip("matplotlib", reason="needs the extra plot")
import land_cover


@pytest.fixture
def npz_without_optical(npz):
    arrays = dict(np.load(npz))
    arrays["X_s2"][::10] = np.nan
    np.savez(npz, **arrays)


@pytest.fixture
def run(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(land_cover, "DEPTHS", (20,))
    monkeypatch.setattr(land_cover, "N_TREES", (5, 10))

    def run(*options):
        land_cover.main([f"--data={npz}", f"--output={tmp_path / 'out'}", *options])
        return tmp_path / "out"

    return run


def test_every_method_is_in_the_tables(run, npz, capsys):
    out = run("--splits=1", "--epochs=1", "--methods=rf,rf_nan,mlp,cnn,ensemble,gkd,teacher")
    table = pd.read_csv(out / "table5.csv", index_col=0)
    assert table.index.tolist() == list(land_cover.METHODS.values())
    by_class = pd.read_csv(out / "table6.csv", index_col=0)
    assert by_class.columns.tolist() == ["crops", "forest", "water"]
    assert (out / "figure3.png").stat().st_size > 10_000
    assert (out / "curves.png").stat().st_size > 10_000
    description = (out / "run.md").read_text()
    assert "--data tiny.npz --splits 1" in description
    assert description.count("best epoch 1 of 1 |") == 5
    assert str(npz.parent) not in description
    assert "upper bound" in capsys.readouterr().out


def test_tables_are_those_of_the_predictions_on_disk(run, npz):
    out = run("--splits=3", "--methods=rf")
    y = np.load(npz)["y"]
    runs = [pd.read_json(out / "splits" / f"0{i}_rf.json") for i in range(3)]
    f_measures = [f1_score(y[r.test], r.y_pred, average="weighted") for r in runs]
    kappas = [cohen_kappa_score(y[r.test], r.y_pred) for r in runs]
    row = pd.read_csv(out / "table5.csv", index_col=0).loc["RF"]
    mean, sd = (float(number) for number in re.findall(r"[\d.]+", row["F-measure"]))
    assert mean == pytest.approx(100 * np.mean(f_measures), abs=0.006)
    assert sd == pytest.approx(100 * np.std(f_measures, ddof=1), abs=0.006)
    assert float(row["Kappa"].split()[0]) == pytest.approx(np.mean(kappas), abs=0.0006)
    forest = [f1_score(y[r.test], r.y_pred, labels=["forest"], average="macro") for r in runs]
    by_class = pd.read_csv(out / "table6.csv", index_col=0)
    assert by_class.loc["RF", "forest"] == pytest.approx(100 * np.mean(forest), abs=0.006)


def test_each_split_has_its_seed_and_fills_gaps_by_its_training_rows(run, npz, monkeypatch):
    fitted = []
    fit = land_cover.GapFiller.fit
    monkeypatch.setattr(
        land_cover.GapFiller, "fit", lambda self, X, y=None: fitted.append(X) or fit(self, X)
    )
    out = run("--splits=2", "--methods=rf")
    data = np.load(npz)
    for seed in range(2):
        train, _, test = train_valid_test_split(data["y"], random_state=seed)
        saved = pd.read_json(out / "splits" / f"0{seed}_rf.json")
        np.testing.assert_array_equal(saved.test, test)
        assert any(np.array_equal(X, data["X_s1"][train], equal_nan=True) for X in fitted)
    assert all(len(X) == len(train) for X in fitted)


def test_an_interrupted_run_resumes(run):
    out = run("--splits=2", "--methods=rf")
    kept, lost = out / "splits" / "00_rf.json", out / "splits" / "01_rf.json"
    before, table = kept.stat().st_mtime_ns, (out / "table5.csv").read_text()
    lost.unlink()
    run("--splits=2", "--methods=rf")
    assert kept.stat().st_mtime_ns == before
    assert lost.exists()
    assert (out / "table5.csv").read_text() == table


def test_grouped_splits_share_no_group(run, npz):
    out = run("--splits=1", "--methods=rf", "--grouped")
    test = pd.read_json(out / "splits" / "00_rf.json").test
    groups = np.load(npz)["groups"]
    assert not set(groups[test]) & set(np.delete(groups, test))


def test_other_settings_in_the_same_folder_are_refused(run):
    run("--splits=1", "--methods=rf")
    with pytest.raises(SystemExit, match="Give another --output"):
        run("--splits=1", "--methods=rf", "--grouped")


def test_other_defaults_of_the_nets_are_refused(run, monkeypatch):
    run("--splits=1", "--methods=rf")
    monkeypatch.setitem(land_cover.GKDClassifier.__init__.__kwdefaults__, "lr", 0.5)
    with pytest.raises(SystemExit, match="Give another --output"):
        run("--splits=1", "--methods=rf")


@pytest.mark.usefixtures("npz_without_optical")
def test_rows_without_optical_teach_by_label_alone(run, monkeypatch):
    taught = []
    fit = land_cover.GKDClassifier.fit

    def spy(self, *args, X_priv, **kwargs):
        taught.append(np.isnan(X_priv).all(axis=(1, 2)).sum())
        return fit(self, *args, X_priv=X_priv, **kwargs)

    monkeypatch.setattr(land_cover.GKDClassifier, "fit", spy)
    out = run("--splits=1", "--epochs=1", "--methods=gkd,teacher")
    without = np.arange(0, 120, 10)
    tested = json.loads((out / "splits" / "00_teacher.json").read_text())["test"]
    assert 0 < taught[0] <= len(without) - np.isin(tested, without).sum()
    assert np.isin(tested, without).any()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--methods=rf,svm", r"unknown \['svm'\]"),
        ("--splits=0", "1 or more"),
        ("--epochs=0", "--epochs is 1 or more"),
        ("--data=nowhere.npz", "no file nowhere.npz"),
    ],
)
def test_wrong_arguments(run, option, message, capsys):
    with pytest.raises(SystemExit):
        run(option)
    assert re.search(message, capsys.readouterr().err)
