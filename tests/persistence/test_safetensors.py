import io
import json
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler
from torch import nn

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import CNN, SeriesNet
from sklearn_gkd.persistence import Unsaved, load_model, save_model
from sklearn_gkd.persistence._safetensors import FORMAT, _digest


class Linear(nn.Module):
    """A network of the user's own, with a buffer that is not in its state_dict."""

    def __init__(self, shapes, n_classes, bias=True):
        super().__init__()
        ((n_steps, n_channels),) = shapes
        self.register_buffer("sign", -torch.ones(()), persistent=False)
        self.layer = nn.Linear(n_steps * n_channels, n_classes, bias=bias)

    def forward(self, view):
        return self.sign * self.layer(view.flatten(1))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def fitted(series, small):
    clf = GKDClassifier(small, small, random_state=0)
    return clf.fit(series.X, series.y, X_priv=series.X_priv)


def through_file(estimator, path, *, networks=None, **kwargs):
    save_model(estimator, path, networks=networks, **kwargs)
    return load_model(path, networks=networks)


def rewrite(path, change):
    """Let a function change what a file says, under a valid checksum."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["sklearn_gkd"])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    change(content, tensors)
    text = content if isinstance(content, str) else json.dumps(content)
    save_file(tensors, path, {"sklearn_gkd": text, "sha256": _digest(text, tensors)})


def assert_predicts_alike(loaded, estimator, X):
    assert loaded.predict_proba(X).tobytes() == estimator.predict_proba(X).tobytes()
    assert_array_equal(loaded.predict(X), estimator.predict(X), strict=True)


NARROW = {"module__filters": (4, 8), "module__kernels": (3, 1), "module__head": 4}


@pytest.mark.parametrize(
    "network",
    [
        "ensemble",
        "mlp",
        CNN,
        SeriesNet("cnn", max_epochs=2, **NARROW),
        SeriesNet("mlp", module__width=8),
    ],
    ids=["default", "name", "class", "narrow cnn", "narrow mlp"],
)
def test_one_net_predicts_the_same_bits(network, series, path):
    clf = SeriesClassifier(network, max_epochs=2, random_state=0).fit(series.X, series.y)
    loaded = through_file(clf, path)
    assert_predicts_alike(loaded, clf, series.X)
    assert_array_equal(loaded.classes_, clf.classes_, strict=True)
    assert list(loaded.network_.history) == list(clf.network_.history)
    assert repr(loaded) == repr(clf)
    assert loaded.series_shape_ == (6, 2)
    assert loaded.n_features_in_ == 12


def test_another_process_predicts_the_same_bits(fitted, series, path, tmp_path):
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


def test_a_loaded_student_is_whole(series, small, path):
    columns = [f"VV_d{day:03}" for day in range(12)]
    X = pd.DataFrame(series.X.reshape(120, 12), columns=columns)
    clf = GKDClassifier(small, small, n_channels=2, class_weight={"maize": 1, "meadow": 2.5})
    clf.set_params(class_weight="balanced", random_state=3, priv_transformer=GapFiller())
    clf.fit(X, series.y, X_priv=series.X_priv)
    loaded = through_file(clf, path)
    assert_predicts_alike(loaded, clf, X)
    assert repr(loaded) == repr(clf)
    assert loaded.priv_shape_ == (6, 4)
    assert_array_equal(loaded.feature_names_in_, columns)
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(X[columns[::-1]])
    with pytest.raises(NotFittedError, match="teacher_"):
        loaded.teacher_predict_proba(X, series.X_priv)
    again = clone(loaded).fit(X, series.y, X_priv=series.X_priv)
    assert_predicts_alike(again, clf, X)


@pytest.mark.parametrize("transformer", [None, GapFiller(), GapFiller(n_channels=4)])
@pytest.mark.parametrize("view", ["both", "privileged"])
def test_the_teacher_goes_with_it_on_request(transformer, view, series, small, path):
    X_priv = series.X_priv
    if transformer is not None:
        X_priv = np.where(np.arange(6)[:, None] == 2, np.nan, X_priv)
    if getattr(transformer, "n_channels", None):
        X_priv = pd.DataFrame(X_priv.reshape(120, 24)).add_prefix("band")
    clf = GKDClassifier(
        small, small, priv_transformer=transformer, teacher_view=view, n_channels_priv=4
    )
    clf.fit(series.X, series.y, X_priv=X_priv)
    loaded = through_file(clf, path, teacher=True)
    of_loaded = loaded.teacher_predict_proba(series.X, X_priv)
    assert of_loaded.tobytes() == clf.teacher_predict_proba(series.X, X_priv).tobytes()
    assert list(loaded.teacher_.history) == list(clf.teacher_.history)
    if isinstance(X_priv, pd.DataFrame):
        with pytest.raises(ValueError, match="X_priv has other column names"):
            loaded.teacher_predict_proba(series.X, X_priv.iloc[:, ::-1])
    without = path.with_name("without.safetensors")
    save_model(clf, without)
    assert without.stat().st_size < 0.7 * path.stat().st_size


def test_a_teacher_that_needs_pickle_is_refused(series, small, path):
    clf = GKDClassifier(LogisticRegression(max_iter=1000), small, beta=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv / 1000)
    with pytest.raises(ValueError, match=r"only a net can be written.*teacher=False"):
        save_model(clf, path, teacher=True)
    X_priv = series.X_priv.reshape(120, 24)
    clf = GKDClassifier(small, small, priv_transformer=StandardScaler())
    clf.fit(series.X, series.y, X_priv=X_priv)
    with pytest.raises(ValueError, match="only a GapFiller can be written"):
        save_model(clf, path, teacher=True)
    assert not path.exists()


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["maïs", "prairie"], dtype="U40"),
        np.array(["oats", "rye"], dtype=object),
        np.array([-(2**62), 2**62 + 1]),
        np.array([0, 200], dtype=np.uint8),
        np.array([False, True]),
        np.array([-1.0, 3.0], dtype=np.float32),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_classes_of_any_dtype(labels, series, small, path):
    y = labels[np.arange(120) % 2]
    clf = SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, y)
    loaded = through_file(clf, path)
    assert_array_equal(loaded.classes_, clf.classes_, strict=True)
    assert_predicts_alike(loaded, clf, series.X)


DATES = ["2016-02-01", "2016-03-01", "2016-04-01", "2016-05-01"]


def test_a_pipeline_with_gap_filling(series, small, path):
    X = np.where(np.random.RandomState(0).uniform(size=series.X.shape) < 0.3, np.nan, series.X)
    filler = GapFiller(dates=["2016-01-04", "2016-01-05", *DATES])
    pipeline = make_pipeline(filler, "passthrough", GKDClassifier(small, small))
    pipeline.fit(X, series.y, gkdclassifier__X_priv=series.X_priv)
    assert_predicts_alike(through_file(pipeline, path), pipeline, X)


def test_networks_of_ones_own(series, path):
    clf = SeriesClassifier(SeriesNet(Linear, module__bias=False, max_epochs=1))
    clf.fit(series.X, series.y)
    with pytest.raises(ValueError, match=r"The net is Linear.*networks={'mine': Mine}"):
        save_model(clf, path)
    loaded = through_file(clf, path, networks={"linear": Linear})
    assert_predicts_alike(loaded, clf, series.X)
    assert clone(loaded).fit(series.X, series.y).network_.module_.network.layer.bias is None
    with pytest.raises(ValueError, match=r"network 'linear', which is none of .*'mlp'"):
        load_model(path)
    with pytest.raises(ValueError, match=r"network.layer.weight is .* \(3, 12\).* \(3, 13\)"):
        load_model(path, networks={"linear": lambda shapes, n, bias: Linear([(13, 1)], n, bias)})


def test_parameters_that_are_no_plain_values_are_described(series, small, path, tmp_path):
    X_priv = series.X_priv.reshape(120, 24)
    clf = GKDClassifier(
        LogisticRegression(C=0.5, max_iter=1000),
        SeriesNet("mlp", max_epochs=1, callbacks=[LRScheduler("StepLR", step_size=1)]),
        beta=0,
        priv_transformer=StandardScaler(),
        memory=str(tmp_path / "cache"),
        device="cpu",
        random_state=np.random.RandomState(0),
    )
    clf.fit(series.X, series.y, X_priv=X_priv)
    loaded = through_file(through_file(clf, path), path)
    assert_predicts_alike(loaded, clf, series.X)
    params = loaded.get_params(deep=False)
    unsaved = {name for name, value in params.items() if isinstance(value, Unsaved)}
    assert unsaved == {"teacher", "student", "priv_transformer", "random_state"}
    assert repr(params["teacher"]) == "<not saved: LogisticRegression(C=0.5, max_iter=1000)>"
    assert (params["memory"], params["device"], params["beta"]) == (None, "auto", 0)
    plain = {"teacher": "mlp", "student": small, "priv_transformer": None, "random_state": 0}
    for name in plain:
        others = {key: plain[key] for key in plain if key != name}
        message = f"The '{name}' parameter of GKDClassifier must be.*not saved"
        with pytest.raises(ValueError, match=message):
            clone(loaded).set_params(**others).fit(series.X, series.y, X_priv=X_priv)
    loaded.set_params(**plain)
    loaded.fit(series.X, series.y, X_priv=X_priv)


def test_what_cannot_be_saved(series, path):
    with pytest.raises(NotFittedError):
        save_model(SeriesClassifier(), path)
    with pytest.raises(TypeError, match="was given a LogisticRegression; it writes GKDClassifier"):
        save_model(LogisticRegression(), path)
    with pytest.raises(TypeError, match="was given a StandardScaler"):
        save_model(make_pipeline(StandardScaler(), SeriesClassifier()), path)
    assert not path.exists()


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


def set_in(*keys, value):
    def change(content, tensors):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def tensor(name, function):
    def change(content, tensors):
        tensors[f"network_.{name}"] = function(tensors[f"network_.{name}"])

    return change


def drop_a_weight(content, tensors):
    del tensors["network_.network.head.6.bias"]


SYSTEM = {"module": "os.system"}
NEST = json.loads("[" * 900 + "]" * 900)
CRAFTED = {
    "network": (set_in("model", "network_", "network", value=SYSTEM), "network 'os.system'"),
    "activation": (
        set_in("model", "network_", "params", "dict", value=[["feature_activation", SYSTEM]]),
        "network 'os.system'",
    ),
    "parameter": (set_in("model", "params", "network", value=SYSTEM), "network 'os.system'"),
    "estimator": (set_in("model", "class", value="os.system"), "os.system"),
    "kind": (set_in("model", "params", "lr", value={"eval": "1"}), "unknown kind 'eval'"),
    "attribute": (set_in("model", "params", "__class__", value="int"), "__class__"),
    "net attribute": (
        set_in("model", "params", "network", value={"SeriesNet": {"initialize": None}}),
        "parameters of a SeriesNet",
    ),
    "folder": (set_in("model", "params", "memory", value="/"), "parameters"),
    "lr": (set_in("model", "params", "lr", value="fast"), "'lr' parameter"),
    "width": (
        set_in("model", "network_", "params", "dict", value=[["width", 2**20]]),
        r"network.body.0.weight is torch.float32 of shape \(16, 12\).*\(1048576, 12\)",
    ),
    "series": (set_in("model", "series_shape", value=[10**9, 10**9]), "."),
    "negative series": (set_in("model", "series_shape", value=[-6, -2]), "series shape"),
    "classes": (set_in("model", "classes", "values", value=["maize", "oats"]), "head.6.weight"),
    "twice a class": (set_in("model", "classes", "values", value=["a", "a", "b"]), "classes_"),
    "wide classes": (set_in("model", "classes", "dtype", value="<U99999999"), "classes_"),
    "records": (set_in("model", "classes", "dtype", value="i8,O"), "classes_"),
    "names": (set_in("model", "feature_names", value=["VV"]), "column names"),
    "history": (set_in("model", "network_", "history", value=3), "."),
    "nothing": (set_in("model", value=None), "."),
    "nesting": (set_in("model", "params", "lr", value=NEST), "."),
    "shape": (tensor("network.head.6.bias", lambda t: t[:2]), r"head.6.bias is .* \(2,\).*\(3,\)"),
    "dtype": (tensor("network.head.6.bias", torch.Tensor.double), "bias is torch.float64"),
    "scaling dtype": (tensor("mean_0", torch.Tensor.double), "scaling"),
    "scaling shape": (tensor("scale_0", lambda t: t.repeat(100, 1)), "scaling"),
    "missing weight": (drop_a_weight, "names of the weights"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_file_runs_nothing(case, series, small, path, monkeypatch):
    change, message = CRAFTED[case]
    save_model(SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, series.y), path)
    rewrite(path, change)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("ran a command"))
    with pytest.raises(ValueError, match=f"does not hold a model that can be built: .*{message}"):
        load_model(path)


def test_files_of_others(fitted, path, tmp_path):
    save_model(fitted, path)
    rewrite(path, set_in("format", value=FORMAT + 1))
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


def test_pickle_and_joblib(fitted, series, path):
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
