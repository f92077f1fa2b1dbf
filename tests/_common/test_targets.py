import numpy as np
import pytest
import torch

from sklearn_gkd._common.targets import has_target, strata, with_none

CODES = np.array([0, 2, -1])
NUMBERS = np.array([[0.5, -1.0], [-2.0, 0.0], [np.nan, np.nan]], dtype=np.float32)


@pytest.mark.parametrize("targets", [CODES, NUMBERS, torch.tensor(CODES), torch.tensor(NUMBERS)])
def test_a_row_without_a_target_is_told_from_the_others(targets):
    assert has_target(targets).tolist() == [True, True, False]


@pytest.mark.parametrize("targets", [CODES, NUMBERS])
def test_rows_without_a_target_follow(targets):
    longer = with_none(targets, 2)
    np.testing.assert_array_equal(longer[:3], targets)
    assert longer.dtype == targets.dtype
    assert has_target(longer).tolist() == [True, True, False, False, False]


def test_classes_are_strata_and_numbers_are_not():
    assert strata(["b", "a", "b"]).tolist() == ["b", "a", "b"]
    assert strata(NUMBERS).tolist() == [0, 0, 0]
