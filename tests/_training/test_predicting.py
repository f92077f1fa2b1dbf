import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd._training.fitting import prepare
from sklearn_gkd._training.predicting import Standardized, decisions, outputs
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd.networks import NETWORKS, SeriesNet

CPU = torch.device("cpu")


def test_prediction_in_batches_is_prediction_at_once(series, small, monkeypatch):
    clf = SeriesClassifier(small, random_state=0).fit(series.X, series.y)
    whole = torch.cat([logits for logits, _ in outputs(clf.network_, [series.X], CPU)])
    monkeypatch.setattr("sklearn_gkd._training.predicting.PREDICTION_BATCH", 7)
    parts = [logits for logits, _ in outputs(clf.network_, [series.X], CPU)]
    assert [len(part) for part in parts] == [7] * 17 + [1]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_convolutions_predict_an_eighth_at_a_time(series, monkeypatch):
    monkeypatch.setattr("sklearn_gkd._training.predicting.PREDICTION_BATCH", 128)
    sizes = {"teacher": [], "student": []}

    class Sizes(Callback):
        def __init__(self, role):
            self.role = role

        def on_batch_end(self, net, batch, training, **kwargs):
            if not training:
                sizes[self.role].append(len(batch[0][0]))

    cnn = {"module__filters": [4] * 9, "module__head": 4}
    nets = [
        SeriesNet(name, max_epochs=1, callbacks=[("sizes", Sizes(role))], **params)
        for name, role, params in [("cnn", "teacher", cnn), ("mlp", "student", {})]
    ]
    held_out = {f"{name}_val": series[name][:40] for name in ("X", "y", "X_priv")}
    clf = GKDClassifier(*nets, beta=0, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv, **held_out)
    assert sizes == {"teacher": [14, 13, 13], "student": [40]}
    views = [series.X, series.X_priv]
    assert [len(part) for part, _ in outputs(clf.teacher_, views, CPU)] == [16] * 7 + [8]


def test_out_of_memory_halves_the_batch_and_goes_on(series, small, monkeypatch):
    clf = SeriesClassifier(small, random_state=0).fit(series.X, series.y)
    expected = clf.predict_proba(series.X)
    forward = type(clf.network_.module_).forward
    sizes = []

    def forward_in_little_memory(module, views):
        sizes.append(len(views[0]))
        if len(views[0]) > 30:
            raise torch.OutOfMemoryError
        return forward(module, views)

    monkeypatch.setattr(type(clf.network_.module_), "forward", forward_in_little_memory)
    monkeypatch.setattr("sklearn_gkd._training.predicting.PREDICTION_BATCH", 64)
    with pytest.warns(UserWarning, match=r"cpu is out of memory: predicting \d+ rows at a time"):
        np.testing.assert_allclose(clf.predict_proba(series.X), expected, rtol=1e-5)
    assert sizes == [64, 32, *[16] * 8]
    monkeypatch.setattr(type(clf.network_.module_), "forward", out_of_memory)
    with (
        pytest.warns(UserWarning, match=r"predicting \d+ rows"),
        pytest.raises(torch.OutOfMemoryError),
    ):
        clf.predict(series.X)


def out_of_memory(module, views):
    raise torch.OutOfMemoryError


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_is_predicted_alike_beside_any_others(name, series):
    clf = SeriesClassifier(name, max_epochs=1, random_state=0).fit(series.X, series.y)
    together = clf.predict_proba(series.X)
    for rows in ([3], [0, 1, 2], range(17), range(50, 87)):
        assert clf.predict_proba(series.X[rows]).tobytes() == together[rows].tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_decisions_are_the_outputs_without_features(name, series):
    clf = SeriesClassifier(name, max_epochs=2, random_state=0).fit(series.X, series.y)
    logits = torch.cat([logits for logits, _ in outputs(clf.network_, [series.X], CPU)])
    decided = torch.cat(list(decisions(clf.network_, [series.X], CPU)))
    torch.testing.assert_close(decided, logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "ensemble", "cnn"])
def test_an_output_bias_is_added_in_networks_of_this_package(name):
    def built(**bias):
        torch.manual_seed(0)
        return Standardized(NETWORKS[name], [], [(4, 2)], 3, **bias).state_dict()

    before, after = built(), built(output_bias=[-1.0, 0.0, 2.0])
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert changed == ["network.head.6.bias"]
    shift = after[changed[0]] - before[changed[0]]
    torch.testing.assert_close(shift, torch.tensor([-1.0, 0.0, 2.0]).expand_as(shift))


def test_a_network_of_another_kind_is_left_alone(logits_only):
    torch.manual_seed(0)
    before = Standardized(logits_only, [], [(4, 2)], 3).state_dict()
    torch.manual_seed(0)
    after = Standardized(logits_only, [], [(4, 2)], 3, output_bias=[-1.0, 0.0, 2.0]).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_outputs_start_at_the_weights_of_the_training_labels(series, small, recorder):
    class_weight = {"maize": 3.0}
    clf = SeriesClassifier(small, validation_fraction=0.3, class_weight=class_weight)
    clf._store = recorder
    clf.fit(series.X, series.y, sample_weight=np.where(series.y == "forest", 5.0, 1.0))
    (training,) = recorder.trainings
    counts = np.bincount(training.targets[0][training.train])
    expected = np.log(counts * [5, 3, 1])  # forest, maize, meadow
    expected -= expected.mean()
    with seeded(0, CPU):
        started = prepare(training).initialize().module_.network.head[-1].bias
    with seeded(0, CPU):
        plain = prepare(training).set_params(module__output_bias=None).initialize()
    shift = (started - plain.module_.network.head[-1].bias).detach()
    np.testing.assert_allclose(shift, expected, rtol=1e-5, atol=1e-6)
    clf.set_params(class_weight=None).fit(series.X, series.y)
    assert prepare(recorder.trainings[-1]).get_params()["module__output_bias"] is None


def test_rows_may_run_backwards(series, small):
    clf = SeriesClassifier(small, random_state=0).fit(series.X, series.y)
    X = np.resize(series.X, (128, 6, 2))  # whole batches, which are not padded
    expected = clf.predict_proba(X)[::-1]
    np.testing.assert_array_equal(clf.predict_proba(X[::-1]), expected)
    np.testing.assert_allclose(clf.network_.predict_proba(X[::-1]), expected, rtol=1e-5)
