from functools import partial

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from sklearn_gkd._common import checks

WARNING = """
def warning(*args, depth):
    if depth:
        return warning(*args, depth=depth - 1)
    warn("told", FutureWarning)
    return 0.5
"""


@pytest.fixture
def warning():
    """Return what warns from a module of the package, and so many calls deep there."""
    namespace = {"__name__": "sklearn_gkd.fake", "warn": checks.warn}
    exec(WARNING, namespace)
    return namespace["warning"]


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_warning_is_at_the_line_that_called_the_package(warning, depth):
    def helper():
        warning(depth=depth)

    for call in (helper, lambda: helper()):
        with pytest.warns(FutureWarning, match="told") as warned:
            call()
        assert warned[0].filename == __file__
        assert warned[0].lineno == helper.__code__.co_firstlineno + 1


def test_a_warning_through_scikit_learn_is_at_the_line_that_called_that(warning):
    scoring = partial(warning, depth=1)
    with pytest.warns(FutureWarning, match="told") as warned:
        cross_val_score(SVC(), np.eye(4), [0, 1, 0, 1], cv=2, scoring=scoring)
    assert {entry.filename for entry in warned} == {__file__}
