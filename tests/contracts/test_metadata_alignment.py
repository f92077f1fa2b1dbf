"""Whatever scikit-learn does with rows, row i of X still meets row i of X_priv."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_gkd import GKDClassifier, IgnorePrivileged
from sklearn_gkd.eo import GapFiller

N_ROWS = 60
NUMBERS = np.arange(N_ROWS)
LABELS = NUMBERS % 3
X = {
    # Each column tells the row, modulo 1000: RFECV may take any away.
    "table": NUMBERS[:, None] + 1000.0 * np.arange(6),
    "series": NUMBERS[:, None, None] + 1000.0 * np.arange(6).reshape(3, 2),
}
X_PRIV = {
    "2-D": np.tile(NUMBERS[:, None] + 0.5, 8),
    "3-D": np.tile(NUMBERS[:, None, None] + 0.5, (4, 2)),
    "DataFrame": pd.DataFrame({"a": NUMBERS + 0.5, "b": 0.0}, index=NUMBERS[::-1]),
    "list": np.tile(NUMBERS[:, None] + 0.5, 8).tolist(),
    "3-D list": np.tile(NUMBERS[:, None, None] + 0.5, (4, 2)).tolist(),
}


class MisalignedError(Exception):
    """A row of X has met another's X_priv."""


class Aligned(GKDClassifier):
    """Raises unless each row of X meets its own row of X_priv. Predicts the classes' shares."""

    fits: ClassVar[list[int]] = []
    decision_function = None

    def fit(self, X, y, X_priv=None, sample_weight=None):
        numbers = np.asarray(X).reshape(len(X), -1)[:, 0] % 1000
        priv = np.asarray(X_priv, dtype=float).reshape(len(numbers), -1)[:, 0]
        if not np.array_equal(priv, numbers + 0.5):
            raise MisalignedError
        self.fits.append(len(numbers))
        self.n_features_in_ = np.shape(X)[1]
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / len(y)
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class AlignedTeacher(DummyClassifier):
    """Raises unless each row, X and X_priv side by side, is of one row alone."""

    def fit(self, X, y):
        if not np.array_equal(X[:, 0] + 0.5, X[:, 6]):
            raise MisalignedError
        return super().fit(X, y)


clf = Aligned()
pipeline = make_pipeline(FunctionTransformer(lambda X: X + 1000), clf)
cv = {"cv": 2, "error_score": "raise"}
grid = {"alpha": [0, 1]}


def columns(estimator):
    return np.arange(estimator.n_features_in_)


TABLE, SERIES = ["table"], ["table", "series"]

# Name, call, what it calls X_priv without metadata routing (None: scikit-learn allows none), and X.
CASES = [
    ("Pipeline", pipeline.fit, "aligned__X_priv", SERIES),
    (
        "cross_validate",
        lambda X, y, **p: cross_validate(clf, X, y, params=p, **cv),
        "X_priv",
        SERIES,
    ),
    (
        "cross_val_predict",
        lambda X, y, **p: cross_val_predict(clf, X, y, params=p),
        "X_priv",
        SERIES,
    ),
    ("GridSearchCV", GridSearchCV(clf, grid, **cv).fit, "X_priv", SERIES),
    (
        "GridSearchCV of Pipeline",
        GridSearchCV(pipeline, {"aligned__alpha": [0, 1]}, **cv).fit,
        "aligned__X_priv",
        SERIES,
    ),
    ("RandomizedSearchCV", RandomizedSearchCV(clf, grid, n_iter=2, **cv).fit, "X_priv", SERIES),
    ("HalvingGridSearchCV", HalvingGridSearchCV(clf, grid, factor=2, **cv).fit, "X_priv", SERIES),
    ("CalibratedClassifierCV", CalibratedClassifierCV(clf, cv=2).fit, "X_priv", SERIES),
    (
        "CalibratedClassifierCV, one",
        CalibratedClassifierCV(clf, cv=2, ensemble=False).fit,
        "X_priv",
        SERIES,
    ),
    (
        "learning_curve",
        lambda X, y, **p: learning_curve(clf, X, y, params=p, **cv),
        "X_priv",
        SERIES,
    ),
    ("BaggingClassifier", BaggingClassifier(clf, 3).fit, None, TABLE),
    ("VotingClassifier", VotingClassifier([("a", clf), ("b", clf)]).fit, None, SERIES),
    ("OneVsRestClassifier", OneVsRestClassifier(clf).fit, None, SERIES),
    ("RFECV", RFECV(clf, cv=2, importance_getter=columns).fit, None, TABLE),
]
EACH_CASE = pytest.mark.parametrize(
    ("call", "unrouted", "kind"),
    [
        pytest.param(call, unrouted, kind, id=f"{name}-{kind}")
        for name, call, unrouted, kinds in CASES
        for kind in kinds
    ],
)
EACH_ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])


@pytest.fixture(autouse=True)
def no_fits():
    Aligned.fits.clear()


def run(call, X, X_priv, unrouted, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        call(X, LABELS, **{"X_priv" if routing else unrouted: X_priv})


@EACH_ROUTING
@EACH_CASE
@pytest.mark.parametrize("X_priv", X_PRIV.values(), ids=X_PRIV)
def test_rows_meet_their_privileged_information(call, unrouted, kind, X_priv, routing):
    if unrouted is None and not routing:
        # Upstream: without routing these take no fit parameters at all, and say so.
        with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
            run(call, X[kind], X_priv, "X_priv", routing)
    else:
        run(call, X[kind], X_priv, unrouted, routing)
        assert Aligned.fits


@EACH_CASE
def test_other_rows_are_noticed(call, unrouted, kind):
    with pytest.raises(MisalignedError):
        run(call, X[kind], X_PRIV["3-D"][np.roll(NUMBERS, 3)], None, routing=True)


@pytest.mark.parametrize("meta", [BaggingClassifier(clf), RFECV(clf, importance_getter=columns)])
def test_series_are_refused_where_scikit_learn_takes_tables_alone(meta):
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="Found array with dim 3"),
    ):
        meta.fit(X["series"], LABELS, X_priv=X_PRIV["3-D"])


def test_a_pipeline_without_routing_names_the_step():
    with pytest.raises(ValueError, match="stepname__parameter"):
        pipeline.fit(X["table"], LABELS, X_priv=X_PRIV["2-D"])


def test_stacking_needs_a_final_estimator_that_ignores_what_it_is_handed():
    """Upstream: StackingClassifier hands metadata to the final estimator without asking."""
    final = LogisticRegression()
    with sklearn.config_context(enable_metadata_routing=True):
        stack = StackingClassifier([("aligned", clf)], final_estimator=final, cv=2)
        with pytest.raises(TypeError, match="X_priv"):
            stack.fit(X["series"], LABELS, X_priv=X_PRIV["3-D"])
        stack.set_params(final_estimator=IgnorePrivileged(final))
        stack.fit(X["series"], LABELS, X_priv=X_PRIV["3-D"])
    assert stack.final_estimator_.n_features_in_ == 3


def test_self_training_is_refused(series, small):
    """Upstream: SelfTrainingClassifier drops rows of X, but not of its metadata."""
    y = np.unique(series.y, return_inverse=True)[1]
    y[::2] = -1
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="X_priv has 120 rows and X has 60"),
    ):
        SelfTrainingClassifier(GKDClassifier(small, small)).fit(
            series.X.reshape(120, -1), y, X_priv=series.X_priv
        )


@pytest.mark.parametrize("X_priv", X_PRIV.values(), ids=X_PRIV)
def test_the_teacher_is_given_rows_that_belong_together(small, X_priv):
    small.set_params(max_epochs=1)
    priv_transformer = FunctionTransformer(np.asarray)
    gkd = GKDClassifier(
        AlignedTeacher(), small, beta=0, teacher_cv=2, priv_transformer=priv_transformer
    )
    cross_validate(gkd, X["series"], LABELS, params={"X_priv": X_priv}, **cv)
    X_priv = np.array(X_priv)
    X_priv[::4] = np.nan
    gkd.fit(X["series"], LABELS, X_priv=X_priv)
    with pytest.raises(MisalignedError):
        gkd.fit(X["series"], LABELS, X_priv=X_priv[::-1])


def test_a_calibrated_search_is_what_slicing_by_hand_gives(series, small):
    X, y, X_priv = series.X.copy(), series.y, series.X_priv
    X[::7, 2] = np.nan
    gkd = GKDClassifier(small, small, random_state=0)
    calibrated = CalibratedClassifierCV(gkd, cv=2)
    folds = list(StratifiedKFold(2, shuffle=True, random_state=0).split(X, y))
    weights = [0.0, 10.0]
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            make_pipeline(GapFiller(), calibrated),
            {"calibratedclassifiercv__estimator__gamma": weights},
            cv=folds,
        ).fit(X, y, X_priv=X_priv)

    for i, (train, test) in enumerate(folds):
        filler = GapFiller().fit(X[train])
        expected = [
            clone(calibrated)
            .set_params(estimator__gamma=gamma)
            .fit(filler.transform(X[train]), y[train], X_priv=X_priv[train])
            .score(filler.transform(X[test]), y[test])
            for gamma in weights
        ]
        np.testing.assert_allclose(search.cv_results_[f"split{i}_test_score"], expected)
    best = search.best_estimator_[-1]
    assert all(hasattr(fold.estimator, "teacher_") for fold in best.calibrated_classifiers_)
    np.testing.assert_allclose(search.predict_proba(X).sum(axis=1), 1)
