import io
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.torch import save_file

from sklearn_gkd import GKDRegressor, SeriesClassifier, SeriesRegressor
from sklearn_gkd.networks import CNN, SeriesNet
from sklearn_gkd.persistence import load_model, save_model
from sklearn_gkd.persistence._safetensors import FORMAT

NARROW = {"module__filters": (4, 8), "module__kernels": (3, 1), "module__head": 4}


@pytest.mark.parametrize(
    "network",
    [
        "ensemble",
        "mlp",
        CNN,
        SeriesNet("cnn", max_epochs=2, **NARROW),
        SeriesNet("mlp", max_epochs=2, module__width=8),
    ],
    ids=["default", "name", "class", "narrow cnn", "narrow mlp"],
)
def test_one_net_predicts_the_same_bits(network, series, through_file, assert_predicts_alike):
    clf = SeriesClassifier(network, random_state=0)
    if not isinstance(network, SeriesNet):
        clf.set_params(max_epochs=2)
    clf.fit(series.X, series.y)
    loaded = through_file(clf)
    assert_predicts_alike(loaded, clf, series.X)
    assert_array_equal(loaded.classes_, clf.classes_, strict=True)
    assert list(loaded.network_.history) == list(clf.network_.history)
    assert repr(loaded) == repr(clf)
    assert loaded.series_shape_ == (6, 2)
    assert loaded.n_features_in_ == 12


def test_another_process_predicts_the_same_bits(fitted, series, path, tmp_path, run):
    save_model(fitted, path)
    np.save(tmp_path / "X.npy", series.X)
    script = (
        "import sys, numpy as np, torch; torch.set_num_threads(1)\n"
        "from sklearn_gkd.persistence import load_model\n"
        "probabilities = load_model(sys.argv[1]).predict_proba(np.load(sys.argv[2]))\n"
        "sys.stdout.buffer.write(probabilities.tobytes())"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "X.npy")]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout == fitted.predict_proba(series.X).tobytes()


def test_loading_leaves_the_random_numbers_alone(fitted, path):
    save_model(fitted, path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_model(path)
    assert_array_equal(torch.rand(3), expected)


@pytest.mark.parametrize("n_cases", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_a_damaged_file_is_refused_or_harmless(n_cases, series, small, path):
    clf = SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, series.y)
    save_model(clf, path)
    whole = path.read_bytes()
    expected = clf.predict_proba(series.X)
    rng = np.random.RandomState(0)
    n_refused = 0
    for case in range(n_cases):
        damaged = bytearray(whole)
        # Half of the bytes hit are of the header, which is the smaller part.
        at = rng.randint(len(whole) if case % 2 else 4000)
        damaged[at] ^= rng.randint(1, 256)
        path.write_bytes(damaged)
        try:
            loaded = load_model(path)
        except ValueError:
            n_refused += 1
        else:
            assert_array_equal(loaded.predict_proba(series.X), expected)
    assert n_refused > 0.95 * n_cases
    for length in [0, 1, 7, 8, len(whole) - 1, *rng.randint(len(whole), size=20)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated"):
            load_model(path)


def test_each_altered_weight_is_detected(fitted, path):
    save_model(fitted, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        names = list(file.keys())
        tensors = {name: file.get_tensor(name).clone() for name in names}
    for name in names:
        altered = {**tensors, name: tensors[name] + 1}
        save_file(altered, path, metadata)
        with pytest.raises(ValueError, match="checksum"):
            load_model(path)


def test_files_of_others(fitted, path, tmp_path, rewrite):
    save_model(fitted, path)
    rewrite(lambda content, tensors: content.update(format=FORMAT + 1))
    with pytest.raises(ValueError, match=rf"format {FORMAT + 1} and .* up to {FORMAT}.*'torch'"):
        load_model(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a model that save_model wrote"):
        load_model(path)
    for text in ["[" * 100_000, "{", "3", "{}", '{"format": "1"}']:
        save_file({}, path, {"sklearn_gkd": text, "sha256": ""})
        with pytest.raises(ValueError, match="not a model that save_model wrote"):
            load_model(path)
    path.write_bytes(pickle.dumps(fitted))
    with pytest.raises(ValueError, match="no safetensors file"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none")


def test_a_full_disk_leaves_the_file_before(fitted, path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    save_model(fitted, path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(fitted, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_pickle_and_joblib(fitted, series, path, assert_predicts_alike):
    save_model(fitted, path, teacher=True)
    for estimator in (fitted, load_model(path)):
        assert_predicts_alike(pickle.loads(pickle.dumps(estimator)), fitted, series.X)
        file = io.BytesIO()
        joblib.dump(estimator, file)
        file.seek(0)
        loaded = joblib.load(file)
        assert_predicts_alike(loaded, fitted, series.X)
        of_teacher = loaded.teacher_predict_proba(series.X, series.X_priv)
        assert_array_equal(of_teacher, fitted.teacher_predict_proba(series.X, series.X_priv))
        assert {p.device.type for p in loaded.student_.module_.parameters()} == {"cpu"}


@pytest.mark.parametrize("n_numbers", [None, 1, 2])
def test_a_regressor_predicts_the_same_bits(n_numbers, series, small, through_file):
    y = 1000 + series.X[:, 0, 0].astype(float)
    if n_numbers:
        y = np.column_stack([y, -y])[:, :n_numbers]
    ensemble = SeriesNet("ensemble", max_epochs=2, module__n_members=2, module__width=8)
    reg = SeriesRegressor(ensemble, loss="huber", random_state=0).fit(series.X, y)
    loaded = through_file(reg)
    assert repr(loaded) == repr(reg)
    assert_array_equal(
        loaded.predict(series.X, return_std=True), reg.predict(series.X, return_std=True)
    )
    assert_array_equal(loaded.network_.predict(series.X), reg.network_.predict(series.X))
    taught = GKDRegressor(small, small, random_state=0).fit(series.X, y, X_priv=series.X_priv)
    loaded = through_file(taught, teacher=True)
    assert_array_equal(loaded.predict(series.X), taught.predict(series.X), strict=True)
    told = taught.teacher_predict(series.X, series.X_priv)
    assert_array_equal(loaded.teacher_predict(series.X, series.X_priv), told, strict=True)


@pytest.mark.parametrize("wrong", [torch.zeros(2), torch.zeros(1, 1), torch.ones(()).int(), None])
def test_a_scale_of_y_that_cannot_be_is_refused(wrong, series, small, path, rewrite):
    small.set_params(max_epochs=1)
    save_model(SeriesRegressor(small).fit(series.X, series.X[:, 0, 0]), path)

    def change(content, tensors):
        tensors["target_scale_"] = wrong
        if wrong is None:
            del tensors["target_scale_"]

    rewrite(change)
    with pytest.raises(ValueError, match="target_scale_"):
        load_model(path)
