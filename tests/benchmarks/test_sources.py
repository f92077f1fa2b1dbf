from functools import partial

import numpy as np
import pandas as pd
import pytest
import sources

from sklearn_gkd import GKDClassifier


def test_each_band_is_in_one_source_that_rows_lack_at_random():
    X_priv = np.random.RandomState(0).normal(size=(2000, 3, 4))
    table, parts = sources.sources_of(X_priv, 0.3, seed=1)
    assert [shape for *_, shape in parts] == [(3, 2), (3, 1), (3, 1)]
    for i, (_, _, columns, (n_steps, n_bands)) in enumerate(parts):
        part = table[:, columns].reshape(2000, n_steps, n_bands)
        lacks = np.isnan(part).all(axis=(1, 2))
        assert lacks.mean() == pytest.approx(0.3, abs=0.04)
        bands = X_priv[:, :, [[0, 1], [2], [3]][i]]
        np.testing.assert_array_equal(part[~lacks], bands[~lacks])
    whole, _ = sources.sources_of(X_priv, 0.0, seed=1)
    assert np.isfinite(whole).all()


def test_every_method_is_measured_at_every_share(npz, small, tmp_path, monkeypatch):
    small.set_params(max_epochs=1)
    monkeypatch.setattr(sources, "GKDClassifier", partial(GKDClassifier, small, small))
    monkeypatch.setattr(sources, "MISSING", (0.0, 0.3))
    monkeypatch.setattr(sources, "N_LABELS", "20")
    monkeypatch.setattr(sources, "N_PAIRS", "10")
    out = tmp_path / "sources.md"
    monkeypatch.setattr("sys.argv", ["", str(npz), "--splits", "1", "--output", str(out)])
    sources.main()
    rows = {
        line.split(" | ")[0].removeprefix("| "): line
        for line in out.read_text().splitlines()
        if line.startswith("| ")
    }
    both = ["sources", "teacher of sources", "infrared"]
    some = {"student alone", "complete rows", "imputed", "teacher of imputed"}
    assert rows.keys() == {"method", *both, *some}
    for name in both:
        assert all(float(value) > 0 for value in rows[name].strip("| ").split(" | ")[1:])
    assert "|  |" in rows["imputed"]


def test_a_method_is_given_what_its_name_says():
    table = np.array([[1.0, 2, 3, 4], [5, 6, np.nan, np.nan], [np.nan, np.nan, 7, 8]])
    parts = [("visible", "passthrough", slice(0, 2), (2, 1))]
    parts += [("infrared", "passthrough", slice(2, 4), (2, 1))]
    rows = pd.Series({"labelled": np.array([0, 1]), "pairs": np.array([2])})

    def given(method):
        clf, X_priv = sources.taught_by(method, table, parts, rows)
        return clf.priv_sources, X_priv

    for method, expected in [(sources.TAUGHT, parts), ("infrared", parts[1:])]:
        of_method, X_priv = given(method)
        assert of_method == expected
        assert X_priv is table
    none, complete = given(sources.COMPLETE)
    assert none is None
    np.testing.assert_array_equal(complete[0], [[1, 3], [2, 4]])
    assert np.isnan(complete[1:]).all()
    _, imputed = given(sources.IMPUTED)
    np.testing.assert_array_equal(imputed[1], [[5, 5], [6, 6]])
    assert sources.taught_by(sources.ALONE, table, parts, rows)[0].beta == 0
