from contextlib import contextmanager

import numpy as np
import pytest
import torch

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.networks import SeriesNet
from sklearn_gkd.persistence import load_model, save_model


@contextmanager
def double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def everything_on_meta():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


STATES = {
    "double": double,
    "deterministic": deterministic,
    "default device": everything_on_meta,
    "device context": lambda: torch.device("meta"),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}
CNN = SeriesNet("cnn", module__filters=[4, 4], module__kernels=[3, 1], module__head=4, max_epochs=2)


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_fit_and_predict_are_as_without(series, small, state):
    small.set_params(max_epochs=2)
    estimators = [
        (GKDClassifier(small, small, validation_fraction=0.2, random_state=0), series.X_priv),
        (SeriesClassifier("ensemble", max_epochs=1, random_state=0), None),
        (SeriesClassifier(CNN, random_state=0), None),
    ]
    for estimator, X_priv in estimators:
        given = {} if X_priv is None else {"X_priv": X_priv}
        expected = estimator.fit(series.X, series.y, **given).predict_proba(series.X)
        with state():
            np.testing.assert_array_equal(estimator.predict_proba(series.X), expected)
            estimator.fit(series.X, series.y, **given)
            found, classes = estimator.predict_proba(series.X), estimator.predict(series.X)
            if given:
                by_teacher = estimator.teacher_predict_proba(series.X, X_priv)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(classes, estimator.predict(series.X))
        if given:
            again = estimator.teacher_predict_proba(series.X, X_priv)
            np.testing.assert_array_equal(by_teacher, again)


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_model_is_saved_and_loaded_as_without(series, small, state, tmp_path):
    clf = SeriesClassifier(small.set_params(max_epochs=1), random_state=0)
    expected = clf.fit(series.X, series.y).predict_proba(series.X)
    with state():
        save_model(clf, tmp_path / "model")
        loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(series.X), expected)


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_what_was_set_is_put_back(state):
    def settings():
        return (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(),
            torch.is_autocast_enabled("cpu"),
        )

    plain = settings()
    with state():
        before = settings()
        with plain_torch():
            assert settings() == plain
        assert settings() == before
    assert settings() == plain


def test_the_last_to_leave_puts_the_dtype_back():
    first, second = plain_torch(), plain_torch()
    with double():
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64
