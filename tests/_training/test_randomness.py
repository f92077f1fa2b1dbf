import threading

import numpy as np
import pytest
import torch

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd._training.randomness import seeded

CPU = torch.device("cpu")


def test_same_seed_same_bits_whatever_the_global_generators(series, small):
    clf = GKDClassifier(small, small, random_state=3)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    second = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    other = clf.set_params(random_state=4).fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other.predict_proba(series.X))


def test_global_generators_are_left_as_they_were(series, small):
    torch.manual_seed(5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    clf = GKDClassifier(small, small, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)  # noqa: NPY002


def test_threads_take_turns(series, small):
    def fit(store, key):
        clf = SeriesClassifier(small, random_state=0).fit(series.X, series.y)
        store[key] = clf.predict_proba(series.X)

    alone, together = {}, {}
    fit(alone, 0)
    threads = [threading.Thread(target=fit, args=(together, key)) for key in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in range(3):
        np.testing.assert_array_equal(together[key], alone[0])


def test_seeded_restores_after_an_error():
    def fail():
        torch.rand(3)
        raise RuntimeError

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(0, CPU):
        fail()
    assert torch.equal(torch.get_rng_state(), state)
