import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._training.batches import Batches
from sklearn_gkd._training.budget import budget_of, rate_shares
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.evaluation._controls import (
    FITS,
    SideBySide,
    Split,
    _net_on_both,
    distillation,
    estimator_and_teacher,
    forest,
    imputation,
    modality_dropout,
    permuted,
    self_distillation,
    student_alone,
    student_alone_longer,
)
from sklearn_gkd.networks import SeriesNet


@pytest.fixture
def split(series):
    train, test = hold_out(series.y, 0.3, random_state=0)
    return Split(
        X=series.X[train],
        y=series.y[train],
        X_priv=series.X_priv[train],
        groups=None,
        X_unlabeled=None,
        X_priv_unlabeled=None,
        X_test=series.X[test],
        X_priv_test=series.X_priv[test],
    )


@pytest.fixture
def estimator(small):
    teacher = clone(small).set_params(max_epochs=2)
    return GKDClassifier(teacher, small, validation_fraction=0.2, random_state=3)


@pytest.fixture
def calls(monkeypatch):
    """What is fitted, as (estimator, X, X_priv), and what predicts, as (estimator, X)."""
    seen = {"fit": [], "predict": []}
    for cls in (GKDClassifier, SeriesClassifier):

        def fit(self, X, y, X_priv=None, *, original=cls.fit, **kwargs):
            seen["fit"].append((self, X, X_priv))
            return original(self, X, y, *([] if X_priv is None else [X_priv]), **kwargs)

        def predict(self, X, *, original=cls.predict_proba):
            seen["predict"].append((self, X))
            return original(self, X)

        monkeypatch.setattr(cls, "fit", fit)
        monkeypatch.setattr(cls, "predict_proba", predict)
    return seen


def equal(first, second):
    return np.array_equal(first, second)


def alike(first, second):
    """Whether two fits predict the same, bit for bit."""
    return equal(first.classes, second.classes) and equal(first.proba, second.proba)


@pytest.mark.parametrize("fit", [fit for fit in FITS if fit is not estimator_and_teacher])
def test_only_the_bound_reads_privileged_information_of_test_rows(fit, estimator, split):
    blind = split._replace(X_priv_test=None)
    assert alike(fit(clone(estimator), blind), fit(clone(estimator), split))


def test_the_estimator_and_its_bound_are_one_ordinary_fit(estimator, split):
    by_hand = clone(estimator).fit(split.X, split.y, X_priv=split.X_priv)
    by_teacher = by_hand.teacher_predict_proba(split.X_test, split.X_priv_test)
    predicted, bound = estimator_and_teacher(clone(estimator), split)
    assert equal(predicted.proba, by_hand.predict_proba(split.X_test))
    assert equal(predicted.y_pred, by_hand.predict(split.X_test))
    assert equal(bound.proba, by_teacher)
    assert equal(bound.y_pred, by_hand.classes_[by_teacher.argmax(axis=1)])
    assert not equal(predicted.y_pred, bound.y_pred)
    assert alike(distillation(estimator, split), predicted)


def test_the_forest_is_a_plain_forest(estimator, split):
    plain = RandomForestClassifier(class_weight="balanced", random_state=3)
    plain.fit(split.X.reshape(len(split.X), -1), split.y)
    predicted = forest(estimator.set_params(class_weight="balanced"), split)
    tables = split.X_test.reshape(len(split.X_test), -1)
    assert equal(predicted.proba, plain.predict_proba(tables))
    assert equal(predicted.y_pred, plain.predict(tables))


def test_the_student_alone_has_no_teacher_and_starts_as_the_estimators_student(estimator, split):
    alone = clone(estimator)
    student_alone(alone, split._replace(X_priv=None))
    assert not hasattr(alone, "teacher_")
    assert (
        alone.student_.history[:, "valid_acc"]
        != estimator.fit(split.X, split.y, X_priv=split.X_priv).student_.history[:, "valid_acc"]
    )
    no_pull = clone(estimator).set_params(beta=1e-9, gamma=0)
    no_pull.fit(split.X, split.y, X_priv=split.X_priv)
    assert alone.student_.history[:, "train_loss"] == pytest.approx(
        no_pull.student_.history[:, "train_loss"], rel=1e-4
    )


def test_longer_is_the_same_student_for_the_epochs_of_both(estimator, split):
    alone, longer = clone(estimator), clone(estimator).set_params(n_iter_no_change=1)
    student_alone(alone, split)
    student_alone_longer(longer, split)
    assert not hasattr(longer, "teacher_")
    losses = longer.student_.history[:, "train_loss"]
    assert len(losses) == 2 + 3
    assert losses[:3] == alone.student_.history[:, "train_loss"]


def test_longer_is_twice_as_long_where_the_teacher_has_no_epochs(estimator, split):
    estimator.set_params(teacher=RandomForestClassifier(), beta=0)
    student_alone_longer(estimator, split)
    assert len(estimator.student_.history) == 3 + 3


def test_longer_adds_the_epochs_of_named_nets(split):
    named = GKDClassifier("mlp", SeriesNet("mlp", module__width=8, max_epochs=1), max_epochs=2)
    student_alone_longer(named, split)
    assert len(named.student_.history) == 1 + 2


def steps_taken(net, n_rows):
    """Count the batches that a fitted net was trained on."""
    batches = Batches(TensorDataset(torch.zeros(n_rows)), net.batch_size, 1)
    return len(net.history) * len(list(batches))


@pytest.fixture
def with_pairs(series, split):
    """A split with 150 pairs without a label."""
    X, X_priv = (np.tile(values, (2, 1, 1))[:150] for values in (series.X, series.X_priv))
    return split._replace(X_unlabeled=X, X_priv_unlabeled=X_priv)


@pytest.mark.parametrize("validation_fraction", [0, 0.2])
def test_every_net_takes_the_steps_of_the_estimators_student(
    estimator, with_pairs, calls, validation_fraction
):
    estimator.set_params(validation_fraction=validation_fraction, teacher__batch_size=32)
    n_labelled = round((1 - validation_fraction) * len(with_pairs.y))
    distilled, alone, longer = clone(estimator), clone(estimator), clone(estimator)
    distillation(distilled, with_pairs)
    student_alone(alone, with_pairs)
    student_alone_longer(longer, with_pairs)
    for control in (imputation, modality_dropout):
        control(clone(estimator), with_pairs)
    nets = [alone.student_] + [fit.network_ for fit, *_ in calls["fit"][-2:]]
    steps = steps_taken(distilled.student_, n_labelled + 150)
    for net in nets:
        an_epoch = steps_taken(net, n_labelled) // len(net.history)
        assert steps <= steps_taken(net, n_labelled) < steps + an_epoch
    of_both = steps + steps_taken(distilled.teacher_, n_labelled)
    taken = steps_taken(longer.student_, n_labelled)
    assert of_both <= taken < of_both + taken // len(longer.student_.history)


def test_patience_grows_with_the_epochs(estimator, with_pairs, calls):
    estimator.set_params(n_iter_no_change=4)
    student_alone(estimator, with_pairs)
    n_labelled = round(0.8 * len(with_pairs.y))
    longer = np.ceil((n_labelled + 150) / 16) / np.ceil(n_labelled / 16)
    assert estimator.student.max_epochs == np.ceil(3 * longer)
    assert estimator.n_iter_no_change == np.ceil(4 * estimator.student.max_epochs / 3)


def test_without_pairs_epochs_and_patience_stay(estimator, split):
    estimator.set_params(n_iter_no_change=4)
    student_alone(estimator, split)
    assert (estimator.student.max_epochs, estimator.n_iter_no_change) == (3, 4)


def test_self_distillation_has_the_same_pairs(estimator, with_pairs, monkeypatch):
    given = {}
    monkeypatch.setattr(
        GKDClassifier, "fit", lambda self, X, y, **kwargs: given.update(kwargs) or self
    )
    monkeypatch.setattr(GKDClassifier, "classes_", None, raising=False)
    monkeypatch.setattr(GKDClassifier, "predict_proba", lambda self, X: None)
    self_distillation(estimator, with_pairs)
    assert equal(given["X_unlabeled"], with_pairs.X_unlabeled)
    assert equal(given["X_priv_unlabeled"], with_pairs.X_unlabeled)
    assert equal(given["X_priv"], with_pairs.X)


def test_permuted_rows_of_x_priv_are_the_same_rows_of_other_objects(estimator, split, calls):
    permuted(estimator, split)
    [(_, X, X_priv)] = calls["fit"]
    assert equal(X, split.X)
    of_same_object = (X_priv == split.X_priv).all(axis=(1, 2))
    assert of_same_object.mean() < 0.1
    assert equal(np.sort(X_priv, axis=0), np.sort(split.X_priv, axis=0))
    assert hasattr(estimator, "teacher_")
    permuted(clone(estimator), split)
    assert equal(calls["fit"][1][2], X_priv)
    permuted(clone(estimator).set_params(random_state=4), split)
    assert not equal(calls["fit"][2][2], X_priv)


@pytest.mark.parametrize("teacher_view", ["both", "privileged"])
def test_self_distillation_knows_nothing_of_x_priv(estimator, split, teacher_view):
    tables = split._replace(X=split.X.reshape(len(split.X), -1), X_priv=None)
    estimator.set_params(
        teacher_view=teacher_view,
        priv_transformer=GapFiller(n_channels=3),
        n_channels=2,
        n_channels_priv=4,
    )
    self_distillation(estimator, tables)
    assert estimator.priv_transformer_ is None
    assert estimator.priv_shape_ == estimator.series_shape_ == (6, 2)
    views = [split.X_test] * (2 if teacher_view == "both" else 1)
    logits, _ = estimator.teacher_.module_([torch.tensor(view) for view in views])
    assert logits.shape == (len(split.X_test), 3)


def test_self_distillation_keeps_the_teachers_number_of_features(estimator, split):
    cnn = SeriesNet("cnn", module__filters=[4], module__kernels=[3], module__head=8, max_epochs=1)
    estimator.set_params(teacher=cnn)  # 4 features a view, and the student has 8
    assert len(self_distillation(estimator, split).proba) == len(split.X_test)


def columns(split, part):
    """Return X and X_priv out of a table that has both."""
    n = split.X[0].size
    return part[:, :n], part[:, n:]


def test_imputation_regresses_each_row_from_others(estimator, split, calls):
    other = split.X_priv.copy()
    other[7] += 1e4
    imputation(clone(estimator), split)
    imputation(clone(estimator), split._replace(X_priv=other))
    X, imputed = columns(split, calls["fit"][0][1])
    _, imputed_other = columns(split, calls["fit"][1][1])
    assert equal(X, split.X.reshape(len(X), -1))
    assert equal(imputed[7], imputed_other[7])
    assert (imputed != imputed_other).any(axis=1).mean() > 0.5
    true = split.X_priv.reshape(len(X), -1)
    assert 0.3 < np.corrcoef(imputed.ravel(), true.ravel())[0, 1] < 0.99


def test_imputation_is_the_same_with_metadata_routing(estimator, split):
    expected = imputation(clone(estimator), split).proba
    with config_context(enable_metadata_routing=True):
        assert equal(imputation(clone(estimator), split).proba, expected)


@pytest.mark.parametrize("n_channels", [1, 4])
def test_imputation_of_what_x_tells_is_what_it_tells(estimator, split, calls, n_channels):
    told = split._replace(X_priv=3 * split.X[:, :n_channels, :1].transpose(0, 2, 1) + 100)
    imputation(estimator, told)
    X_test, imputed = columns(split, calls["predict"][0][1])
    assert equal(X_test, split.X_test.reshape(len(X_test), -1))
    np.testing.assert_allclose(imputed, 3 * split.X_test[:, :n_channels, 0] + 100, atol=0.5)


def test_imputation_holds_out_groups_whole(estimator, split, calls):
    groups = np.arange(len(split.y)) // 2  # two neighbouring rows a group
    other = split.X_priv.copy()
    other[7] += 1e4
    for X_priv in (split.X_priv, other):
        imputation(clone(estimator), split._replace(X_priv=X_priv, groups=groups))
    (_, imputed), (_, imputed_other) = (columns(split, table) for _, table, _ in calls["fit"])
    assert equal(imputed[6], imputed_other[6])


def test_modality_dropout_trains_on_both_and_predicts_from_x(estimator, split, calls):
    predicted = modality_dropout(estimator, split)
    [(net, table, _)] = calls["fit"]
    assert equal(table, np.hstack([v.reshape(len(v), -1) for v in (split.X, split.X_priv)]))
    module = net.network_.module_.network
    assert isinstance(module, SideBySide)
    assert module.dropped == 0.5
    X_test, _ = columns(split, calls["predict"][0][1])
    noise = np.random.RandomState(0).normal(size=(len(X_test), split.X_priv[0].size))
    assert equal(net.predict_proba(np.hstack([X_test, 1e4 * noise])), predicted.proba)
    assert net.random_state == 3


@pytest.mark.parametrize(
    ("params", "width"),
    [
        ({}, 16),
        ({"teacher_view": "privileged"}, 12),
        ({"teacher": RandomForestClassifier(), "beta": 0}, 12),
    ],
)
def test_the_net_on_both_views_is_the_teachers_where_that_sees_both(
    estimator, split, calls, params, width
):
    estimator.set_params(student__module__width=12, class_weight="balanced", **params)
    imputation(estimator, split)
    net = calls["fit"][0][0]
    first_layer = next(net.network_.module_.network.parameters())
    assert first_layer.shape == (width, 6 * 2 + 6 * 4)
    assert net.class_weight == "balanced"


def test_the_net_on_both_views_has_the_budget_of_the_one_that_it_stands_for():
    rows = np.zeros((4096, 2, 3))
    names = dict.fromkeys(Split._fields)
    split = Split(**names | {"X": rows, "y": np.arange(4096) % 2, "X_priv": rows})
    net = _net_on_both(GKDClassifier(), split, [(2, 3), (2, 3)], dropped=0.0).network
    n_epochs, batch_size, lr = budget_of(net, 4096, 4096)
    assert (n_epochs, batch_size, round(lr, 4)) == (15, 256, 0.0061)
    assert rate_shares(net, 4096, 15)[-1] < 1


class Echo(nn.Module):
    """Returns its two views, each as (n, T * C)."""

    def __init__(self, shapes, n_classes, scale):
        super().__init__()
        assert (shapes, n_classes) == ([(2, 1), (2, 2)], 3)
        self.scale = scale

    def forward(self, x, priv):
        assert x.shape[1:] == (2, 1)
        assert priv.shape[1:] == (2, 2)
        return self.scale * x.flatten(1), priv.flatten(1)


@pytest.mark.parametrize("dropped", [0.0, 0.5])
def test_side_by_side_drops_the_second_view_of_whole_rows(dropped):
    module = SideBySide(
        [(6, 1)], 3, of_views=Echo, view_shapes=[(2, 1), (2, 2)], dropped=dropped, scale=2
    )
    torch.manual_seed(0)
    table = torch.arange(1.0, 6001).reshape(1000, 6, 1)
    for training in (True, False):
        x, priv = module.train(training)(table)
        assert torch.equal(x, 2 * table[:, :2, 0])
        absent = (priv == 0).all(dim=1)
        assert torch.equal(priv[~absent], table[~absent, 2:, 0])
        expected = (0.5 if training else 1.0) if dropped else 0.0
        assert absent.float().mean().item() == pytest.approx(expected, abs=0.1 * dropped)


@pytest.fixture
def partial(split):
    """Half of the labelled rows lack X_priv; 40 pairs have no label, and 10 of them no X_priv."""
    X_priv = split.X_priv.copy()
    X_priv[::2] = np.nan
    unlabeled = split.X_priv[:40].copy()
    unlabeled[:10] = np.nan
    return split._replace(
        X_priv=X_priv, X_unlabeled=split.X[:40] + 1, X_priv_unlabeled=unlabeled, X_priv_test=None
    )


def test_permuted_rows_without_x_priv_stay_where_they_are(estimator, partial, monkeypatch):
    given = {}
    monkeypatch.setattr(
        GKDClassifier, "fit", lambda self, X, y, **kwargs: given.update(kwargs) or self
    )
    monkeypatch.setattr(GKDClassifier, "classes_", None, raising=False)
    monkeypatch.setattr(GKDClassifier, "predict_proba", lambda self, X: None)
    permuted(estimator, partial)
    assert equal(given["X_unlabeled"], partial.X_unlabeled)
    for name in ("X_priv", "X_priv_unlabeled"):
        before, after = getattr(partial, name), given[name]
        known = np.isfinite(before).all(axis=(1, 2))
        assert equal(np.isfinite(after).all(axis=(1, 2)), known)
        assert (after[known] == before[known]).all(axis=(1, 2)).mean() < 0.2
        assert equal(np.sort(after[known], axis=0), np.sort(before[known], axis=0))
    self_distillation(estimator, partial)
    assert equal(given["X_priv"], partial.X)
    assert equal(given["X_priv_unlabeled"], partial.X_unlabeled)


def test_imputation_regresses_from_pairs_without_a_label_too(estimator, partial, calls):
    other = partial.X_priv_unlabeled.copy()
    other[20] += 1e4
    for unlabeled in (partial.X_priv_unlabeled, other):
        imputation(clone(estimator), partial._replace(X_priv_unlabeled=unlabeled))
    (_, table, _), (_, table_other, _) = calls["fit"]
    assert len(table) == len(partial.y)
    assert np.isfinite(table).all()
    (_, imputed), (_, imputed_other) = (columns(partial, t) for t in (table, table_other))
    assert (imputed != imputed_other).any(axis=1).mean() > 0.5
    plain = Ridge(alpha=1.0)
    known = np.isfinite(partial.X_priv).all(axis=(1, 2))
    X, X_priv = (
        np.concatenate([a[known], b[10:]]).reshape(known.sum() + 30, -1)
        for a, b in [
            (partial.X, partial.X_unlabeled),
            (partial.X_priv, partial.X_priv_unlabeled),
        ]
    )
    by_hand = plain.fit(X, X_priv).predict(partial.X[~known].reshape(np.sum(~known), -1))
    assert np.corrcoef(by_hand.ravel(), imputed[~known].ravel())[0, 1] > 0.9


def test_modality_dropout_gives_rows_without_x_priv_its_mean(estimator, partial, calls):
    modality_dropout(estimator, partial)
    [(_, table, _)] = calls["fit"]
    assert len(table) == len(partial.y)
    _, priv = columns(partial, table)
    known = np.concatenate([partial.X_priv, partial.X_priv_unlabeled]).reshape(len(table) + 40, -1)
    mean = np.nanmean(known, axis=0)
    np.testing.assert_allclose(priv[::2], np.broadcast_to(mean, priv[::2].shape), rtol=1e-5)
    assert equal(priv[1::2], partial.X_priv[1::2].reshape(len(priv[1::2]), -1))
