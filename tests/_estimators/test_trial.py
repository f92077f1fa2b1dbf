import numpy as np
import pytest

from sklearn_gkd._common.series import View
from sklearn_gkd._estimators._base import Rows
from sklearn_gkd._estimators._trial import (
    N_PAIRS,
    is_clearly_less,
    trial_folds,
    trial_pairs,
)


def rows_of(codes, train):
    view = View(np.zeros((len(codes), 2, 1), dtype=np.float32), False)
    return Rows(view, np.array(codes), np.array(train), np.arange(0))


def test_folds_are_of_labelled_rows_that_have_privileged_information():
    codes = np.r_[np.tile([0, 1], 30), np.full(20, -1)]
    seen = np.arange(80) % 4 != 0
    splits = trial_folds(rows_of(codes, np.arange(6, 60)), seen, None, 0)
    held_out = np.concatenate([held_out for _, held_out in splits])
    expected = [row for row in range(6, 60) if row % 4]
    assert sorted(held_out) == expected
    assert len(splits) == 3
    for kept, tested in splits:
        assert sorted([*kept, *tested]) == expected


def test_folds_are_of_whole_groups():
    groups = np.arange(60) % 5
    splits = trial_folds(rows_of([0, 1] * 30, np.arange(60)), np.full(60, True), groups, 0)
    for kept, held_out in splits:
        assert not set(groups[kept]) & set(groups[held_out])


@pytest.mark.parametrize(
    ("codes", "groups"),
    [
        ([0, 1] * 14, None),
        (range(40), None),
        ([0, 1] * 20, np.arange(40) % 2),
    ],
    ids=["few rows", "classes of a row", "few groups"],
)
def test_too_few_rows_make_no_folds(codes, groups):
    codes = list(codes)
    rows = rows_of(codes, np.arange(len(codes)))
    assert trial_folds(rows, np.full(len(codes), True), groups, 0) == []


def test_some_hundreds_of_pairs_are_tried():
    codes = np.r_[np.zeros(10, dtype=int), np.full(1000, -1)]
    seen = np.arange(1010) % 2 == 0
    rows = rows_of(codes, np.arange(10))
    chosen = trial_pairs(rows, seen, 0)
    assert chosen.sum() == N_PAIRS
    assert not chosen[~seen].any()
    assert not chosen[:10].any()
    assert (chosen != trial_pairs(rows, seen, 1)).any()
    few = rows_of(codes[:30], np.arange(10))
    np.testing.assert_array_equal(np.flatnonzero(trial_pairs(few, seen[:30], 0)), range(10, 30, 2))


def test_clearly_less_is_by_two_standard_errors():
    spread = np.tile([-1.0, 1.0], 50)  # the standard error of the mean is 0.1005
    assert is_clearly_less(spread - 0.21, np.zeros(100))
    assert not is_clearly_less(spread - 0.19, np.zeros(100))
    assert not is_clearly_less(spread + 0.5, np.zeros(100))
