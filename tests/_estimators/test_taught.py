import numpy as np
import pytest

from sklearn_gkd import PrivilegedInformationWarning
from sklearn_gkd.eo import GapFiller


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
    clf.set_params(teacher__max_epochs=40).fit(
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
