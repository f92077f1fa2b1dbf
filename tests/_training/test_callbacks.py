import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, log_loss, make_scorer
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
    Unfreezer,
)

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.networks import MLP

VALID = {"validation_fraction": 0.25, "random_state": 0}


def halves(series):
    train, valid = np.arange(0, 120, 2), np.arange(1, 120, 2)
    return (series.X[train], series.y[train]), (series.X[valid], series.y[valid])


@pytest.mark.parametrize("module", ["mlp", "ensemble"])
@pytest.mark.parametrize("use_caching", [True, False])
def test_scores_are_those_of_the_estimators_own_predictions(series, small, module, use_caching):
    (X, y), (X_val, y_val) = halves(series)
    options = {"lower_is_better": False, "use_caching": use_caching}
    small.set_params(
        module=module,
        max_epochs=1,
        callbacks=[
            EpochScoring("f1_macro", **options),
            EpochScoring("neg_log_loss", **options),
            EpochScoring(make_scorer(f1_score, average="micro"), name="micro", **options),
            EpochScoring(None, name="own", **options),
            BatchScoring("accuracy", **options),
        ],
    )
    clf = SeriesClassifier(small, random_state=0).fit(X, y, X_val=X_val, y_val=y_val)
    epoch = clf.network_.history[-1]
    accuracy = accuracy_score(y_val, clf.predict(X_val))
    assert epoch["f1_macro"] == f1_score(y_val, clf.predict(X_val), average="macro")
    assert epoch["neg_log_loss"] == pytest.approx(
        -log_loss(y_val, clf.predict_proba(X_val)), rel=1e-5
    )
    assert epoch["micro"] == epoch["own"] == epoch["accuracy"] == accuracy


def test_scores_of_training_rows_are_of_those_that_have_a_label(series, small):
    """A net that does not move predicts in each batch as it does in the end."""
    training = {"on_train": True, "use_caching": False, "lower_is_better": False}
    student = clone(small).set_params(
        max_epochs=1,
        lr=1e-30,
        batch_size=4,
        callbacks=[
            EpochScoring("f1_macro", **training),
            EpochScoring(count, name="n_scored", on_train=True),
            BatchScoring(count, name="n_in_batch", on_train=True),
        ],
    )
    clf = GKDClassifier(small, student, random_state=0)
    unlabeled = {"X_unlabeled": series.X[:60], "X_priv_unlabeled": series.X_priv[:60]}
    clf.fit(series.X, series.y, series.X_priv, **unlabeled)
    epoch = clf.student_.history[-1]
    assert epoch["train_batch_count"] == 45
    assert epoch["f1_macro"] == f1_score(series.y, clf.predict(series.X), average="macro")
    assert epoch["n_scored"] == 120
    assert 2 < epoch["n_in_batch"] < 4


def count(net, X, y):
    assert (y >= 0).all()
    return len(y)


def test_a_skorch_classifier_is_scored_too(series):
    net = NeuralNetClassifier(
        MLP,
        module__width=8,
        max_epochs=1,
        optimizer=torch.optim.Adam,
        callbacks=[EpochScoring("roc_auc_ovr", lower_is_better=False)],
        verbose=0,
    )
    clf = SeriesClassifier(net, **VALID).fit(series.X, series.y)
    assert 0 < clf.network_.history[-1, "roc_auc_ovr"] < 1
    np.testing.assert_array_equal(clf.network_.classes_, [0, 1, 2])
    np.testing.assert_array_equal(
        clf.classes_[clf.network_.predict(series.X)], clf.predict(series.X)
    )


def test_a_callable_is_given_the_net_and_the_data_of_skorch(series, small):
    seen = []

    def score(net, X, y):
        seen.append((len(net.history), y.tolist()))
        return 0.5

    (X, y), (X_val, y_val) = halves(series)
    net = NeuralNet(MLP, None, module__width=8, max_epochs=2, verbose=0)
    net.set_params(callbacks=[EpochScoring(score)])
    clf = SeriesClassifier(net, random_state=0).fit(X, y, X_val=X_val, y_val=y_val)
    codes = np.searchsorted(clf.classes_, y_val).tolist()
    assert seen == [(1, codes), (2, codes)]
    assert clf.network_.history[:, "score"] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("callback", "prefix"), [(TrainEndCheckpoint(), "train_end_"), (Checkpoint(load_best=True), "")]
)
def test_what_a_checkpoint_saves_can_be_loaded_again(series, small, tmp_path, callback, prefix):
    callback.dirname = str(tmp_path)
    clf = SeriesClassifier(small.set_params(callbacks=[callback]), **VALID)
    expected = clf.fit(series.X, series.y).predict_proba(series.X)
    with torch.no_grad():
        for weights in clf.network_.module_.parameters():
            weights.zero_()
    assert (clf.predict_proba(series.X) != expected).any()
    clf.network_.load_params(f_params=str(tmp_path / f"{prefix}params.pt"))
    np.testing.assert_array_equal(clf.predict_proba(series.X), expected)


@pytest.fixture
def weights(series, small):
    """The student's weights by its network's own names, after a fit."""

    def of_fit(**params):
        net = clone(small).set_params(**params)
        clf = GKDClassifier(student=net, beta=0, gamma=0, random_state=0)
        clf.fit(series.X, series.y, series.X_priv)
        return dict(clf.student_.module_.network.named_parameters())

    return of_fit


def moved(weights, others):
    return {
        name
        for name, value in weights.items()
        if not torch.allclose(value, others[name], rtol=0, atol=1e-12)
    }


@pytest.mark.parametrize(
    ("patterns", "layers"),
    [("body.*", "body."), (["body.*"], "body."), (lambda name: name.startswith("head"), "head.")],
)
def test_parameters_are_frozen_by_their_own_names(series, weights, patterns, layers):
    start, end = (weights(max_epochs=n, lr=lr) for n, lr in [(1, 1e-30), (2, 1e-2)])
    frozen = weights(max_epochs=2, callbacks=[Freezer(patterns)])
    thawed = weights(max_epochs=2, callbacks=[Freezer(patterns), Unfreezer(patterns, at=2)])
    assert moved(end, start) == moved(thawed, start) == set(start)
    assert moved(frozen, start) == {name for name in start if not name.startswith(layers)}


def test_groups_of_parameters_go_by_their_own_names(weights):
    start = weights(max_epochs=1, lr=1e-30)
    end = weights(max_epochs=2, optimizer__param_groups=[("body.*", {"lr": 1e-30})])
    assert moved(end, start) == {name for name in start if name.startswith("head.")}


class Trained(Callback):
    """Fails where a net is trained."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("a net was trained")


@pytest.mark.parametrize("role", ["network", "teacher", "student"])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"callbacks": [EpochScoring("accuracy")]}, "EpochScoring, which looks at validation rows"),
        ({"callbacks": [("a", BatchScoring("accuracy"))]}, "BatchScoring, which looks at valid"),
        ({"callbacks": [EarlyStopping()]}, "EarlyStopping, which looks at validation rows"),
        ({"callbacks": [Checkpoint()]}, "Checkpoint, which looks at validation rows"),
        ({"callbacks": [LRScheduler("ReduceLROnPlateau", monitor="valid_acc")]}, "LRScheduler, w"),
        ({"callbacks": [InputShapeSetter()]}, "InputShapeSetter, but networks are called with"),
        ({"callbacks": [LoadInitState(Checkpoint())]}, "LoadInitState, but every fit starts anew"),
        (
            {"callbacks": [Freezer("network.body.*")]},
            r"pattern 'network.body.\*' .*'body.0.weight'",
        ),
        (
            {"optimizer__param_groups": [("bady.*", {"lr": 0.1})]},
            r"pattern 'bady.\*' \(of optimizer",
        ),
        ({"callbacks": [Freezer("body.*")], "compile": True}, r"'_orig_mod.network.body.0.weight'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_training(series, small, role, params, message):
    net = clone(small).set_params(**params)
    other = clone(small).set_params(callbacks=[Trained()])
    nets = {role: net} if role == "network" else {"teacher": other, "student": other, role: net}
    clf = SeriesClassifier(**nets) if role == "network" else GKDClassifier(**nets)
    X_priv = [] if role == "network" else [series.X_priv]
    with pytest.raises(ValueError, match=f"^{role} has the .*{message}"):
        clf.fit(series.X, series.y, *X_priv)


@pytest.mark.parametrize("scoring", ["f1_macro", None, make_scorer(f1_score)])
def test_a_score_of_classes_needs_a_net_that_predicts_them(series, scoring):
    net = NeuralNet(MLP, None, callbacks=[EpochScoring(scoring)])
    with pytest.raises(ValueError, match=r"^network has .* Give a SeriesNet or a NeuralNetClass"):
        SeriesClassifier(net, **VALID).fit(series.X, series.y)
