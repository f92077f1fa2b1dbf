import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier

from sklearn_gkd import GKDClassifier, GKDRegressor
from sklearn_gkd.evaluation import _label_efficiency as module
from sklearn_gkd.evaluation import gain_table, label_efficiency, worth_in_labels
from sklearn_gkd.evaluation._controls import Predicted, PredictedNumbers

METHODS = {"student alone", "self-distillation", "estimator"}


@pytest.fixture
def estimator(small):
    return GKDClassifier(small, small, random_state=99)


@pytest.fixture
def runs(monkeypatch):
    """Replace the fits by one that records what it is given, and predicts the first class."""
    seen = []

    def record(estimator, split):
        seen.append((estimator.random_state, split))
        classes = np.unique(split.y)
        return Predicted(classes, np.eye(len(classes))[np.zeros(len(split.X_test), int)])

    monkeypatch.setattr(module, "METHODS", {record: "estimator"})
    return seen


def rows_of(values, table):
    """Return which rows of a table these are."""
    equal = (values[:, None] == table[None]).all(axis=(2, 3))
    assert (equal.sum(axis=1) == 1).all()
    return set(equal.argmax(axis=1).tolist())


def test_every_cell_has_its_methods_on_the_same_rows_and_seed(estimator, series):
    call = (estimator.set_params(teacher__max_epochs=1, student__max_epochs=1), series.X, series.y)
    results = label_efficiency(
        *call, series.X_priv, n_labels=[40, 12], n_pairs=(0, 30), cv=2, random_state=0
    )
    assert results.columns.tolist() == [
        *["method", "split", "metric", "value", "n_train", "n_test"],
        *["n_labels", "n_pairs", "n_pairs_used"],
    ]
    by_cell = results.groupby(["split", "n_labels", "n_pairs"])
    assert set(by_cell.groups) == {(s, n, p) for s in (0, 1) for n in (12, 40) for p in (0, 30)}
    assert by_cell["method"].unique().map(set).eq(METHODS).all()
    assert by_cell.size().eq(3 * 6).all()
    sizes = results[["n_train", "n_test"]].drop_duplicates().to_numpy().tolist()
    assert sizes == [[60, 60]]  # the pool, not the labels
    table = gain_table(results.query("n_labels == 12 and n_pairs == 30"))
    assert table["n_splits"].max() == 2
    again = label_efficiency(
        *call, series.X_priv, n_labels=[12, 40], n_pairs=[30, 0], cv=2, random_state=0
    )
    pd.testing.assert_frame_equal(results, again)


def test_the_student_alone_takes_the_steps_of_the_cell(estimator, series, monkeypatch):
    trained = []

    def fit(self, X, y, X_priv=None, *, original=GKDClassifier.fit, **kwargs):
        fitted = original(self, X, y, X_priv, **kwargs)
        n_pairs = len(kwargs.get("X_unlabeled") if kwargs.get("X_unlabeled") is not None else [])
        trained.append((self.beta > 0, len(y), n_pairs, len(self.student_.history)))
        return fitted

    monkeypatch.setattr(GKDClassifier, "fit", fit)
    estimator.set_params(teacher__max_epochs=1, student__max_epochs=2)
    cv = [(np.arange(0, 120, 2), np.arange(1, 120, 2))]
    call = (estimator, series.X, series.y, series.X_priv)
    label_efficiency(*call, n_labels=16, n_pairs=[0, 32], cv=cv, random_state=0)
    assert trained == [
        (False, 16, 0, 2), (True, 16, 0, 2), (True, 16, 0, 2),  # a batch has 16 rows
        (False, 16, 0, 6), (True, 16, 32, 2), (True, 16, 32, 2),
    ]  # fmt: skip


def test_labels_are_stratified_and_nested_and_pairs_are_the_rest_of_training(
    estimator, series, runs
):
    results = label_efficiency(
        *(estimator, series.X, series.y, series.X_priv),
        n_labels=[6, 12, 60],
        n_pairs=[0, 10, 1000],
        groups=series.groups,
        cv=4,
        random_state=0,
    )
    assert len({seed for seed, _ in runs}) == 4
    used = results.drop_duplicates(["split", "n_labels", "n_pairs"])
    for number in range(4):
        of_split = [split for _, split in runs[9 * number : 9 * number + 9]]
        test = rows_of(of_split[0].X_test, series.X)
        train = set(range(120)) - test
        before, pairs_before = set(), set()
        for split, row in zip(of_split, used[used["split"] == number].itertuples(), strict=True):
            labelled = rows_of(split.X, series.X)
            assert len(labelled) == len(split.y) == row.n_labels
            assert row.n_train == len(train)
            assert before <= labelled <= train
            before = labelled
            counts = pd.Series(split.y).value_counts()
            assert counts.min() >= 2
            share = pd.Series(series.y[sorted(train)]).value_counts(normalize=True)
            assert (counts - share * row.n_labels).abs().max() < (2 if row.n_labels > 6 else 3)
            np.testing.assert_array_equal(split.groups, series.groups[sorted(labelled)])
            if row.n_pairs == 0:
                assert split.X_unlabeled is split.X_priv_unlabeled is None
                assert row.n_pairs_used == 0
                pairs_before = set()
                continue
            pairs = rows_of(split.X_unlabeled, series.X)
            assert pairs == rows_of(split.X_priv_unlabeled, series.X_priv)
            assert len(pairs) == row.n_pairs_used == min(row.n_pairs, len(train) - row.n_labels)
            assert pairs_before <= pairs <= train - labelled
            pairs_before = pairs
            assert not set(series.groups[sorted(pairs)]) & set(series.groups[sorted(test)])


def test_given_pairs_are_drawn_from_those_that_have_x_priv(estimator, series, runs):
    X_unlabeled, X_priv_unlabeled = series.X[:50] + 1, series.X_priv[:50] + 1
    X_priv_unlabeled[::2] = np.nan
    results = label_efficiency(
        *(estimator, series.X, series.y, series.X_priv),
        X_unlabeled=X_unlabeled,
        X_priv_unlabeled=X_priv_unlabeled,
        n_labels=10,
        n_pairs=[5, 100],
        cv=3,
        random_state=0,
    )
    few, many = [runs[i][1] for i in (0, 1)]
    drawn = rows_of(few.X_unlabeled, X_unlabeled)
    assert len(drawn) == 5
    assert rows_of(many.X_unlabeled, X_unlabeled) == set(range(1, 50, 2))
    assert drawn < set(range(1, 50, 2))
    assert rows_of(runs[2][1].X_unlabeled, X_unlabeled) != drawn
    assert results.groupby("n_pairs")["n_pairs_used"].unique().map(list).to_dict() == {
        5: [5],
        100: [25],
    }


def test_training_rows_without_x_priv_are_no_pairs(estimator, series, runs):
    X_priv = series.X_priv.copy()
    X_priv[::3] = np.nan
    label_efficiency(
        estimator, series.X, series.y, X_priv, n_labels=10, n_pairs=200, cv=2, random_state=0
    )
    for _, split in runs:
        assert not {row % 3 for row in rows_of(split.X_unlabeled, series.X)} & {0}
        assert np.isfinite(split.X_priv_unlabeled).all()


def test_a_single_row_of_a_class_is_among_the_labels(estimator, series, runs):
    y = series.y.astype(object)
    y[7] = "vines"
    cv = [(np.arange(60), np.arange(60, 120)), (np.arange(90), np.arange(90, 120))]
    label_efficiency(
        estimator, series.X, y, series.X_priv, n_labels=7, n_pairs=0, cv=cv, random_state=0
    )
    assert [list(split.y).count("vines") for _, split in runs] == [1, 1]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"estimator": RandomForestClassifier()}, TypeError, "a RandomForestClassifier"),
        ({"estimator": GKDClassifier(beta=0, gamma=0)}, ValueError, "beta=0 and gamma=0"),
        ({"X_priv": np.zeros((119, 6, 4))}, ValueError, "X_priv has 119 rows and X has 120"),
        ({"X_priv": np.full((120, 6, 4), np.nan)}, ValueError, "all but 0 rows of a drawn set"),
        ({"X_unlabeled": np.zeros((9, 6, 2))}, ValueError, "without X_priv_unlabeled"),
        ({"n_labels": [5, 50]}, ValueError, "has 5, too few for two of each of 3.* Give 6 or"),
        ({"n_labels": [6, 61]}, ValueError, "has 61, and a split has 60 training rows"),
        ({"n_labels": []}, ValueError, r"n_labels=\[\] is no sequence of whole numbers of 1"),
        ({"n_labels": [10.5]}, ValueError, r"n_labels=\[10.5\]"),
        ({"n_pairs": [0, -1]}, ValueError, r"n_pairs=\[0, -1\] is no sequence .* of 0 or more"),
    ],
)
def test_refuses_before_any_fit(estimator, series, runs, changed, error, message):
    call = {"estimator": estimator, "X": series.X, "y": series.y, "X_priv": series.X_priv}
    call |= {"n_labels": [6, 60], "cv": 2}
    with pytest.raises(error, match=message):
        label_efficiency(**(call | changed), random_state=0)
    assert not runs


def efficiency(alone, with_pairs, *, n_pairs=500, labels=(50, 200, 800), metric="f_measure"):
    """Return a table as from label_efficiency, of three splits that have these means."""
    rows = [
        (method, split, metric, value + 0.01 * (split - 1), 700, 300, n, n_pairs, n_pairs)
        for split in range(3)
        for method, values in [("student alone", alone), ("estimator", with_pairs)]
        for n, value in zip(labels, values, strict=True)
    ]
    columns = ["method", "split", "metric", "value", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=[*columns, "n_labels", "n_pairs", "n_pairs_used"])


def test_worth_is_interpolated_in_the_logarithm_of_labels():
    table = worth_in_labels(efficiency([0.5, 0.6, 0.7], [0.55, 0.675, 0.71]))
    assert table["student_alone"].tolist() == pytest.approx([0.5, 0.6, 0.7])
    assert table["estimator"].tolist() == pytest.approx([0.55, 0.675, 0.71])
    assert table["labels_alone"].tolist()[:2] == pytest.approx([100, 200 * 4**0.75])
    assert np.isnan(table["labels_alone"].iloc[2])
    assert table["told"].tolist() == ["100", "566", "> 800"]
    assert table["labels_per_pair"].iloc[0] == pytest.approx((100 - 50) / 500)


def test_worth_of_harm_is_negative_or_below_all():
    table = worth_in_labels(efficiency([0.5, 0.6, 0.7], [0.45, 0.55, 0.7]))
    assert table["told"].tolist() == ["< 50", "100", "800"]
    assert table["labels_per_pair"].iloc[1] == pytest.approx((100 - 200) / 500)


def test_worth_on_a_curve_that_falls_is_on_the_rising_one_nearest():
    table = worth_in_labels(efficiency([0.5, 0.7, 0.6], [0.575, 0.635, 0.66]))  # 0.5, 0.65, 0.65
    assert table["labels_alone"].tolist()[:2] == pytest.approx([100, 50 * 4**0.9])
    assert table["told"].tolist() == ["100", "174", "> 800"]


def test_worth_by_a_loss_is_that_by_its_negative():
    scores = efficiency([0.5, 0.6, 0.7], [0.55, 0.675, 0.71])
    losses = scores.assign(value=1 - scores["value"], metric="brier")
    table = worth_in_labels(losses, metric="brier")
    assert table["told"].tolist() == ["100", "566", "> 800"]
    assert table["student_alone"].tolist() == pytest.approx([0.5, 0.4, 0.3])


def test_the_student_alone_counts_at_its_best_number_of_steps():
    own = efficiency([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], n_pairs=0)
    longer = efficiency([0.55, 0.58, 0.7], [0.575, 0.65, 0.7], n_pairs=500)
    table = worth_in_labels(pd.concat([own, longer]))
    for n_pairs in (0, 500):
        alone = table["student_alone"].xs(n_pairs, level="n_pairs")
        assert alone.tolist() == pytest.approx([0.55, 0.6, 0.7])
    assert table["told"].xs(500, level="n_pairs").tolist()[:2] == ["100", "400"]
    assert table["labels_per_pair"].xs(0, level="n_pairs").isna().all()


def test_worth_of_one_number_of_labels_is_above_below_or_the_same():
    for with_pairs, told in [(0.6, "> 50"), (0.4, "< 50"), (0.5, "50")]:
        assert worth_in_labels(efficiency([0.5], [with_pairs], labels=[50]))["told"].item() == told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.drop(columns="n_pairs"), r"results lack .'n_pairs'.. .*label_efficiency"),
        (lambda r: pd.concat([r, r]), "a split twice"),
        (lambda r: r[r["method"] != "estimator"], "results lack the method 'estimator'"),
        (lambda r: r.assign(metric="kappa"), "metric='f_measure' is not in results"),
    ],
)
def test_worth_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        worth_in_labels(change(efficiency([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])))


def test_the_estimator_is_left_as_it_was(estimator, series, runs):
    before = clone(estimator).get_params(deep=False)
    label_efficiency(estimator, series.X, series.y, series.X_priv, n_labels=10, cv=2)
    assert estimator.get_params(deep=False).keys() == before.keys()
    assert not hasattr(estimator, "classes_")
    assert estimator.random_state == 99


def test_a_quantity_is_measured_by_its_own_scores(series, small):
    small.set_params(max_epochs=1)
    y = series.X[:, 0, 0].astype(float)
    results = label_efficiency(
        GKDRegressor(small, small),
        series.X,
        y,
        series.X_priv,
        n_labels=[12, 30],
        n_pairs=[0, 20],
        cv=2,
        groups=series.groups,
        random_state=0,
    )
    assert set(results["metric"]) == {"r2", "rmse", "mae"}
    cells = results.groupby(["split", "n_labels", "n_pairs"])
    assert len(cells) == 8
    assert cells["method"].unique().map(set).eq(METHODS).all()
    wide = results.pivot_table("value", ["split", "n_labels", "n_pairs", "method"], "metric")
    assert (wide["rmse"] >= wide["mae"]).all()
    table = worth_in_labels(results, metric="rmse")
    assert table.index.tolist() == [(12, 0), (12, 20), (30, 0), (30, 20)]


def test_labels_of_a_quantity_are_drawn_at_random(series, small, monkeypatch):
    drawn = []

    def record(estimator, split):
        drawn.append(split.y)
        return PredictedNumbers(np.zeros((len(split.X_test), 1)))

    monkeypatch.setattr(module, "METHODS", {record: "estimator"})
    y = np.arange(120.0)
    call = (GKDRegressor(small, small), series.X, y, series.X_priv)
    label_efficiency(*call, n_labels=[5, 20], n_pairs=0, cv=3, random_state=0)
    assert [len(values) for values in drawn] == [5, 20] * 3
    for few, many in zip(drawn[::2], drawn[1::2], strict=True):
        assert set(few.ravel()) <= set(many.ravel())
    assert len({tuple(values.ravel()) for values in drawn}) == 6
    with pytest.raises(ValueError, match=r"has 1\. Give 2 or more"):
        label_efficiency(*call, n_labels=1, cv=3)
