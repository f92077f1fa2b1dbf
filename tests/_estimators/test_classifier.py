import numpy as np
import pytest
import sklearn
import torch
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import MLP, SeriesNet


class TooManyLogits(nn.Module):
    """A network of one class more than there are."""

    def __init__(self, shapes, n_classes):
        super().__init__()
        self.layer = nn.Linear(sum(t * c for t, c in shapes), n_classes + 1)

    def forward(self, *views):
        return self.layer(torch.cat([view.flatten(1) for view in views], dim=1))


class NoWork(Store):
    """Fails where a training begins."""

    def checkpoint(self, training):
        raise AssertionError(f"training of the {training.role} began before the error")


def with_nan(X, rows=slice(None)):
    X = X.copy()
    X[rows, 1, 0] = np.nan
    return X


def test_the_teacher_sees_what_the_student_cannot(series, clf):
    clf.set_params(student__max_epochs=40).fit(series.X, series.y, X_priv=series.X_priv)
    teacher = clf.classes_[clf.teacher_predict_proba(series.X, series.X_priv).argmax(axis=1)]
    assert np.mean(teacher == series.y) > 0.95
    assert clf.score(series.X, series.y) > 0.5
    probabilities = clf.predict_proba(series.X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(clf.predict(series.X), clf.classes_[probabilities.argmax(axis=1)])


def test_rows_without_privileged_information_teach_by_their_label_alone(series, clf):
    X_priv = series.X_priv.copy()
    X_priv[:60] = np.nan
    clf.fit(series.X, series.y, X_priv=X_priv)
    assert clf.teacher_.history[-1, "train_batch_count"] == 3
    assert clf.student_.history[-1, "train_batch_count"] == 6
    with pytest.raises(ValueError, match="X_priv is NaN throughout in 60 of its 120 rows"):
        clf.teacher_predict_proba(series.X, X_priv)
    with pytest.raises(ValueError, match="in all but 0 of the 96 training rows"):
        clf.fit(series.X, series.y, X_priv=np.full_like(X_priv, np.nan))


def test_refitting_without_x_priv_leaves_no_old_teacher(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    clf.set_params(beta=0, gamma=0).fit(series.X, series.y)
    assert not hasattr(clf, "teacher_")
    assert not hasattr(clf, "priv_shape_")


def test_an_own_network_without_features(series, small, logits_only):
    clf = GKDClassifier(
        logits_only, logits_only, beta=0, max_epochs=2, validation_fraction=0.2, random_state=0
    )
    assert clf.fit(series.X, series.y, X_priv=series.X_priv).predict(series.X).shape == (120,)
    for teacher, student, role in [
        (logits_only, small, "teacher"),
        (small, logits_only, "student"),
    ]:
        with pytest.raises(ValueError, match=f"the {role} has none"):
            GKDClassifier(teacher, student).fit(series.X, series.y, X_priv=series.X_priv)


def test_grid_search_with_a_gap_filler(series, clf):
    pipeline = make_pipeline(FunctionTransformer(), clf.set_params(priv_transformer=GapFiller()))
    search = GridSearchCV(clf, {"gamma": [0, 10], "student__lr": [1e-3, 1e-2]}, cv=2)
    search.fit(series.X, series.y, X_priv=with_nan(series.X_priv))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    pipeline.fit(series.X, series.y, gkdclassifier__X_priv=with_nan(series.X_priv))
    assert pipeline.predict(series.X).shape == (120,)


ERRORS = [
    ({}, lambda s: {"X_priv": s.X_priv[:100]}, "X_priv has 100 rows and X has 120"),
    ({}, lambda s: {"X": s.X[:, :, :, None]}, "X has 4 dimensions"),
    ({}, lambda s: {"X_priv": s.X_priv[..., None]}, "X_priv has 4 dimensions"),
    ({}, lambda s: {"X_priv": s.X_priv[:, 0, 0]}, r"X_priv has 1 dimension"),
    ({"n_channels": 5}, lambda s: {"X": s.X.reshape(120, -1)}, "n_channels=5 does not divide"),
    (
        {"n_channels_priv": 5},
        lambda s: {"X_priv": s.X_priv.reshape(120, -1)},
        "X_priv has 24 columns, which n_channels_priv=5 does not divide",
    ),
    ({"n_channels": 3}, lambda s: {}, "X is 3-D with 2 channels, but n_channels=3"),
    ({}, lambda s: {"X": np.where(s.X > -13, np.inf, s.X)}, "X contains inf"),
    (
        {},
        lambda s: {"X": with_nan(s.X, [5, 7])},
        r"X contains NaN in 2 rows .the first is row 5",
    ),
    ({}, lambda s: {"X_priv": with_nan(s.X_priv)}, r"X_priv contains NaN .*priv_transformer"),
    ({}, lambda s: {"y": np.full(120, "maize")}, "y holds one class, 'maize'"),
    (
        {},
        lambda s: {"X": s.X[:15], "y": np.arange(15), "X_priv": s.X_priv[:15]},
        "y has 15 rows of 15 classes",
    ),
    ({"alpha": -1}, lambda s: {}, "'alpha'"),
    ({"beta": -1}, lambda s: {}, "'beta'"),
    ({"gamma": -1}, lambda s: {}, "'gamma'"),
    ({"temperature": 0}, lambda s: {}, "'temperature'"),
    ({"batch_size": 1}, lambda s: {}, "'batch_size'"),
    ({"teacher": "rnn"}, lambda s: {}, r"teacher='rnn' is not .*\['cnn', 'ensemble', 'mlp'\]"),
    ({"student": "rnn"}, lambda s: {}, r"student='rnn' is not"),
    (
        {"student": SeriesNet(module__features=5)},
        lambda s: {},
        "teacher's 8 features .* student's 5",
    ),
    ({}, lambda s: {"X_val": s.X}, "X_val was given without y_val"),
    ({}, lambda s: {"y_val": s.y}, "y_val was given without X_val"),
    ({}, lambda s: {"X_priv_val": s.X_priv}, "X_priv_val was given without X_val"),
    ({}, lambda s: {"X_val": s.X, "y_val": s.y[:9]}, "y_val has 9 rows and X_val has 120"),
    ({}, lambda s: {"X_val": s.X, "y_val": ["rice"] * 120}, r"y_val holds classes .*\['rice'\]"),
    (
        {},
        lambda s: {"X_val": s.X, "y_val": s.y, "X_priv_val": s.X_priv[:, :3]},
        r"X_priv_val has series of \(T, C\) = \(3, 4\)",
    ),
    ({}, lambda s: {"X_val": s.X[:, :3], "y_val": s.y}, r"X_val has series of \(T, C\) = \(3, 2\)"),
    ({"student": SeriesNet(module__widht=5)}, lambda s: {}, "widht"),
    ({"student": MLP([(6, 2)], 3)}, lambda s: {}, "student is an instance of MLP"),
    (
        {"teacher": SeriesNet(iterator_train__drop_last=True)},
        lambda s: {},
        "teacher has .*drop_last",
    ),
    (
        {"student": SeriesNet(criterion__weight=None)},
        lambda s: {},
        "student has .*criterion__weight",
    ),
    ({"student": SeriesNet(batch_size=1)}, lambda s: {}, "'batch_size' parameter of student"),
    ({"student": SeriesNet(batch_size=-3)}, lambda s: {}, "'batch_size' parameter of student"),
    ({"teacher": SeriesNet(max_epochs=0)}, lambda s: {}, "'max_epochs' parameter of teacher"),
    ({"student": SeriesNet(lr=0)}, lambda s: {}, "'lr' parameter of student"),
    (
        {"student": SeriesNet(optimizer__betas=(2, 0))},
        lambda s: {},
        "student: Invalid beta parameter",
    ),
    ({"student": SeriesNet(optimizer__bogus=1)}, lambda s: {}, "student: .*bogus"),
    ({"alpha": 0, "beta": 0, "gamma": 0}, lambda s: {}, "there is nothing to learn"),
    ({"device": "gpu"}, lambda s: {}, "device='gpu' is not one of torch's"),
    ({}, lambda s: {"y": [None, *s.y[1:]]}, r"y has no class in 1 row \(the first is row 0\)"),
    (
        {"priv_transformer": SelectKBest(k=4), "teacher_cv": 3},
        lambda s: {"X_priv": s.X_priv.reshape(120, -1)},
        "X_priv: .*teacher_cv and.*are fitted without y",
    ),
    (
        {"priv_transformer": make_pipeline(StandardScaler(), SelectKBest(k=4))},
        lambda s: {
            "X_priv": s.X_priv.reshape(120, -1),
            "X_unlabeled": s.X,
            "X_priv_unlabeled": s.X_priv.reshape(120, -1),
        },
        'y.*by distillation="auto", transformers of X_priv are fitted without y',
    ),
    ({"student": TooManyLogits}, lambda s: {}, r"student's network returned .* \(2, 4\)"),
    ({}, lambda s: {"X_priv": csr_array(s.X_priv[:, 0])}, "X_priv is a sparse matrix"),
    (
        {"priv_transformer": FunctionTransformer()},
        lambda s: {"X_priv": np.concatenate([s.X_priv[:60] * np.nan, with_nan(s.X_priv[60:], 1)])},
        r"X_priv contains NaN in 1 row .the first is row 61.*FunctionTransformer",
    ),
]


@pytest.mark.parametrize(("params", "changed", "message"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors_name_the_argument_and_leave_nothing_half_fitted(
    series, clf, params, changed, message
):
    arguments = {"X": series.X, "y": series.y, "X_priv": series.X_priv, **changed(series)}
    clf.set_params(**params)
    clf._store = NoWork()
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit(**arguments)
    assert not [name for name in vars(clf) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        clf.predict(series.X)


def test_x_priv_is_routed_without_being_requested(series, clf):
    pipeline = make_pipeline(GapFiller(), clf.set_params(priv_transformer=GapFiller()))
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.fit(with_nan(series.X), series.y, X_priv=with_nan(series.X_priv))
        params = {"X_priv": series.X_priv, "groups": series.groups}
        results = cross_validate(
            pipeline, series.X, series.y, cv=GroupKFold(2), params=params, return_estimator=True
        )
    assert np.isfinite(results["test_score"]).all()
    assert all(hasattr(fitted[-1], "teacher_") for fitted in results["estimator"])


def test_privileged_information_without_time(series, clf):
    clf.set_params(teacher="cnn", beta=0, max_epochs=2)
    clf.fit(series.X, series.y, X_priv=series.X_priv.reshape(120, 1, 24))
    assert clf.teacher_.module_.network.branches[1][0].in_channels == 24
    assert clf.predict(series.X).shape == (120,)


def test_a_pipeline_transforms_validation_and_unlabelled_rows_by_transform_input(series, clf):
    X = with_nan(series.X)
    arguments = {
        "X_priv": series.X_priv,
        "X_val": X,
        "y_val": series.y,
        "X_unlabeled": X,
        "X_priv_unlabeled": series.X_priv,
    }
    steps = [("gaps", GapFiller()), ("clf", clf)]
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = Pipeline(steps, transform_input=["X_val", "X_unlabeled"])
        assert pipeline.fit(X, series.y, **arguments).predict(X).shape == (120,)
        with pytest.raises(ValueError, match="X_val contains NaN"):
            Pipeline(steps).fit(X, series.y, **arguments)
