import json

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.utils import Bunch

from sklearn_gkd import GKDClassifier
from sklearn_gkd.persistence import load_model, save_model, to_onnx
from sklearn_gkd.persistence._safetensors import _digest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def fitted(series, small):
    clf = GKDClassifier(small, small, random_state=0)
    return clf.fit(series.X, series.y, X_priv=series.X_priv)


@pytest.fixture
def rows():
    """10,000 series in the units of `series`, and some far out of its range."""
    rng = np.random.RandomState(1)
    scale = np.where(np.arange(10_000) % 10, 1, 30)[:, None, None]
    return (-14.5 + scale * rng.normal(size=(10_000, 6, 2))).astype(np.float32)


@pytest.fixture
def with_gaps():
    """Make gaps of every kind in series: single, at both ends, a whole channel, a whole row."""

    def make_gaps(X):
        X = np.where(np.random.RandomState(2).uniform(size=X.shape) < 0.4, np.nan, X)
        X[0], X[1, :, 0] = np.nan, np.nan
        return X.astype(np.float32)

    return make_gaps


@pytest.fixture
def optical(series, with_gaps):
    """Four bands with gaps, and a mask in which 3 and 8 are clouds, of 120 series and 3,000."""
    rng = np.random.RandomState(3)
    more = (3000 + 1500 * rng.normal(size=(3000, 6, 4))).astype(np.float32)
    masked = []
    for bands in (series.X_priv, more):
        mask = rng.choice([3, 4, 5, 8, np.nan], p=[0.1, 0.4, 0.3, 0.1, 0.1], size=len(bands) * 6)
        masked.append(np.dstack([with_gaps(bands), mask.reshape(-1, 6)]).astype(np.float32))
    return Bunch(X=masked[0], X_new=masked[1], y=series.y)


@pytest.fixture
def through_file(path):
    """Save an estimator, and load it."""

    def save_and_load(estimator, *, networks=None, **kwargs):
        save_model(estimator, path, networks=networks, **kwargs)
        return load_model(path, networks=networks)

    return save_and_load


@pytest.fixture
def rewrite(path):
    """Let a function change what a file says, under a valid checksum."""

    def rewrite_with(change):
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()["sklearn_gkd"])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        change(content, tensors)
        text = content if isinstance(content, str) else json.dumps(content)
        save_file(tensors, path, {"sklearn_gkd": text, "sha256": _digest(text, tensors)})

    return rewrite_with


@pytest.fixture
def assert_predicts_alike():
    def check(loaded, estimator, X):
        assert loaded.predict_proba(X).tobytes() == estimator.predict_proba(X).tobytes()
        assert_array_equal(loaded.predict(X), estimator.predict(X), strict=True)

    return check


@pytest.fixture
def run():
    """Call an ONNX model."""

    def run_elsewhere(path, X):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert [output.name for output in session.get_outputs()] == ["label", "probabilities"]
        return session.run(None, {"X": X})

    return run_elsewhere


@pytest.fixture
def assert_runs_alike(path, run):
    """Export an estimator, and compare what it predicts elsewhere."""

    def check(estimator, X):
        to_onnx(estimator, path)
        label, probabilities = run(path, X)
        expected = estimator.predict_proba(X)
        assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
        ranked = np.sort(expected, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > 1e-4
        assert clear.mean() > 0.9
        assert_array_equal(label[clear], estimator.predict(X)[clear])
        assert len(set(label)) > 1

    return check
