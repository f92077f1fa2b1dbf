from contextlib import nullcontext
from functools import partial
from warnings import catch_warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier

from sklearn_gkd import PrivilegedInformationWarning
from sklearn_gkd._estimators._targets import Classes
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import MLP


@pytest.fixture
def fitted_rows(clf, recorder):
    """Training and validation rows of each net that clf fits."""

    def rows():
        return [(training.train, training.valid) for training in recorder.trainings]

    clf._store = recorder
    return rows


def test_teacher_is_scaled_by_the_rows_it_sees(series, clf):
    X_priv = series.X_priv.copy()
    X_priv[::3] = np.nan
    clf.set_params(validation_fraction=0).fit(series.X, series.y, X_priv=X_priv)
    seen = np.arange(120) % 3 != 0
    module = clf.teacher_.module_
    np.testing.assert_allclose(module.mean_0, series.X[seen].mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(module.mean_1, series.X_priv[seen].mean((0, 1)), rtol=1e-4)


def test_teacher_validates_on_its_own_rows_where_the_given_ones_have_no_x_priv(series, clf):
    X_val, y_val = series.X[::2], series.y[::2]
    clf.fit(series.X, series.y, series.X_priv, X_val=X_val, y_val=y_val)
    assert clf.teacher_.history[-1, "train_batch_count"] == 6  # 96 rows of 120
    assert clf.student_.history[-1, "train_batch_count"] == 8
    clf.fit(
        series.X, series.y, series.X_priv, X_val=X_val, y_val=y_val, X_priv_val=series.X_priv[::2]
    )
    assert clf.teacher_.history[-1, "train_batch_count"] == 8


def test_teacher_view_privileged_ignores_x(series, clf):
    clf.set_params(teacher_view="privileged").fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(
        clf.teacher_predict_proba(series.X, series.X_priv),
        clf.teacher_predict_proba(np.zeros_like(series.X), series.X_priv),
    )


def test_priv_transformer_is_fitted_on_the_training_rows_that_have_information(series, clf):
    class Spy(GapFiller):
        def fit(self, X, y=None):
            Spy.n_rows = len(X)
            return super().fit(X, y)

    spy = Spy()
    X_priv = series.X_priv.copy()
    X_priv[30:, 1, 0] = np.nan
    X_priv[:24] = np.nan
    clf.set_params(priv_transformer=spy).fit(
        series.X, series.y, X_priv, X_val=series.X, y_val=series.y, X_priv_val=X_priv
    )
    assert Spy.n_rows == 96
    assert not hasattr(spy, "n_features_in_")
    assert np.isfinite(clf.teacher_predict_proba(series.X[24:], X_priv[24:])).all()


def test_groups_are_not_split(series, clf, fitted_rows):
    clf.fit(series.X, series.y, X_priv=series.X_priv, groups=series.groups)
    for kept, held_out in fitted_rows():
        assert len(held_out)
        assert not set(series.groups[kept]) & set(series.groups[held_out])
    assert len(fitted_rows()) == 2
    with pytest.raises(ValueError, match="groups"):
        clf.fit(series.X, series.y, X_priv=series.X_priv, groups=np.zeros(120))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(
            series.X, series.y, series.X_priv, groups=np.zeros(9), X_val=series.X, y_val=series.y
        )


def test_the_teachers_own_split_does_not_split_groups(series, clf, fitted_rows):
    clf.fit(series.X, series.y, series.X_priv, groups=series.groups, X_val=series.X, y_val=series.y)
    kept, held_out = fitted_rows()[0]
    assert len(held_out)
    assert not set(series.groups[kept]) & set(series.groups[held_out])


def test_validation_rows_keep_their_x_priv(series, clf):
    order = np.random.RandomState(0).permutation(120)
    clf.set_params(teacher__max_epochs=20).fit(
        series.X,
        series.y,
        series.X_priv,
        X_val=series.X[order],
        y_val=series.y[order],
        X_priv_val=series.X_priv[order],
    )
    # rows that are paired as in training are classified as well as in training
    assert max(clf.teacher_.history[:, "valid_acc"]) > 0.95
    nothing = np.full_like(series.X_priv, np.nan)
    clf.set_params(teacher__max_epochs=1)
    clf.fit(series.X, series.y, series.X_priv, X_val=series.X, y_val=series.y, X_priv_val=nothing)
    assert clf.teacher_.history[-1, "train_batch_count"] == 6  # it held out rows of its own
    with pytest.raises(ValueError, match="NaN throughout in 120 of its 120 rows"):
        clf.teacher_predict_proba(series.X, nothing)


@pytest.mark.parametrize(("beta", "gamma"), [(1, 0), (0, 1)])
def test_without_x_priv_a_plain_student_is_trained_with_a_warning(series, clf, beta, gamma):
    clf.set_params(beta=beta, gamma=gamma)
    with pytest.warns(PrivilegedInformationWarning, match="X_priv was not given"):
        clf.fit(series.X, series.y)
    plain = clf.predict_proba(series.X)
    assert not hasattr(clf, "teacher_")
    clf.set_params(beta=0, gamma=0).fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(clf.predict_proba(series.X), plain)


@pytest.fixture
def pairs(series):
    """Rows without a label, whose privileged information is as plain as that of the others."""
    rng = np.random.RandomState(1)
    return {
        "X_unlabeled": series.X + rng.normal(size=series.X.shape),
        "X_priv_unlabeled": series.X_priv,
    }


@pytest.fixture
def liar(clf):
    """A classifier whose teacher learns noise by heart."""
    return clf.set_params(
        teacher=DecisionTreeClassifier(),
        teacher_view="privileged",
        beta=0,
        validation_fraction=0,
        student__max_epochs=10,
    )


@pytest.fixture
def noise():
    return np.random.RandomState(2).normal(size=(120, 6, 4))


def test_a_teacher_that_is_clearly_better_teaches(series, clf, pairs):
    clf.set_params(validation_fraction=0, student__max_epochs=10, teacher__max_epochs=10)
    clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs)
    used, alone, teacher, distilled = clf.distillation_
    assert used is True
    assert 0 < teacher < alone - 0.1
    assert np.isnan(distilled)
    assert clf.student_.history[-1, "train_batch_count"] == 15  # 240 rows of batches of 16


def test_where_distilling_harms_the_student_is_that_of_labels_alone(series, liar, pairs, noise):
    pairs["X_priv_unlabeled"] = noise[::-1]
    with pytest.warns(PrivilegedInformationWarning, match="X_priv does not help here") as caught:
        liar.fit(series.X, series.y, X_priv=noise, **pairs)
    assert len(caught) == 1
    used, alone, _, distilled = liar.distillation_
    assert used is False
    assert f"distil have a log loss of {distilled:.3f}, and the same nets alone {alone:.3f}" in str(
        caught[0].message
    )
    alone = clone(liar).set_params(gamma=0).fit(series.X, series.y, X_priv=noise, **pairs)
    np.testing.assert_array_equal(liar.predict_proba(series.X), alone.predict_proba(series.X))
    assert liar.teacher_predict_proba(series.X, noise).shape == (120, 3)
    liar.set_params(distillation="always").fit(series.X, series.y, X_priv=noise, **pairs)
    assert (liar.predict_proba(series.X) != alone.predict_proba(series.X)).any()
    assert liar.distillation_.used
    assert np.isnan(liar.distillation_[1:]).all()


def test_a_trial_keeps_its_folds_apart(series, clf, pairs, recorder):
    clf.set_params(validation_fraction=0.25, teacher__max_epochs=2, student__max_epochs=2)
    clf._store = recorder
    with catch_warnings(action="ignore"):  # whatever so short a trial finds
        clf.fit(series.X, series.y, X_priv=series.X_priv, groups=series.groups, **pairs)
    roles = [training.role for training in recorder.trainings]
    assert roles[0] == "teacher"
    assert roles[-1] == "student"
    trials = [t for t in recorder.trainings[1:-1] if t.weights is None and t.role == "trial"]
    assert len(trials) == 3
    tested = [np.setdiff1d(recorder.trainings[0].train, trial.train) for trial in trials]
    assert sorted(np.concatenate(tested)) == sorted(recorder.trainings[0].train)
    for trial, held_out in zip(trials, tested, strict=True):
        assert not set(series.groups[trial.train]) & set(series.groups[held_out])
    for trial in recorder.trainings[1:-1]:
        assert len(trial.valid) == 0
        assert trial.net.module__n_members == 2


@pytest.mark.parametrize("case", ["no pairs", "few labels", "fitted teacher", "always"])
def test_nothing_is_tried(series, clf, pairs, recorder, case):
    rows = np.arange(120) % (5 if case == "few labels" else 1) == 0
    if case == "no pairs":
        pairs = {}
    if case == "fitted teacher":
        tables = np.concatenate([series.X.reshape(120, -1), series.X_priv.reshape(120, -1)], axis=1)
        clf.set_params(teacher=FrozenEstimator(GaussianNB().fit(tables, series.y)), beta=0)
    if case == "always":
        clf.set_params(distillation="always")
    clf._store = recorder
    clf.fit(series.X[rows], series.y[rows], X_priv=series.X_priv[rows], **pairs)
    assert "trial" not in [training.role for training in recorder.trainings]
    assert clf.distillation_.used
    assert np.isnan(clf.distillation_.loss_alone)


def test_a_trial_with_memory_finds_its_teachers_again(series, clf, pairs, tmp_path, recorder):
    clf.set_params(memory=str(tmp_path), student__max_epochs=1)
    with catch_warnings(action="ignore"):  # whatever so short a trial finds
        first = clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs).distillation_
        clf._store = recorder
        assert clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs).distillation_ == first
    assert "teacher" not in [training.role for training in recorder.trainings]


@pytest.mark.parametrize(
    ("alone", "by_teacher", "distilled", "used"),
    [
        (1.0, 0.99, 1.05, True),  # leads a little; not clearly worse
        (1.0, 0.99, 1.25, False),
        (1.0, 1.01, 0.99, True),
        (1.0, 1.01, 1.01, False),
        (1.0, 0.7, None, True),  # leads clearly: no student that distils is trained
    ],
)
def test_what_decides(
    series, clf, pairs, recorder, monkeypatch, alone, by_teacher, distilled, used
):
    spread = np.resize([-0.5, 0.5], 120)  # the standard error of a difference is 0.046
    losses = iter([by_teacher + spread, np.full(120, alone), distilled and distilled - spread])
    monkeypatch.setattr(Classes, "held_out_losses", lambda *args, **kwargs: next(losses))
    clf.set_params(validation_fraction=0, teacher__max_epochs=1, student__max_epochs=1)
    clf._store = recorder
    with nullcontext() if used else pytest.warns(PrivilegedInformationWarning, match="not help"):
        clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs)
    assert clf.distillation_.used is used
    roles = [training.role for training in recorder.trainings]
    assert roles.count("trial") == (3 if distilled is None else 6)


def test_a_teacher_may_be_a_function_that_makes_a_network(series, clf):
    clf.set_params(
        teacher=partial(MLP, width=8, features=8, head=8), student=partial(MLP, width=8, features=8)
    )
    clf.set_params(max_epochs=1).fit(series.X, series.y, X_priv=series.X_priv)
    assert clf.teacher_.module_.network.head[-1].in_features == 8


def test_a_net_that_was_given_its_classes_did_not_come_fitted(series, clf, pairs, recorder):
    sizes = {f"module__{name}": 8 for name in ("width", "features", "head")}
    teacher = NeuralNetClassifier(MLP, **sizes, classes=[0, 1, 2], max_epochs=1, batch_size=16)
    assert hasattr(teacher, "classes_")
    clf.set_params(teacher=teacher, student__max_epochs=1)
    clf._store = recorder
    with catch_warnings(action="ignore"):  # whatever so short a trial finds
        clf.fit(series.X, series.y, X_priv=series.X_priv, **pairs)
    assert "trial" in [training.role for training in recorder.trainings]
