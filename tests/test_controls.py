import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from sklearn_gkd import GKDClassifier, SITSClassifier, controls
from sklearn_gkd.evaluation import gain_table, privileged_gain, scores
from sklearn_gkd.training import draw_seeds


@pytest.fixture
def clf(small):
    return GKDClassifier(small.set_params(max_epochs=2), small, random_state=0)


@pytest.fixture
def split(series):
    """Test rows without X_priv: no control but the bound may ask for them."""
    train, test = np.arange(0, 120, 2), np.arange(1, 120, 2)
    return controls.Split(
        series.X[train], series.y[train], series.X_priv[train], None, series.X[test], None
    )


@pytest.fixture
def fits(monkeypatch):
    """What GKDClassifier.fit and SITSClassifier.fit are given, and what they leave."""
    calls = []

    def spy_on(cls):
        original = cls.fit

        def fit(self, X, y, X_priv=None, **kwargs):
            given = {} if X_priv is None else {"X_priv": X_priv}
            original(self, X, y, **given, **kwargs)
            calls.append((self, X, X_priv))
            return self

        monkeypatch.setattr(cls, "fit", fit)

    spy_on(GKDClassifier)
    spy_on(SITSClassifier)
    return calls


def test_student_alone_has_no_teacher_and_longer_has_its_epochs(clf, split, fits):
    controls.student_alone(clf, split)
    controls.student_alone_longer(clf.set_params(beta=1, gamma=10), split)
    (alone, _, priv), (longer, _, _) = fits
    assert priv is None
    assert not hasattr(alone, "teacher_")
    assert len(longer.student_.history) == 4


def test_permuted_x_priv_is_the_same_rows_in_another_order(clf, split, fits):
    controls.permuted(clf, split)
    given = fits[0][2]
    assert (given[:, 0, 0] != split.X_priv[:, 0, 0]).mean() > 0.9
    np.testing.assert_array_equal(np.sort(given[:, 0, 0]), np.sort(split.X_priv[:, 0, 0]))


def test_self_distillation_never_sees_x_priv(clf, split, fits):
    blind = split._replace(X_priv=None)
    controls.self_distillation(clf, blind)
    np.testing.assert_array_equal(fits[0][2], split.X)


def test_imputation_trains_on_what_x_tells_of_x_priv(clf, split, fits):
    controls.imputation(clf, split)
    table = fits[0][1]
    np.testing.assert_array_equal(table[:, :12], split.X.reshape(60, -1))
    imputed, measured = table[:, 12:], split.X_priv.reshape(60, -1)
    assert not np.isclose(imputed, measured).any()
    assert np.corrcoef(imputed.ravel(), measured.ravel())[0, 1] > 0.2


def test_modality_dropout_predicts_the_same_whatever_x_priv_is(clf, split, fits):
    controls.modality_dropout(clf, split)
    net, table, _ = fits[0]
    np.testing.assert_array_equal(table[:, 12:], split.X_priv.reshape(60, -1))
    other = table.copy()
    other[:, 12:] = 0
    np.testing.assert_array_equal(net.predict_proba(table), net.predict_proba(other))


def test_all_methods_share_splits_and_seeds(series, clf):
    arguments = (clf, series.X, series.y, series.X_priv)
    cv = StratifiedKFold(2)
    results = privileged_gain(*arguments, cv=cv, random_state=0)
    parallel = privileged_gain(*arguments, cv=cv, random_state=0, n_jobs=2)
    pd.testing.assert_frame_equal(results, parallel)
    assert results.groupby(["method", "metric"]).size().eq(2).all()
    assert results["method"].nunique() == 9
    table = results.pivot_table("value", index=["split", "metric"], columns="method")
    rng = np.random.RandomState(0)
    draw_seeds(rng, 1)
    seeds = draw_seeds(rng, 2)
    for number, (train, test) in enumerate(cv.split(series.X, series.y)):
        flat = series.X.reshape(120, -1)
        forest = RandomForestClassifier(random_state=seeds[number]).fit(
            flat[train], series.y[train]
        )
        clf.set_params(random_state=seeds[number])
        clf.fit(series.X[train], series.y[train], X_priv=series.X_priv[train])
        by_teacher = clf.teacher_predict_proba(series.X[test], series.X_priv[test])
        for method, y_pred in [
            ("forest", forest.predict(flat[test])),
            ("estimator", clf.predict(series.X[test])),
            ("teacher", clf.classes_[by_teacher.argmax(axis=1)]),
        ]:
            by_hand = scores(series.y[test], y_pred)
            assert table[method][number].to_dict() == pytest.approx(by_hand), method


def test_corrected_resampled_t_test_by_hand():
    values = np.array([[0.66, 0.60], [0.62, 0.58], [0.67, 0.62], [0.61, 0.60]])
    results = pd.DataFrame(
        [
            (method, split, "accuracy", values[split, column], 80, 20)
            for split in range(4)
            for column, method in enumerate(["estimator", "student alone"])
        ],
        columns=["method", "split", "metric", "value", "n_train", "n_test"],
    )
    row = gain_table(results).loc[("accuracy", "student alone")]
    difference = values[:, 0] - values[:, 1]
    error = np.sqrt((1 / 4 + 20 / 80) * difference.var(ddof=1))
    assert row["gain"] == pytest.approx(difference.mean())
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(difference.mean() / error, df=3))
    half = stats.t.ppf(0.975, df=3) * error
    assert (row["low"], row["high"]) == pytest.approx(
        (difference.mean() - half, difference.mean() + half)
    )
    single = gain_table(results[results["split"] == 0]).loc[("accuracy", "student alone")]
    assert np.isnan(single["p_value"])
    assert single["gain"] == pytest.approx(0.06)


def test_wrong_arguments_are_named(series, clf):
    arguments = (series.X, series.y, series.X_priv)
    with pytest.raises(TypeError, match="Give a GKDClassifier"):
        privileged_gain(RandomForestClassifier(), *arguments)
    with pytest.raises(ValueError, match="beta=0 and gamma=0"):
        privileged_gain(clf.set_params(beta=0, gamma=0), *arguments)
    with pytest.raises(ValueError, match="X_priv has 9 rows"):
        privileged_gain(clf.set_params(gamma=1), series.X, series.y, series.X_priv[:9])
