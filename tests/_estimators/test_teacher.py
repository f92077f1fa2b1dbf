import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Memory
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback

from sklearn_gkd import GKDClassifier
from sklearn_gkd._common import hashing
from sklearn_gkd._estimators import _teacher as teaching
from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd._training.progress import Task


@pytest.fixture
def lessons(monkeypatch):
    """Every lesson that is taught, with its targets."""
    taught = []

    def spy(lesson, *args):
        result = original(lesson, *args)
        taught.append((lesson, result[0]))
        return result

    original = teaching.teach
    monkeypatch.setattr("sklearn_gkd._estimators._taught.teach", spy)
    return taught


class CountFits(Callback):
    """Leaves a file for each net that is trained, in whichever process."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_begin(self, net, **kwargs):
        with open(self.folder / "fits", "a") as file:
            file.write("x")


def n_fits(folder):
    path = folder / "fits"
    return len(path.read_text()) if path.exists() else 0


# --- Targets ------------------------------------------------------------------------------------


def test_targets_are_the_teachers_outputs_for_the_rows_it_sees(series, clf, lessons):
    series.X_priv[::3] = np.nan
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    logits, features, taught = lessons[0][1]
    seen = np.arange(120) % 3 != 0
    with torch.no_grad():
        views = [torch.tensor(view[seen]) for view in (series.X, series.X_priv)]
        expected = clf.teacher_.module_(views)
    torch.testing.assert_close(logits[seen], expected[0])
    torch.testing.assert_close(features[seen], expected[1])
    assert taught.tolist() == seen.astype(float).tolist()
    assert not logits[~seen].any()
    assert not features[~seen].any()
    probabilities = clf.teacher_predict_proba(series.X[seen], series.X_priv[seen])
    np.testing.assert_allclose(logits[seen].softmax(1), probabilities, rtol=1e-5)


def test_any_classifier_teaches_its_probabilities(series, small, lessons):
    teacher = make_pipeline(StandardScaler(), LogisticRegression())
    clf = GKDClassifier(teacher, small, beta=0, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    lesson, (logits, features, _) = lessons[0]
    table = np.concatenate([series.X.reshape(120, -1), series.X_priv.reshape(120, -1)], axis=1)
    teacher.fit(table[lesson.train], series.y[lesson.train])
    expected = teacher.predict_proba(table)
    np.testing.assert_allclose(logits.softmax(1), expected, atol=1e-5)
    np.testing.assert_allclose(
        clf.teacher_predict_proba(series.X, series.X_priv), expected, atol=1e-5
    )
    assert features.shape == (120, 0)
    assert set(lesson.train) == set(range(120)) - set(lesson.valid)


def test_a_given_classifier_is_cloned_and_seeded(series, small):
    forest = RandomForestClassifier(n_estimators=3)
    clf = GKDClassifier(forest, small, beta=0, teacher_view="privileged", random_state=0)
    first = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    second = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    np.testing.assert_array_equal(first, second)
    assert clf.teacher_.n_features_in_ == 24
    assert forest.random_state is None
    assert not hasattr(forest, "classes_")


def test_a_classifier_has_no_features(series, small):
    with pytest.raises(ValueError, match="compares features, but the teacher has none"):
        GKDClassifier(GaussianNB(), small).fit(series.X, series.y, X_priv=series.X_priv)


def test_a_class_without_privileged_information_is_improbable_to_the_teacher(series, small):
    series.X_priv[series.y == "maize"] = np.nan
    clf = GKDClassifier(GaussianNB(), small, beta=0, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    seen = series.y != "maize"
    probabilities = clf.teacher_predict_proba(series.X[seen], series.X_priv[seen])
    maize = clf.classes_.tolist().index("maize")
    assert probabilities[:, maize].max() < 1e-6


# --- Out of fold --------------------------------------------------------------------------------


def test_out_of_fold_decisions_come_from_a_teacher_that_has_not_seen_the_row(
    series, small, lessons
):
    clf = GKDClassifier(GaussianNB(), small, beta=0, teacher_cv=KFold(4), random_state=0)
    clf.set_params(validation_fraction=0.2)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    lesson, (logits, _, _) = lessons[0]
    table = np.concatenate([series.X.reshape(120, -1), series.X_priv.reshape(120, -1)], axis=1)
    y = np.unique(series.y, return_inverse=True)[1]
    for others, held_out in KFold(4).split(lesson.train):
        others, held_out = lesson.train[others], lesson.train[held_out]
        teacher = GaussianNB().fit(table[others], y[others])
        expected = np.zeros((len(held_out), 3))
        expected[:, teacher.classes_] = teacher.predict_proba(table[held_out])
        np.testing.assert_allclose(logits[held_out].softmax(1), expected, atol=1e-5)
    whole = GaussianNB().fit(table[lesson.train], series.y[lesson.train])
    expected = whole.predict_proba(table[lesson.valid])
    np.testing.assert_allclose(logits[lesson.valid].softmax(1), expected, atol=1e-5)


@pytest.mark.parametrize("grouped", [False, True])
def test_an_int_is_that_many_stratified_folds(series, small, lessons, grouped):
    groups = series.groups if grouped else None
    clf = GKDClassifier(GaussianNB(), small, beta=0, teacher_cv=3, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv, groups=groups)
    lesson = lessons[0][0]
    held_out = np.concatenate([held_out for _, held_out in lesson.folds])
    np.testing.assert_array_equal(np.sort(held_out), lesson.train)
    assert len(lesson.folds) == 3
    for others, held_out in lesson.folds:
        assert set(series.y[held_out]) == set(series.y)
        if grouped:
            assert not set(series.groups[others]) & set(series.groups[held_out])


def test_a_teacher_cv_that_leaves_rows_in_sample_is_an_error(series, clf):
    clf.set_params(teacher_cv=ShuffleSplit(2, random_state=0))
    with pytest.raises(ValueError, match=r"teacher_cv=ShuffleSplit.* holds out each row once"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert not hasattr(clf, "classes_")


def test_out_of_fold_features_come_from_the_one_teacher(series, clf, lessons):
    clf.set_params(teacher_cv=KFold(3)).fit(series.X, series.y, X_priv=series.X_priv)
    lesson, (logits, features, _) = lessons[0]
    views = [torch.tensor(series.X), torch.tensor(series.X_priv)]
    with torch.no_grad():
        z, f = clf.teacher_.module_(views)
    torch.testing.assert_close(features, f)
    torch.testing.assert_close(logits[lesson.valid], z[lesson.valid])
    assert (logits[lesson.train] != z[lesson.train]).all(dim=1).float().mean() > 0.9
    others, held_out = lesson.folds[1]
    assert not set(others) & set(held_out)
    fold_teacher = lesson._fit(
        others, lesson.seed + 2, Store(), Task.of_fit(clf, series.X, series.y, None)
    )
    with torch.no_grad():
        expected = fold_teacher.module_([view[held_out] for view in views])[0]
    torch.testing.assert_close(logits[held_out], expected)


# --- Reuse --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_search_fits_one_teacher_for_each_fold(series, small, tmp_path, n_jobs):
    teacher = small.set_params(max_epochs=1, callbacks=[("count", CountFits(tmp_path))])
    student = clone(small).set_params(callbacks=None)
    clf = GKDClassifier(teacher, student, memory=str(tmp_path / "cache"), random_state=0)
    search = GridSearchCV(clf, {"gamma": [1, 5], "temperature": [1, 2]}, cv=2, n_jobs=n_jobs)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert len(search.cv_results_["params"]) == 4
    assert n_fits(tmp_path) == 3
    search.fit(series.X, series.y, X_priv=series.X_priv)
    assert n_fits(tmp_path) == 3
    with pytest.raises(NotFittedError, match="memory=None"):
        search.best_estimator_.teacher_predict_proba(series.X, series.X_priv)


@pytest.mark.parametrize(
    "memory", [partial(Memory, verbose=0), str, Path], ids=["Memory", "str", "Path"]
)
def test_what_is_reused_is_what_would_be_fitted(series, clf, memory, tmp_path):
    plain = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    clf.set_params(memory=memory(tmp_path))
    for _ in range(2):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
        np.testing.assert_array_equal(clf.predict_proba(series.X), plain)
    assert not hasattr(clf, "teacher_")


def test_without_random_state_the_stored_teacher_is_reused(series, clf, tmp_path):
    teacher = clf.teacher.set_params(callbacks=[("count", CountFits(tmp_path))])
    clf.set_params(random_state=None, memory=str(tmp_path), student=clone(teacher))
    clf.student.set_params(callbacks=None)
    first = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    second = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    assert n_fits(tmp_path) == 1
    assert not np.array_equal(first, second)


def test_the_key_holds_what_targets_depend_on_and_nothing_else(series, clf, lessons, monkeypatch):
    def key(changes=(), **params):
        arguments = {"X": series.X, "y": series.y, "X_priv": series.X_priv, **dict(changes)}
        clone(clf).set_params(student__max_epochs=1, teacher__max_epochs=1).set_params(
            **params
        ).fit(**arguments)
        return lessons[-1][0].key()

    def with_one_changed(X):
        X = X.copy()
        X[0, 0, 0] += 1
        return X

    same = key()
    for params in [
        {"alpha": 2},
        {"beta": 0},
        {"gamma": 1},
        {"temperature": 3},
        {"student__lr": 0.5},
        {"student__module__dropout": 0.1},
        {"verbose": 0},
    ]:
        assert key(**params) == same, params
    y = series.y.copy()
    y[[0, 119]] = y[[119, 0]]
    others = [
        key(random_state=1),
        key(teacher__lr=0.5),
        key(teacher__module__dropout=0.1),
        key(teacher_view="privileged"),
        key(teacher_cv=2),
        key(class_weight="balanced"),
        key(n_iter_no_change=1),
        key({"X": with_one_changed(series.X)}.items()),
        key({"X_priv": with_one_changed(series.X_priv)}.items()),
        key({"y": y}.items()),
    ]
    monkeypatch.setattr(hashing, "versions", lambda: {"torch": "0"})
    others.append(key())
    assert len({same, *others}) == 1 + len(others)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "of another lesson", "misshapen"])
def test_a_file_that_cannot_be_trusted_is_written_anew(series, clf, tmp_path, damage):
    clf.set_params(memory=str(tmp_path))
    expected = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    (path,) = tmp_path.rglob("*.npz")
    content = dict(np.load(path))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        path.write_text("not an npz")
    elif damage == "of another lesson":
        np.savez(path, **{**content, "key": np.array("other"), "logits": -content["logits"]})
    else:
        np.savez(path, **{**content, "logits": content["logits"][:, :2]})
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    np.testing.assert_array_equal(clf.predict_proba(series.X), expected)
    np.testing.assert_array_equal(np.load(path)["logits"], content["logits"])
    assert hasattr(clf, "teacher_")


# --- Unlabelled pairs and class weights ---------------------------------------------------------


def test_unlabelled_pairs_teach_by_the_targets_alone(series, clf, lessons):
    labelled, unlabelled = np.arange(0, 120, 3), np.setdiff1d(np.arange(120), np.arange(0, 120, 3))
    X_priv = series.X_priv.copy()
    X_priv[unlabelled[:7]] = np.nan
    clf.fit(
        series.X[labelled],
        series.y[labelled],
        series.X_priv[labelled],
        X_unlabeled=series.X[unlabelled],
        X_priv_unlabeled=X_priv[unlabelled],
    )
    lesson, (logits, _, taught) = lessons[0]
    assert len(lesson.train) + len(lesson.valid) == 40
    assert (lesson.labels[40:] == -1).all()
    assert not taught[40:47].any()
    assert taught[47:].all()
    with torch.no_grad():
        views = [torch.tensor(view[unlabelled[7:]]) for view in (series.X, series.X_priv)]
        expected = clf.teacher_.module_(views)[0]
    torch.testing.assert_close(logits[47:], expected)
    # 32 of 40 labelled rows, as 8 validate, and 73 of 80 unlabelled ones, in batches of 16
    assert clf.student_.history[-1, "train_batch_count"] == 7
    assert clf.teacher_.history[-1, "train_batch_count"] == 2


def test_unlabelled_pairs_help_where_labels_are_few(series, clf):
    few = np.r_[0:120:20]
    clf.set_params(beta=0, student__max_epochs=40, validation_fraction=0, teacher=GaussianNB())
    arguments = (series.X[few], series.y[few], series.X_priv[few])
    alone = clf.fit(*arguments).score(series.X, series.y)
    clf.fit(*arguments, X_unlabeled=series.X, X_priv_unlabeled=series.X_priv)
    assert clf.score(series.X, series.y) > alone + 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["X_unlabeled"], "X_unlabeled was given without X_priv_unlabeled"),
        (["X_priv_unlabeled", "X_priv"], "X_priv_unlabeled was given without X_unlabeled"),
        (["X_unlabeled", "X_priv_unlabeled"], "X_priv_unlabeled was given without X_priv"),
        (["X_priv", "X_unlabeled", "X_priv_short"], "X_priv_unlabeled has 9 rows and X_unlabeled"),
    ],
)
def test_unlabelled_pairs_come_in_pairs(series, clf, arguments, message):
    values = {
        "X_priv": {"X_priv": series.X_priv},
        "X_unlabeled": {"X_unlabeled": series.X},
        "X_priv_unlabeled": {"X_priv_unlabeled": series.X_priv},
        "X_priv_short": {"X_priv_unlabeled": series.X_priv[:9]},
    }
    given = {name: value for key in arguments for name, value in values[key].items()}
    with pytest.raises(ValueError, match=message):
        clf.fit(series.X, series.y, **given)


def test_class_weight_weighs_both_nets(series, clf, lessons):
    clf.set_params(class_weight={"maize": 0, "meadow": 1, "forest": 0}, gamma=0, beta=1e-9)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert set(clf.predict(series.X)) == {"meadow"}
    teacher = clf.teacher_predict_proba(series.X, series.X_priv).argmax(axis=1)
    assert set(clf.classes_[teacher]) == {"meadow"}
    clf.set_params(class_weight="balanced").fit(series.X, series.y, X_priv=series.X_priv)
    counts = pd.Series(series.y).value_counts()
    weights = pd.Series(lessons[-1][0].outcome.weights, index=clf.classes_)
    ratio = weights["forest"] / weights["maize"]
    assert ratio == pytest.approx(counts["maize"] / counts["forest"], rel=1e-5)


# --- A teacher that is fitted already ------------------------------------------------------------


def side_by_side(series):
    return np.hstack([series.X.reshape(120, -1), series.X_priv.reshape(120, -1)])


LABELS = {
    "-1 and 1": {"maize": 1, "meadow": -1, "forest": -1},
    "strings": {"maize": "yes", "meadow": "no", "forest": "no"},
    "booleans": {"maize": True, "meadow": False, "forest": False},
    "1, 2 and 3": {"maize": 3, "meadow": 1, "forest": 2},
    "codes": {"maize": 0, "meadow": 1, "forest": 2},
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_fitted_teacher_is_read_by_its_own_classes(series, small, lessons, labels):
    y = np.array([labels[name] for name in series.y])
    forest = RandomForestClassifier(10, random_state=0).fit(side_by_side(series), y)
    expected = forest.predict_proba(side_by_side(series))
    for teacher in (FrozenEstimator(forest), make_pipeline(FrozenEstimator(forest))):
        clf = GKDClassifier(teacher, small, beta=0, random_state=0)
        clf.fit(series.X, y, X_priv=series.X_priv)
        found = clf.teacher_predict_proba(series.X, series.X_priv)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(lessons[-1][1].logits.softmax(1), expected, atol=1e-5)


def test_a_fitted_teacher_may_know_some_classes_in_any_order(series, small):
    class Two(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.array(["meadow", "maize"])
            return self

        def predict_proba(self, X):
            return np.tile([0.9, 0.1], (len(X), 1))

    clf = GKDClassifier(
        FrozenEstimator(Two().fit(series.X, series.y)), small, beta=0, random_state=0
    )
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    found = clf.teacher_predict_proba(series.X, series.X_priv)
    assert clf.classes_.tolist() == ["forest", "maize", "meadow"]
    np.testing.assert_allclose(found, np.tile([0, 0.1, 0.9], (120, 1)), atol=1e-5)


@pytest.mark.parametrize("other", [{"maize": "barley"}, {"maize": 7, "meadow": 8, "forest": 9}])
def test_a_fitted_teacher_of_other_classes_is_refused(series, small, other, recorder):
    y = np.array([other.get(name, name) for name in series.y])
    forest = RandomForestClassifier(2, random_state=0).fit(side_by_side(series), y)
    clf = GKDClassifier(FrozenEstimator(forest), small, beta=0, random_state=0)
    clf._store = recorder
    with pytest.raises(ValueError, match=r"teacher was fitted on classes that y does not have"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert recorder.trainings == []
    assert not hasattr(clf, "classes_")


def test_an_error_of_a_teachers_fit_names_it(series, small):
    forest = RandomForestClassifier(2, random_state=0).fit(side_by_side(series), series.y)
    calibrated = CalibratedClassifierCV(FrozenEstimator(forest), cv=2)
    clf = GKDClassifier(calibrated, small, beta=0, random_state=0)
    with pytest.raises(ValueError, match=r"^teacher: "):
        clf.fit(series.X, series.y, X_priv=series.X_priv)


def test_a_fitted_teacher_of_other_columns_is_refused_by_name(series, small):
    forest = RandomForestClassifier(2, random_state=0).fit(series.X.reshape(120, -1), series.y)
    clf = GKDClassifier(FrozenEstimator(forest), small, beta=0, random_state=0)
    with pytest.raises(ValueError, match=r"teacher: X has 36 features.*expecting 12"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)


# --- Code that was edited -------------------------------------------------------------------------


def picking(n_columns):
    namespace = {"__name__": "__main__"}
    exec(f"def pick(X): return X[:, :{n_columns}]", namespace)
    return FunctionTransformer(namespace["pick"])


def test_targets_are_made_anew_where_the_code_of_a_step_was_edited(series, small, tmp_path):
    found = []
    for n_columns in (1, 36, 36):
        teacher = make_pipeline(picking(n_columns), StandardScaler(), LogisticRegression())
        clf = GKDClassifier(teacher, small, beta=0, memory=str(tmp_path), random_state=0)
        clf.fit(series.X, series.y, X_priv=series.X_priv)
        fresh = clone(clf).set_params(memory=None).fit(series.X, series.y, X_priv=series.X_priv)
        np.testing.assert_array_equal(clf.predict_proba(series.X), fresh.predict_proba(series.X))
        found.append(hasattr(clf, "teacher_"))
    assert found == [True, True, False]


class Locked(GaussianNB):
    """A classifier with a parameter that cannot be pickled."""

    def __init__(self, *, priors=None, var_smoothing=1e-9, lock=None):
        super().__init__(priors=priors, var_smoothing=var_smoothing)
        self.lock = lock


class Lock:
    """Can be copied, and not be pickled."""

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError("cannot be pickled")


def test_a_teacher_that_cannot_be_hashed_is_trained(series, small, tmp_path):
    clf = GKDClassifier(Locked(lock=Lock()), small, beta=0, memory=str(tmp_path / "memory"))
    for _ in range(2):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
        assert hasattr(clf, "teacher_")
    assert not (tmp_path / "memory" / "sklearn_gkd").exists()


class DiesOnce(GaussianNB):
    """A teacher that takes its process with it when it is fitted first."""

    def __init__(self, *, priors=None, var_smoothing=1e-9, flag=""):
        super().__init__(priors=priors, var_smoothing=var_smoothing)
        self.flag = flag

    def fit(self, X, y):
        """Die, or fit."""
        try:
            Path(self.flag).touch(exist_ok=False)
        except FileExistsError:
            return super().fit(X, y)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
def test_a_dead_worker_is_reported_and_leaves_no_half_written_targets(series, small, tmp_path):
    teacher = DiesOnce(flag=str(tmp_path / "died"))
    clf = GKDClassifier(teacher, small, beta=0, memory=str(tmp_path), random_state=0)
    search = GridSearchCV(clf, {"gamma": [1, 10]}, cv=2, n_jobs=2)
    with pytest.raises(TerminatedWorkerError):
        search.fit(series.X, series.y, X_priv=series.X_priv)
    search.fit(series.X, series.y, X_priv=series.X_priv)
    files = sorted(path.suffix for path in (tmp_path / "sklearn_gkd").iterdir())
    assert files == [".lock"] * 3 + [".npz"] * 3
    clf.set_params(memory=None)
    again = GridSearchCV(clf, {"gamma": [1, 10]}, cv=2).fit(
        series.X, series.y, X_priv=series.X_priv
    )
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"]
    )


def test_a_trial_net_is_small_and_trained_as_the_student_is(small):
    net = teaching.trial_net(small)
    budget = ("lr", "max_epochs", "batch_size")
    assert [getattr(net, name) for name in budget] == [getattr(small, name) for name in budget]
    assert net.module__n_members == 2
    assert teaching.trial_net(small.set_params(optimizer=torch.optim.SGD, lr=0.1)).lr is None


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are changed by a function."""

    def __init__(self, change):
        self.change = change

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return self.change(np.full((len(X), len(self.classes_)), 1 / len(self.classes_)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: np.where(np.arange(len(p))[:, None] == 3, np.nan, p),
            "predicts NaN or infinity",
        ),
        (lambda p: p[:1], r"of shape \(1, 3\), of 120 rows and 3 classes"),
    ],
)
def test_a_teacher_that_does_not_tell_of_each_row_is_an_error(series, small, change, message):
    clf = GKDClassifier(Odd(change), small, beta=0)
    with pytest.raises(ValueError, match=f"teacher.* {message}"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
