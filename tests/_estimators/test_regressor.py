import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.utils import Bunch
from torch import nn

from sklearn_gkd import (
    GKDGridSearchCV,
    GKDRegressor,
    PrivilegedInformationWarning,
    SeriesRegressor,
)
from sklearn_gkd.networks import MLPEnsemble


@pytest.fixture
def data():
    """A quantity that is faint in X and plain in X_priv, and pairs without it."""
    rng = np.random.RandomState(0)
    truth = rng.normal(size=160)
    X = truth[:, None, None] + 2 * rng.normal(size=(160, 6, 2))
    X_priv = 3000 + 900 * truth[:, None, None] + 300 * rng.normal(size=(160, 4, 3))
    return Bunch(
        X=X[:60].astype(np.float32),
        X_priv=X_priv[:60].astype(np.float32),
        y=80 + 20 * truth[:60],
        X_unlabeled=X[60:].astype(np.float32),
        X_priv_unlabeled=X_priv[60:].astype(np.float32),
        y_unlabeled=80 + 20 * truth[60:],
        groups=np.arange(60) % 6,
    )


@pytest.fixture
def pairs(data):
    return {"X_unlabeled": data.X_unlabeled, "X_priv_unlabeled": data.X_priv_unlabeled}


@pytest.fixture
def reg(small):
    return GKDRegressor(small, small, random_state=0)


def test_pairs_without_a_label_help_where_these_are_few(data, pairs, small):
    small.set_params(max_epochs=30, module__dropout=0.0)
    few, others = slice(0, 20), slice(20, 60)
    reg = GKDRegressor(small, small, distillation="always", random_state=0)
    reg.fit(data.X[few], data.y[few], X_priv=data.X_priv[few], **pairs)
    alone = clone(reg).set_params(beta=0, gamma=0).fit(data.X[few], data.y[few])
    assert reg.score(data.X[others], data.y[others]) > (
        alone.score(data.X[others], data.y[others]) + 0.05
    )
    told = reg.teacher_predict(data.X[others], data.X_priv[others])
    assert np.corrcoef(told, data.y[others])[0, 1] > 0.9


def test_a_teacher_that_knows_nothing_is_not_listened_to(data, pairs, reg):
    nothing = np.random.RandomState(1).normal(size=(160, 4, 3))
    pairs["X_priv_unlabeled"] = nothing[60:]
    reg.set_params(teacher_view="privileged")
    with pytest.warns(PrivilegedInformationWarning, match="a squared error .of standardised y. of"):
        reg.fit(data.X, data.y, X_priv=nothing[:60], **pairs)
    found = reg.distillation_
    assert not found.used
    assert found.loss_distilled >= found.loss_alone
    assert found.loss_alone < found.loss_teacher


def test_rows_without_x_priv_teach_by_their_label(data, reg, recorder):
    data.X_priv[::2] = np.nan
    reg._store = recorder
    reg.fit(data.X, data.y, X_priv=data.X_priv)
    teacher, student = recorder.trainings
    assert teacher.train.tolist() == list(range(1, 60, 2))
    labels, numbers, features, taught = student.targets
    scaled = (data.y - data.y.mean()) / data.y.std()
    np.testing.assert_allclose(labels[:, 0], scaled, rtol=1e-4, atol=1e-6)
    assert taught.tolist() == [0, 1] * 30
    assert not numbers[::2].any()
    assert (features.shape, numbers.shape) == ((60, 8), (60, 1))
    of_teacher = reg.teacher_predict(data.X[1::2], data.X_priv[1::2])
    np.testing.assert_allclose(of_teacher, numbers[1::2, 0] * data.y.std() + data.y.mean())


def test_y_is_standardised_by_weighted_training_rows(data, reg):
    weights = np.arange(60.0)
    reg.fit(
        data.X,
        data.y,
        data.X_priv,
        sample_weight=weights,
        X_val=data.X[:20],
        y_val=data.y[:20],
        X_priv_val=data.X_priv[:20],
    )
    mean = np.average(data.y, weights=weights)
    assert reg.target_mean_ == pytest.approx(mean)
    expected = np.average((data.y - mean) ** 2, weights=weights) ** 0.5
    assert reg.target_scale_ == pytest.approx(expected)
    held_out = reg.predict(data.X[:20]) - data.y[:20]
    best = max(reg.student_.history[:, "valid_score"])
    assert best == pytest.approx(-np.mean(held_out**2) / expected**2, rel=1e-4)


def test_any_regressor_teaches_in_the_units_of_y_out_of_fold(data, reg, recorder):
    reg.set_params(teacher=LinearRegression(), beta=0, teacher_cv=KFold(3))
    reg._store = recorder
    reg.fit(data.X, data.y, X_priv=data.X_priv)
    table = np.hstack([data.X.reshape(60, -1), data.X_priv.reshape(60, -1)])
    expected = cross_val_predict(LinearRegression(), table, data.y, cv=KFold(3))
    told = recorder.trainings[-1].targets[1][:, 0] * data.y.std() + data.y.mean()
    np.testing.assert_allclose(told, expected, rtol=1e-2)
    np.testing.assert_allclose(
        reg.teacher_predict(data.X, data.X_priv), reg.teacher_.predict(table), rtol=1e-5
    )


def test_folds_of_a_number_need_no_classes(data, reg, recorder):
    reg.set_params(teacher_cv=3, validation_fraction=0.2)
    reg._store = recorder
    reg.fit(data.X, data.y, X_priv=data.X_priv, groups=data.groups)
    trainings = [training for training in recorder.trainings if training.role == "teacher"]
    assert len(trainings) == 4
    for training in trainings:
        assert not set(data.groups[training.train]) & set(data.groups[training.valid])


def test_a_fitted_regressor_stays_as_it_is(data, reg):
    teacher = LinearRegression().fit(data.X_priv.reshape(60, -1), data.y)
    reg.set_params(teacher=FrozenEstimator(teacher), beta=0, teacher_view="privileged")
    reg.fit(data.X[:20], data.y[:20], X_priv=data.X_priv[:20])
    np.testing.assert_allclose(
        reg.teacher_predict(data.X, data.X_priv), teacher.predict(data.X_priv.reshape(60, -1))
    )


def test_several_numbers_are_learnt_at_once(data, reg):
    y = np.column_stack([data.y, -1e4 * data.y])
    reg.set_params(teacher__max_epochs=20, student__max_epochs=20)
    reg.fit(data.X, y, X_priv=data.X_priv)
    assert reg.predict(data.X).shape == (60, 2)
    assert reg.teacher_predict(data.X, data.X_priv).shape == (60, 2)
    assert reg.target_scale_ == pytest.approx(y.std(axis=0))
    assert reg.score(data.X, y) > 0.2
    forest = clone(reg).set_params(teacher=LinearRegression(), beta=0)
    assert forest.fit(data.X, y, X_priv=data.X_priv).predict(data.X).shape == (60, 2)


def test_a_network_of_ones_own_and_an_ensemble_within_it(data):
    def network(shapes, n_outputs):
        return MLPEnsemble(shapes, n_outputs, n_members=2, width=8, features=8, head=8)

    reg = GKDRegressor(network, network, max_epochs=2, random_state=0)
    reg.fit(data.X, data.y, X_priv=data.X_priv)
    mean, spread = reg.predict(data.X, return_std=True)
    np.testing.assert_allclose(reg.predict(data.X), mean, rtol=1e-6)
    assert (spread > 0).all()


def test_an_ensemble_inside_a_network_of_ones_own_predicts_as_it_does_itself(data):
    class Inside(nn.Module):
        def __init__(self, shapes, n_outputs):
            super().__init__()
            self.ensemble = MLPEnsemble(shapes, n_outputs)

        def forward(self, *views):
            return self.ensemble(*views)

    inside, plain = (
        SeriesRegressor(network, max_epochs=2, lr=1e-3, random_state=0).fit(data.X, data.y)
        for network in (Inside, MLPEnsemble)
    )
    np.testing.assert_allclose(inside.predict(data.X), plain.predict(data.X), rtol=1e-5)


def test_without_a_teacher_it_is_a_series_regressor(data, small):
    reg = GKDRegressor(small, small, beta=0, gamma=0, random_state=0).fit(data.X, data.y)
    small.set_params(module__feature_activation=torch.nn.Identity)
    alone = SeriesRegressor(small, random_state=0)
    assert alone.fit(data.X, data.y).predict(data.X).shape == reg.predict(data.X).shape
    assert not hasattr(reg, "distillation_")
    with pytest.raises(NotFittedError, match="no teacher_"):
        reg.teacher_predict(data.X, data.X_priv)
    with pytest.warns(PrivilegedInformationWarning, match="X_priv was not given"):
        reg.set_params(gamma=1).fit(data.X, data.y)


def test_memory_keeps_a_teachers_numbers(data, reg, tmp_path):
    reg.set_params(memory=str(tmp_path))
    first = clone(reg).fit(data.X, data.y, X_priv=data.X_priv)
    again = clone(reg).fit(data.X, data.y, X_priv=data.X_priv)
    assert hasattr(first, "teacher_")
    assert not hasattr(again, "teacher_")
    np.testing.assert_array_equal(first.predict(data.X), again.predict(data.X))
    assert len(list(tmp_path.glob("sklearn_gkd/*.npz"))) == 1
    other = clone(reg).fit(data.X, data.y**2, X_priv=data.X_priv)
    assert hasattr(other, "teacher_")


def test_a_checkpoint_is_gone_on_from(data, reg, tmp_path):
    whole = clone(reg).fit(data.X, data.y, X_priv=data.X_priv)
    reg.set_params(checkpoint=tmp_path)
    kept = clone(reg).fit(data.X, data.y, X_priv=data.X_priv)
    read = clone(reg).fit(data.X, data.y, X_priv=data.X_priv)
    assert len(list(tmp_path.glob("*.checkpoint"))) == 2
    for fitted in (kept, read):
        np.testing.assert_array_equal(fitted.predict(data.X), whole.predict(data.X))
    reg.set_params(loss="huber").fit(data.X, data.y, X_priv=data.X_priv)
    assert len(list(tmp_path.glob("*.checkpoint"))) == 4


@pytest.mark.parametrize("members", [{}, {"module": "ensemble", "module__n_members": 2}])
def test_candidates_are_trained_side_by_side(data, small, members):
    small.set_params(max_epochs=2, **members)
    reg = GKDRegressor(small, small, validation_fraction=0.2, random_state=0)
    grid = {"gamma": [1, 4], "student__lr": [1e-3, 1e-2]}
    params = {"X_priv": data.X_priv}
    expected = GridSearchCV(reg, grid, cv=2, refit=False).fit(data.X, data.y, **params)
    found = GKDGridSearchCV(reg, grid, cv=2, refit=False).fit(data.X, data.y, **params)
    scores = [pd.DataFrame(s.cv_results_).filter(regex="split") for s in (found, expected)]
    np.testing.assert_allclose(*scores, atol=1e-3)
    assert np.ptp(scores[0].to_numpy(), axis=0).min() > 1e-2


def test_candidates_of_a_regressor_are_one_cohort(data, reg, tmp_path):
    grid = {"gamma": [1, 4], "alpha": [0.5, 1]}
    search = GKDGridSearchCV(reg.set_params(checkpoint=tmp_path), grid, cv=2, refit=False)
    search.fit(data.X, data.y, X_priv=data.X_priv)
    assert len(list(tmp_path.glob("*.trained"))) == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"teacher": RandomForestClassifier(), "beta": 0}, "teacher is a RandomForestClassifier"),
        ({"teacher": LinearRegression()}, "beta=0.1 compares features, but the teacher has none"),
        ({"loss": "poisson"}, "loss"),
        ({"alpha": -1}, "alpha"),
    ],
)
def test_wrong_parameters_are_named(data, reg, params, message):
    with pytest.raises(ValueError, match=message):
        reg.set_params(**params).fit(data.X, data.y, X_priv=data.X_priv)


def test_a_fitted_teacher_of_another_number_of_outputs_is_named(data, reg):
    teacher = LinearRegression().fit(data.X_priv.reshape(60, -1), np.column_stack([data.y] * 2))
    reg.set_params(teacher=FrozenEstimator(teacher), beta=0, teacher_view="privileged")
    with pytest.raises(ValueError, match="teacher predicts 2 numbers for each row, and y has 1"):
        reg.fit(data.X, data.y, X_priv=data.X_priv)


def test_validation_targets_are_checked(data, reg):
    with pytest.raises(ValueError, match=r"y_val has the shape \(5,\). Give \(6,\)"):
        reg.fit(data.X, data.y, X_val=data.X[:6], y_val=data.y[:5])
