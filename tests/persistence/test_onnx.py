import sys
from inspect import signature

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import to_onnx

SHAPE = "shape" if "shape" in signature(np.reshape).parameters else "newshape"  # before numpy 2.1

CNN = SeriesNet(
    "cnn",
    module__filters=(8, 16),
    module__kernels=(5, 3),
    module__head=8,
    lr=1e-2,
    max_epochs=8,
    batch_size=16,
)


ENSEMBLE = SeriesNet(
    "ensemble",
    module__n_members=3,
    module__width=16,
    module__features=8,
    module__head=8,
    lr=1e-2,
    max_epochs=8,
    batch_size=16,
)


@pytest.fixture
def rows():
    """10,000 series in the units of `series`, and some far out of its range."""
    rng = np.random.RandomState(1)
    scale = np.where(np.arange(10_000) % 10, 1, 30)[:, None, None]
    return (-14.5 + scale * rng.normal(size=(10_000, 6, 2))).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def run(path, X):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["label", "probabilities"]
    return session.run(None, {"X": X})


def assert_runs_alike(estimator, path, X):
    to_onnx(estimator, path)
    label, probabilities = run(path, X)
    expected = estimator.predict_proba(X)
    assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-4
    assert clear.mean() > 0.9
    assert_array_equal(label[clear], estimator.predict(X)[clear])
    assert len(set(label)) > 1


@pytest.mark.parametrize("table", [False, True], ids=["series", "table"])
@pytest.mark.parametrize("net", ["mlp", "cnn", "ensemble"])
def test_the_student_runs_elsewhere(net, table, series, small, rows, path):
    student = {"mlp": small, "cnn": CNN, "ensemble": ENSEMBLE}[net]
    n_channels = 2 if table and net == "cnn" else None
    clf = GKDClassifier(small, student, beta=0, n_channels=n_channels, random_state=0)
    X = series.X.reshape(120, 12) if table else series.X
    clf.fit(X, series.y, X_priv=series.X_priv)
    assert_runs_alike(clf, path, rows.reshape(10_000, 12) if table else rows)
    for n_rows in (1, 3):
        X = rows[:n_rows].reshape(n_rows, *X.shape[1:])
        _, probabilities = run(path, X)
        assert_allclose(probabilities, clf.predict_proba(X), rtol=0, atol=1e-5)
    graph = onnx.load(path).graph
    rows_of = [value.type.tensor_type.shape.dim[0] for value in (*graph.input, *graph.output)]
    assert [dimension.dim_param for dimension in rows_of] == ["n", "n", "n"]


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (np.array([-4, 7, 300], dtype=np.int16), np.int64),
        (np.array(["été", "winter", "x"], dtype=object), object),
        (np.array([1.0, 2.0, 5.0]), np.float64),
    ],
    ids=["int16", "object", "float"],
)
def test_labels_are_the_classes(labels, dtype, series, small, path):
    y = labels[np.arange(120) // 40]
    clf = SeriesClassifier(small).fit(series.X, y)
    to_onnx(clf, path)
    label, _ = run(path, series.X)
    assert label.dtype == dtype
    assert label.tolist() == clf.predict(series.X).tolist()


def test_boolean_labels(series, small, path):
    clf = SeriesClassifier(small).fit(series.X, series.y == "maize")
    to_onnx(clf, path)
    label, _ = run(path, series.X)
    assert_array_equal(label, clf.predict(series.X), strict=True)


def with_gaps(X):
    """Return series with gaps of every kind: single, at both ends, a whole channel, a whole row."""
    X = np.where(np.random.RandomState(2).uniform(size=X.shape) < 0.4, np.nan, X)
    X[0], X[1, :, 0] = np.nan, np.nan
    return X.astype(np.float32)


def as_series():
    return FunctionTransformer(np.reshape, kw_args={SHAPE: (-1, 6, 2)})


def as_table():
    return FunctionTransformer(np.reshape, kw_args={SHAPE: (-1, 12)})


SCALED = {
    "all": [StandardScaler(), MinMaxScaler((-3, 2)), MaxAbsScaler(), RobustScaler()],
    "centred": [StandardScaler(with_std=False), RobustScaler(with_scaling=False)],
    "spread": [StandardScaler(with_mean=False), RobustScaler(with_centering=False), "passthrough"],
    "after gaps": [GapFiller(n_channels=2), StandardScaler()],
    "before gaps": [StandardScaler(), GapFiller(n_channels=2)],
    "series after gaps": [GapFiller(n_channels=2), StandardScaler(), as_series()],
}


@pytest.mark.parametrize("case", SCALED)
def test_steps_on_tables(case, series, small, rows, path):
    X, X_new = series.X, rows
    if "gaps" in case:
        X, X_new = with_gaps(X), with_gaps(X_new)
    pipeline = make_pipeline(*SCALED[case], SeriesClassifier(small, random_state=0))
    assert_runs_alike(pipeline.fit(X.reshape(120, 12), series.y), path, X_new.reshape(10_000, 12))


@pytest.mark.parametrize("channels", [1, 2])
def test_gap_filling_of_series(channels, series, small, rows, path):
    X, X_new = with_gaps(series.X[..., :channels]), with_gaps(rows[..., :channels])
    filler = GapFiller(dates=[3, 15, 16, 40, 52, 90])
    pipeline = make_pipeline(filler, SeriesClassifier(small, random_state=0))
    assert_runs_alike(pipeline.fit(X, series.y), path, X_new)


def test_reshaping_to_a_table_and_back(series, small, rows, path):
    classifier = SeriesClassifier(small, random_state=0)
    pipeline = make_pipeline(as_table(), RobustScaler(), as_series(), classifier)
    X_new = rows.reshape(10_000, 12)
    assert_runs_alike(pipeline.fit(series.X.reshape(120, 12), series.y), path, X_new)


def test_column_names_do_not_matter(series, small, path):
    X = pd.DataFrame(series.X.reshape(120, 12)).add_prefix("VV_d")
    pipeline = make_pipeline(StandardScaler(), SeriesClassifier(small))
    pipeline.set_output(transform="pandas").fit(X, series.y)
    to_onnx(pipeline, path)
    _, probabilities = run(path, X.to_numpy(np.float32))
    assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        FunctionTransformer(np.log1p),
        FunctionTransformer(np.reshape, kw_args={SHAPE: (-1, 6, 2), "order": "F"}),
        FunctionTransformer(np.reshape, kw_args={SHAPE: (120, 6, 2)}),
        MinMaxScaler(clip=True),
    ],
    ids=["log", "order", "rows", "clip"],
)
def test_other_steps_are_named(step, series, small, path):
    pipeline = make_pipeline(step, SeriesClassifier(small.set_params(max_epochs=1)))
    pipeline.fit(np.abs(series.X).reshape(120, 12), series.y)
    name = type(step).__name__.lower()
    with pytest.raises(TypeError, match=f"(?s)Step '{name}' is {type(step).__name__}.*not export"):
        to_onnx(pipeline, path)
    assert not path.exists()


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
