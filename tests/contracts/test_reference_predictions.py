"""Models of an earlier day, read from their files, predict what they predicted then.

After a change that is meant to change predictions:
``python tests/contracts/test_reference_predictions.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import load_model, save_model

FOLDER = Path(__file__).parent / "reference_predictions"
NAMES = ["student", "cnn", "table", "ensemble"]


def series():
    """Return rows that are the same in every version of numpy."""
    rng = np.random.RandomState(0)
    y = np.repeat(["maize", "meadow", "forest"], 20)
    level = np.repeat([0.0, 1.0, 2.0], 20)[:, None, None]
    X = (-15 + level + rng.normal(size=(60, 6, 2))).astype(np.float32)
    return X, (3000 + 900 * level + 300 * rng.normal(size=(60, 4, 3))).astype(np.float32), y


def rows_of(name, X):
    return X.reshape(len(X), -1) if name == "table" else X


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_an_earlier_day_predicts_as_it_did(name):
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    clf = load_model(FOLDER / f"{name}.safetensors")
    X = rows_of(name, series()[0])
    np.testing.assert_allclose(clf.predict_proba(X), expected["probabilities"], atol=1e-5)
    assert clf.predict(X).tolist() == expected["classes"]


def main():
    """Fit the models anew, and write them and what they predict."""
    X, X_priv, y = series()
    budget = {"lr": 1e-2, "max_epochs": 5, "batch_size": 16}
    mlp = SeriesNet("mlp", module__width=12, module__features=8, module__head=8, **budget)
    cnn = SeriesNet("cnn", module__filters=[6, 8], module__kernels=[3, 1], module__head=8, **budget)
    sizes = {"module__n_members": 2, "module__width": 12, "module__features": 6, "module__head": 6}
    ensemble = SeriesNet("ensemble", **sizes, **budget)
    fitted = [
        GKDClassifier(mlp, mlp, random_state=0).fit(X, y, X_priv=X_priv),
        SeriesClassifier(cnn, random_state=0).fit(X, y),
        SeriesClassifier(mlp, n_channels=2, random_state=0).fit(rows_of("table", X), y),
        SeriesClassifier(ensemble, random_state=0).fit(X, y),
    ]
    for name, clf in zip(NAMES, fitted, strict=True):
        save_model(clf, FOLDER / f"{name}.safetensors")
        rows = rows_of(name, X)
        predicted = {
            "classes": clf.predict(rows).tolist(),
            "probabilities": clf.predict_proba(rows).round(7).tolist(),
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(predicted) + "\n")


if __name__ == "__main__":
    main()
