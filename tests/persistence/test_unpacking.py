import json
import os

import pytest
import torch
from safetensors import safe_open
from sklearn.pipeline import make_pipeline

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import GapFiller, Resample
from sklearn_gkd.persistence import load_model, save_model


def set_in(*keys, value):
    def change(content, tensors):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def tensor(name, function):
    def change(content, tensors):
        tensors[name] = function(tensors[name])

    return change


def fitted_in(*keys, value):
    return set_in("model", "fitted", *keys, value=value)


def drop(*keys):
    def change(content, tensors):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def another_tensor(content, tensors):
    tensors["secret"] = torch.zeros(1)


def drop_a_weight(content, tensors):
    del tensors["network_.network.head.6.bias"]


SYSTEM = {"module": "os.system"}
NEST = json.loads("[" * 900 + "]" * 900)
CRAFTED = {
    "network": (
        fitted_in("network_", "network", value=SYSTEM),
        "network 'os.system'",
    ),
    "activation": (
        set_in(
            "model", "fitted", "network_", "params", "dict", value=[["feature_activation", SYSTEM]]
        ),
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
        fitted_in("network_", "params", "dict", value=[["width", 2**20]]),
        r"network.body.0.weight is torch.float32 of shape \(16, 12\).*\(1048576, 12\)",
    ),
    "series": (fitted_in("series_shape_", value=[10**9, 10**9]), "n_features_in_"),
    "negative series": (
        fitted_in("series_shape_", value=[-6, -2]),
        "series_shape_",
    ),
    "classes": (
        fitted_in("classes_", "values", value=["maize", "oats"]),
        "head.6.weight",
    ),
    "twice a class": (
        fitted_in("classes_", "values", value=["a", "a", "b"]),
        "classes_",
    ),
    "wide classes": (
        fitted_in("classes_", "dtype", value="<U99999999"),
        "classes_",
    ),
    "records": (fitted_in("classes_", "dtype", value="i8,O"), "classes_"),
    "names": (fitted_in("feature_names_in_", value=["VV"]), "feature_names_in_"),
    "history": (fitted_in("network_", "history", value=3), "."),
    "nothing": (set_in("model", value=None), "."),
    "nesting": (set_in("model", "params", "lr", value=NEST), "."),
    "shape": (
        tensor("network_.network.head.6.bias", lambda t: t[:2]),
        r"head.6.bias is .* \(2,\).*\(3,\)",
    ),
    "dtype": (tensor("network_.network.head.6.bias", torch.Tensor.double), "bias is torch.float64"),
    "scaling dtype": (tensor("network_.mean_0", torch.Tensor.double), "scaling"),
    "scaling shape": (tensor("network_.scale_0", lambda t: t.repeat(100, 1)), "scaling"),
    "missing weight": (drop_a_weight, "names of the weights"),
    "more weights": (another_tensor, r"tensors that nothing needs: \['secret'\]"),
    "unknown attribute": (
        fitted_in("predict", value="tensor"),
        "it has predict, which no SeriesClassifier has",
    ),
    "method": (fitted_in("_net", value=3), "it has _net"),
    "no classes": (drop("model", "fitted", "classes_"), "it has no classes_"),
    "features": (fitted_in("n_features_in_", value=13), "n_features_in_"),
    "true": (fitted_in("series_shape_", value=[True, 12]), "series_shape_"),
    "one size": (fitted_in("series_shape_", value=[12]), "series_shape_"),
    "names of no string": (
        fitted_in("feature_names_in_", value=[0] * 12),
        "feature_names_in_",
    ),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_file_runs_nothing(case, series, small, path, monkeypatch, rewrite):
    change, message = CRAFTED[case]
    save_model(SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, series.y), path)
    rewrite(change)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("ran a command"))
    with pytest.raises(ValueError, match=f"does not hold a model that can be built: .*{message}"):
        load_model(path)


def step(name, *keys):
    return ("model", "params", "steps", STEP_NUMBERS[name], "tuple", 1, "estimator", *keys)


STEP_NUMBERS = {"resample": 0, "gapfiller": 1}
CRAFTED_STEPS = {
    "shape": (tensor("gapfiller.medians_", lambda t: t[:1]), r"gapfiller.medians_ is .*\(1, 2\)"),
    "days": (tensor("gapfiller.days_", lambda t: t[:, None]), r"gapfiller.days_ is .*\(3, 1\)"),
    "dtype": (tensor("gapfiller.days_", torch.Tensor.long), "gapfiller.days_ is torch.int64"),
    "missing": (drop("model", "fitted", "gapfiller", "days_"), "it has no gapfiller.days_"),
    "series": (
        fitted_in("gapfiller", "series_shape_", value=[2, 3]),
        r"gapfiller.medians_ is .*\(3, 2\).*\(2, 3\)",
    ),
    "unknown": (
        fitted_in("resample", "transform", value="tensor"),
        "it has resample.transform, which no Resample has",
    ),
    "steps": (drop("model", "fitted", "resample"), "its steps"),
    "unsaved": (
        set_in(*step("resample", "params", "dates"), value={"unsaved": "dates"}),
        "'dates' parameter of Resample",
    ),
    "class": (set_in(*step("resample", "class"), value="FeatureUnion"), "class 'FeatureUnion'"),
    "module": (
        set_in("model", "params", "steps", 0, "tuple", 1, value={"module": "ReLU"}),
        "_fitted_state",
    ),
}


@pytest.mark.parametrize("case", CRAFTED_STEPS)
def test_crafted_steps(case, series, path, rewrite):
    change, message = CRAFTED_STEPS[case]
    steps = make_pipeline(Resample(range(6), [0, 2, 4]), GapFiller())
    save_model(steps.fit(series.X), path)
    rewrite(change)
    with pytest.raises(ValueError, match=f"does not hold a model that can be built: .*{message}"):
        load_model(path)


READER = ("model", "fitted", "priv_reader_")
SOURCE = (*READER, "sources", 0)
CRAFTED_TEACHERS = {
    "shape": (set_in(*SOURCE, "shape", value=[4, 6]), "scaling|names of the weights"),
    "no image": (set_in(*SOURCE, "shape", value=[1, 4, 3, 2]), r"sources\.0\.shape"),
    "sources": (set_in(*READER, "sources", value=[]), r"priv_reader_\.sources"),
    "column numbers": (set_in(*SOURCE, "columns", value=[-1]), r"sources\.0\.columns"),
    "name": (set_in(*SOURCE, "name", value=1), r"sources\.0\.name"),
    "columns": (set_in(*READER, "columns", value="VV"), r"priv_reader_\.columns"),
    "channels": (set_in(*SOURCE, "n_channels", value=-1), r"sources\.0\.n_channels"),
    "attribute": (set_in(*READER, "read", value=1), r"priv_reader_\.read, which no Privileged"),
    "medians": (
        tensor("priv_reader_.sources.0.transformer.medians_", torch.Tensor.int),
        r"priv_reader_\.sources\.0\.transformer\.medians_ is torch.int32",
    ),
    "no reader": (drop(*READER), "it has no priv_reader_"),
    "no teacher": (drop("model", "fitted", "teacher_"), "it has no teacher_"),
    "no shape": (drop(*SOURCE, "shape"), r"it has no priv_reader_\.sources\.0\.shape"),
    "view": (
        set_in("model", "params", "teacher_view", value="privileged"),
        "scaling|names of the weights",
    ),
    "no transformer": (
        set_in(*SOURCE, "transformer", "class", value="SeriesClassifier"),
        "unexpected keyword|parameter",
    ),
}


@pytest.mark.parametrize("case", CRAFTED_TEACHERS)
def test_crafted_teachers(case, series, small, path, rewrite):
    change, message = CRAFTED_TEACHERS[case]
    clf = GKDClassifier(small, small.set_params(max_epochs=1), priv_transformer=GapFiller())
    save_model(clf.fit(series.X, series.y, X_priv=series.X_priv), path, teacher=True)
    rewrite(change)
    with pytest.raises(ValueError, match=f"does not hold a model that can be built: .*({message})"):
        load_model(path)


def test_a_classifier_is_no_transformer(series, small, fitted, path, rewrite):
    save_model(SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, series.y), path)
    with safe_open(path, framework="pt") as file:
        model = json.loads(file.metadata()["sklearn_gkd"])["model"]
        weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118

    def put_a_classifier(content, tensors):
        content["model"]["fitted"]["priv_reader_"]["sources"][0]["transformer"] = model
        for name, weight in weights.items():
            tensors[f"priv_reader_.sources.0.transformer.{name}"] = weight

    save_model(fitted, path, teacher=True)
    rewrite(put_a_classifier)
    with pytest.raises(ValueError, match=r"sources\.0\.transformer cannot be"):
        load_model(path)
