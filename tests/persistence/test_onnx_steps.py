from inspect import signature

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from sklearn_gkd import SeriesClassifier, eo
from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices
from sklearn_gkd.persistence import to_onnx
from sklearn_gkd.persistence._onnx_steps import as_module

SHAPE = "shape" if "shape" in signature(np.reshape).parameters else "newshape"  # before numpy 2.1


def as_series():
    return FunctionTransformer(np.reshape, kw_args={SHAPE: (-1, 6, 2)})


def as_table():
    return FunctionTransformer(np.reshape, kw_args={SHAPE: (-1, 12)})


SCALED = {
    "scalers": [
        StandardScaler(with_std=False),
        RobustScaler(with_scaling=False),
        StandardScaler(with_mean=False),
        RobustScaler(with_centering=False),
        MinMaxScaler((-3, 2)),
        MaxAbsScaler(),
        StandardScaler(),
        RobustScaler(),
        "passthrough",
    ],
    "gaps": [
        as_series(),
        as_table(),
        StandardScaler(),
        GapFiller(n_channels=2),
        RobustScaler(),
        as_series(),
    ],
}


@pytest.mark.parametrize("case", SCALED)
def test_steps_on_tables(case, series, small, rows, assert_runs_alike, with_gaps):
    X, X_new = series.X, rows
    if case == "gaps":
        X, X_new = with_gaps(X), with_gaps(X_new)
    pipeline = make_pipeline(*SCALED[case], SeriesClassifier(small, random_state=0))
    assert_runs_alike(pipeline.fit(X.reshape(120, 12), series.y), X_new.reshape(10_000, 12))


def test_gap_filling_of_series(series, small, rows, assert_runs_alike, with_gaps):
    X, X_new = with_gaps(series.X), with_gaps(rows)
    filler = GapFiller(dates=[3, 15, 16, 40, 52, 90])
    pipeline = make_pipeline(filler, SeriesClassifier(small, random_state=0))
    assert_runs_alike(pipeline.fit(X, series.y), X_new)


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


TO_DATES = ["2016-01-01", "2016-02-15", "2016-03-01", "2016-12-31"]
DATES = ["2016-01-05", "2016-01-17", "2016-01-18T12:10", "2016-03-01", "2016-04-01", "2016-05-01"]
TRANSFORMERS = {
    "mask": CloudMask(clouds=(3, 8), n_channels=5),
    "mask in the middle": CloudMask(-3, clouds=np.array([3.0, 8.0]), n_channels=5),
    "no clouds": CloudMask(clouds=[], n_channels=5),
    "indices": SpectralIndices(["NDVI", "NDWI"], bands=["B03", "B04", "B08", "B2", "SCL"]),
    "offset": SpectralIndices(bands=["B4", "B8", "B2", "B3", "SCL"], offset=-1000.1, n_channels=5),
    "gaps": GapFiller(n_channels=5),
    "gaps by dates": GapFiller(dates=DATES, n_channels=5),
    "resampled": Resample(DATES, TO_DATES, n_channels=5),
    "resampled in numbers": Resample([0, 1, 2, 3, 4, 5], [-1, 2.5, 3, 4.75, 9], n_channels=5),
    "one date": Resample(np.array(DATES, dtype="datetime64[s]"), DATES[1:2], n_channels=5),
}


def test_indices_of_spyndex_are_named(optical):
    pytest.importorskip("spyndex", reason="needs the extra indices")
    step = SpectralIndices(["NDVI", "EVI"], bands=["B2", "B3", "B4", "B8", "SCL"])
    with pytest.raises(TypeError, match=r"EVI of SpectralIndices is one of spyndex.*NDVI, NDWI"):
        as_module("step", step.fit(optical.X / 10_000))


def test_every_transformer_has_a_module():
    transformers = {getattr(eo, name) for name in eo.__all__ if hasattr(getattr(eo, name), "fit")}
    assert {type(step) for step in TRANSFORMERS.values()} == transformers


@pytest.mark.parametrize("case", TRANSFORMERS)
def test_a_module_returns_the_same_bits_as_its_step(case, optical):
    step = TRANSFORMERS[case].set_params(n_channels=5)
    X = np.roll(optical.X, 3, axis=2) if case == "mask in the middle" else optical.X_new
    X = X + np.float32(0.5) * (np.arange(len(X)) < 5)[:, None, None]  # between values of a mask
    tables = X.reshape(len(X), -1)
    module = as_module("step", step.fit(tables[:200]))
    assert np.isnan(X).any()
    assert_array_equal(module(torch.tensor(X)).numpy(), step.transform(X), strict=True)
    assert_array_equal(module(torch.tensor(tables)).numpy(), step.transform(tables), strict=True)


def test_an_index_of_nothing_is_zero():
    X = np.array([[[0, 0, 0, 0], [1, 2, -3, 3], [0, 0, 5, 0]]], dtype=np.float32)
    module = as_module("step", SpectralIndices().fit(X))
    assert module(torch.tensor(X))[0, :, 4].tolist() == [0, 1, -1]  # below 0 is 0


OPTICAL = {
    "series": [
        CloudMask(clouds=(3, 8)),
        SpectralIndices(["NDVI", "NDWI"], offset=-1000.1),
        Resample(DATES, TO_DATES),
        GapFiller(dates=TO_DATES),
    ],
    "tables": [
        CloudMask(clouds=(3, 8), n_channels=5),
        Resample(DATES, TO_DATES[1:2], n_channels=4),
        GapFiller(n_channels=4),
        SpectralIndices(n_channels=4),
        StandardScaler(),
    ],
}


@pytest.mark.parametrize("case", OPTICAL)
def test_optical_steps(case, optical, small, assert_runs_alike):
    X, X_new = optical.X, optical.X_new
    if case == "tables":
        X, X_new = X.reshape(120, -1), X_new.reshape(3000, -1)
    pipeline = make_pipeline(*OPTICAL[case], SeriesClassifier(small, random_state=0))
    assert_runs_alike(pipeline.fit(X, optical.y), X_new)
