import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    GroupKFold,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from sklearn_gkd._common.splitting import folds, groups_of, hold_out, partition


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_stratified_shares(fraction):
    y = np.repeat([0, 1, 2], [100, 60, 40])
    kept, held_out = hold_out(y, fraction, random_state=0)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(200))
    np.testing.assert_array_equal(np.bincount(y[held_out]), fraction * np.array([100, 60, 40]))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()


def test_small_classes_stay_in_training():
    y = np.array(["a"] * 10 + ["b"] * 2 + ["c"])
    for seed in range(20):
        kept, held_out = hold_out(y, 0.2, random_state=seed)
        assert set(y[kept]) == {"a", "b", "c"}
        assert set(y[held_out]) == {"a", "b"}


@pytest.mark.parametrize("y", [[0, 0, 1, 1], [0] * 7 + [1] * 2 + [2], [0, 0], [0, 0, 0, 1, 1, 1]])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.9])
def test_every_class_keeps_a_row_however_few(y, fraction):
    y = np.array(y)
    kept, held_out = hold_out(y, fraction, random_state=0)
    assert set(y[kept]) == set(y)
    assert len(held_out) >= 1
    assert len(kept) + len(held_out) == len(y)


def test_groups_are_whole_and_near_the_fraction():
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(30), rng.randint(1, 40, size=30))
    y = rng.randint(0, 4, size=len(groups))
    kept, held_out = hold_out(y, 0.3, groups=groups, random_state=0)
    assert not set(groups[kept]) & set(groups[held_out])
    assert set(y[kept]) == set(range(4))
    assert len(held_out) / len(y) == pytest.approx(0.3, abs=0.01)


def test_groups_that_hold_a_whole_class_are_kept():
    groups = np.repeat(np.arange(10), 10)
    y = np.where(groups == 3, "rare", "common")
    for seed in range(10):
        kept, _ = hold_out(y, 0.3, groups=groups, random_state=seed)
        assert "rare" in y[kept]


def test_same_seed_same_split():
    y = np.arange(100) % 3
    for groups in (None, np.arange(100) // 5):
        first = hold_out(y, 0.2, groups=groups, random_state=1)
        second = hold_out(y, 0.2, groups=groups, random_state=1)
        other = hold_out(y, 0.2, groups=groups, random_state=2)
        np.testing.assert_array_equal(first[1], second[1])
        assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        ([0, 1, 2], None, "y has 3 rows of 3 classes"),
        ([0, 0, 1, 1], [5, 5, 5, 5], "groups holds a single group"),
        ([0, 0, 1, 1], [0, 0, 1, 1], "no draw .* keeps every class"),
        ([0, 0, 1, 1], [0, 1], "groups: .* inconsistent numbers of samples"),
    ],
)
def test_errors(y, groups, message):
    with pytest.raises(ValueError, match=message):
        hold_out(y, 0.25, groups=groups)


def as_lists(splits):
    return [(kept.tolist(), held_out.tolist()) for kept, held_out in splits]


def test_folds_of_a_number_are_stratified_by_class_and_of_whole_groups():
    train = np.arange(100, 160)
    labels = np.zeros(160, dtype=int)
    labels[train] = np.arange(60) % 3
    groups = np.arange(160) // 4
    for given, splitter in [(None, StratifiedKFold), (groups, StratifiedGroupKFold)]:
        expected = splitter(4, shuffle=True, random_state=7)
        of_train = None if given is None else groups[train]
        by_hand = expected.split(train, labels[train], of_train)
        splits = folds(4, labels, train, given, 7, "cv")
        assert as_lists(splits) == [(train[a].tolist(), train[b].tolist()) for a, b in by_hand]


def test_folds_of_a_splitter_of_pairs_and_of_none():
    train, labels = np.arange(10, 22), np.arange(22) % 2
    groups = np.arange(22) // 5
    for kept, held_out in folds(GroupKFold(3), labels, train, groups.tolist(), 0, "cv"):
        assert not set(groups[kept]) & set(groups[held_out])
    pairs = [(np.array([0, 2]), np.array([1]))]
    assert as_lists(folds(pairs, labels, train, None, 0, "cv")) == [([10, 12], [11])]
    assert folds(None, labels, train, None, 0, "cv") == []


@pytest.mark.parametrize("name", ["cv", "teacher_cv"])
@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (9, "^{}: .*n_splits=9"),
        ("nine", "^({0}: )?Expected `?cv`? as an integer"),
        (GroupKFold(2), "^{}: The 'groups' parameter should not be None"),
        ([([0], [1, 2])], "^{0}=.* leaves a fold a single row to train on, of 6.*another {0}"),
    ],
)
def test_folds_that_cannot_be_name_their_argument(name, cv, message):
    with pytest.raises(ValueError, match=message.format(name)):
        folds(cv, np.arange(6) % 2, np.arange(6), None, 0, name)


def test_groups_of_several_types_are_named():
    with pytest.raises(TypeError, match="groups: "):
        hold_out([0, 0, 1, 1], 0.25, groups=np.array(["a", 1, "a", 1], dtype=object))


def test_a_cv_of_more_rows_than_are_split_is_an_error():
    with pytest.raises(ValueError, match="teacher_cv has row 9, but splits 8 rows"):
        folds(PredefinedSplit(np.arange(10) % 2), np.zeros(8), np.arange(8), None, 0, "teacher_cv")


def test_a_partition_holds_out_each_row_once():
    labels, rows = np.arange(12) % 2, np.arange(20, 32)
    labels = np.concatenate([np.zeros(20), labels])
    splits = partition(3, labels, rows, None, 0, "teacher_cv")
    assert sorted(np.concatenate([held_out for _, held_out in splits])) == rows.tolist()
    for cv in (ShuffleSplit(2, random_state=0), RepeatedKFold(n_splits=2, n_repeats=2)):
        with pytest.raises(ValueError, match="Give one that holds out each row once"):
            partition(cv, labels, rows, None, 0, "teacher_cv")
    assert partition(None, labels, rows, None, 0, "teacher_cv") == []


def test_groups_may_be_a_column():
    groups = pd.DataFrame({"cell": [3, 3, 4, 5]})
    assert groups_of(groups, np.array([0, 2])).tolist() == [3, 4]
    assert groups_of(None, np.arange(2)) is None
