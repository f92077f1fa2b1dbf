import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gkd import GKDClassifier, GKDRegressor, SeriesClassifier, SeriesRegressor
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import to_onnx

CNN = SeriesNet(
    "cnn",
    module__filters=(8, 16),
    module__kernels=(5, 3),
    module__head=8,
    lr=1e-2,
    max_epochs=4,
    batch_size=16,
)


ENSEMBLE = SeriesNet(
    "ensemble",
    module__n_members=3,
    module__width=16,
    module__features=8,
    module__head=8,
    lr=1e-2,
    max_epochs=4,
    batch_size=16,
)


@pytest.mark.parametrize(
    ("net", "table"),
    [
        ("mlp", True),
        ("cnn", True),
        ("ensemble", False),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in [("mlp", False), ("cnn", False), ("ensemble", True)]
        ),
    ],
)
def test_the_student_runs_elsewhere(net, table, series, small, rows, path, assert_runs_alike, run):
    student = {"mlp": small, "cnn": CNN, "ensemble": ENSEMBLE}[net]
    n_channels = 2 if table and net == "cnn" else None
    clf = GKDClassifier(small, student, beta=0, n_channels=n_channels, random_state=0)
    X = series.X.reshape(120, 12) if table else series.X
    clf.fit(X, series.y, X_priv=series.X_priv)
    assert_runs_alike(clf, rows.reshape(10_000, 12) if table else rows)
    for n_rows in (1, 3):
        X = rows[:n_rows].reshape(n_rows, *X.shape[1:])
        _, probabilities = run(path, X)
        assert_allclose(probabilities, clf.predict_proba(X), rtol=0, atol=1e-5)
    graph = onnx.load(path).graph
    rows_of = [value.type.tensor_type.shape.dim[0] for value in (*graph.input, *graph.output)]
    assert [dimension.dim_param for dimension in rows_of] == ["n", "n", "n"]


def test_labels_are_the_classes(series, small, path, run, monkeypatch):
    clf = SeriesClassifier(small).fit(series.X, series.y == "maize")
    export, programs = torch.onnx.export, []

    def export_once(*args, **kwargs):
        """Labels are no part of the program that torch exports."""
        if not programs:
            programs.append(export(*args, **kwargs))
        return programs[0]

    monkeypatch.setattr(torch.onnx, "export", export_once)
    for labels, dtype in [
        (np.array([False, True]), bool),
        (np.array([-4, 300], dtype=np.int16), np.int64),
        (np.array(["x", "été"], dtype=object), object),
        (np.array([1.0, 5.0]), np.float64),
    ]:
        clf.classes_ = labels
        to_onnx(clf, path)
        label, _ = run(path, series.X)
        assert label.dtype == dtype
        assert label.tolist() == clf.predict(series.X).tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 5, 2**63], np.uint64), "classes_ hold 9223372036854775808, .* int64"),
        (np.array([0, 5, 2**64 - 1], np.uint64), "classes_ hold 18446744073709551615"),
        (np.array(["2017", "2018", "2019"], "M8[D]"), r"classes_ have dtype datetime64\[D\]"),
    ],
)
def test_labels_that_onnx_lacks_are_refused(labels, message, series, small, path, monkeypatch):
    monkeypatch.delattr(torch.onnx, "export")  # they are refused before it
    small.set_params(max_epochs=1)
    clf = SeriesClassifier(small).fit(series.X, labels[np.arange(120) // 40])
    with pytest.raises(ValueError, match=message):
        to_onnx(clf, path)
    assert not path.exists()


def test_column_names_do_not_matter(series, small, path, run):
    names = [f"{band}_d{day:03}" for day in range(6) for band in ("VV", "VH")]
    X = pd.DataFrame(series.X.reshape(120, 12), columns=names)
    pipeline = make_pipeline(StandardScaler(), SeriesClassifier(small))
    pipeline.set_output(transform="pandas").fit(X, series.y)
    to_onnx(pipeline, path)
    _, probabilities = run(path, X.to_numpy(np.float32))
    assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=1e-5)


def test_what_cannot_be_exported(series, small, path):
    with pytest.raises(TypeError, match="the estimator is a GapFiller"):
        to_onnx(GapFiller().fit(series.X), path)
    with pytest.raises(TypeError, match="logisticregression is a LogisticRegression"):
        to_onnx(make_pipeline(GapFiller(), LogisticRegression()), path)
    with pytest.raises(NotFittedError):
        to_onnx(make_pipeline(GapFiller(), SeriesClassifier()), path)
    clf = SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, series.y)
    clf.classes_ = np.array(["a", 1, None], dtype=object)
    with pytest.raises(ValueError, match="classes_ are of several types"):
        to_onnx(clf, path)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_the_extra_is_named(package, monkeypatch, path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"to_onnx needs {package}: pip .*gkd\[onnx\]"):
        to_onnx(SeriesClassifier(), path)


@pytest.mark.parametrize("n_numbers", [None, 2])
def test_a_regressor_runs_elsewhere(n_numbers, series, small, path):
    y = 1000 + 50 * series.X[:, 0, 0].astype(float)
    if n_numbers:
        y = np.column_stack([y, -y])
    if n_numbers:
        reg = SeriesRegressor(ENSEMBLE, random_state=0).fit(series.X, y)
    else:
        reg = GKDRegressor(small, small, random_state=0).fit(series.X, y, X_priv=series.X_priv)
    to_onnx(make_pipeline(GapFiller().fit(series.X), reg), path)
    [output] = onnx.load(path).graph.output
    assert output.name == "variable"
    session = onnxruntime.InferenceSession(path)
    for n_rows in (1, 120):
        [numbers] = session.run(None, {"X": series.X[:n_rows]})
        assert numbers.dtype == np.float32
        assert_allclose(numbers, reg.predict(series.X[:n_rows]), rtol=1e-5)


def test_a_quantity_of_tiny_numbers_runs_elsewhere(series, small, path):
    y = 1e-10 * (50 + series.X[:, 0, 0].astype(float))
    reg = SeriesRegressor(small, random_state=0).fit(series.X, y)
    to_onnx(reg, path)
    [numbers] = onnxruntime.InferenceSession(path).run(None, {"X": series.X})
    assert_allclose(numbers, reg.predict(series.X), rtol=1e-5)
    far = SeriesRegressor(small, random_state=0).fit(series.X, 1e10 * y + 2.4e6)  # Julian days
    with pytest.raises(ValueError, match=r"y has numbers of about 24000.* hardly tells them"):
        to_onnx(far, path)
