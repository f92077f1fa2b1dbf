from contextlib import nullcontext
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from sklearn_gkd._common import checks
from sklearn_gkd._common.checks import check_finite, check_precision, fresh_fit, naming


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TypeError, TypeError), (ValueError, ValueError), (OverflowError, ValueError)],
)
def test_naming_puts_the_argument_before_what_numpy_says(error, kind):
    with pytest.raises(kind, match=r"^X or X_priv: too wide$") as raised, naming("X", "X_priv"):
        raise error("too wide")
    assert type(raised.value) is kind
    assert type(raised.value.__cause__) is error


def test_naming_leaves_an_error_that_names_the_argument():
    with pytest.raises(ValueError, match=r"^X has NaN$"), naming("y", "X"):
        raise ValueError("X has NaN")
    with pytest.raises(ValueError, match=r"^X: X_priv has NaN$"), naming("X"):
        raise ValueError("X_priv has NaN")
    with pytest.raises(KeyError), naming("X"):
        raise KeyError("fields")


def test_check_finite_tells_the_first_row_and_the_remedy():
    table = np.zeros((4, 2))
    check_finite(table, "X", "Fill it.")
    table[[1, 3], 1] = np.nan
    with pytest.raises(ValueError, match=r"^X contains NaN in 2 rows .* row 1\)\. Fill it\.$"):
        check_finite(table, "X", "Fill it.")
    with pytest.raises(ValueError, match=r"the first is row 20\)"):
        check_finite(table, "X", "Fill it.", np.array([10, 20, 30, 40]))
    table[[1, 3], 1] = np.inf
    with pytest.raises(ValueError, match=r"^X contains inf, .* in 2 rows .* row 1\)\. Replace"):
        check_finite(table, "X", "Fill it.")


def test_a_fresh_fit_starts_without_what_an_earlier_one_left():
    model = LinearRegression()
    model.coef_ = 1
    with fresh_fit(model):
        assert not hasattr(model, "coef_")
        model.intercept_ = 2
    assert not hasattr(model, "coef_")
    assert model.intercept_ == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(error):
    model = LinearRegression(fit_intercept=False)
    model.coef_ = 1

    def fail():
        with fresh_fit(model):
            model.fit_intercept = True
            model.intercept_ = 2
            raise error

    with pytest.raises(error):
        fail()
    assert vars(model) == vars(LinearRegression(fit_intercept=False)) | {"coef_": 1}


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


def test_numbers_in_words():
    told = [checks.counted(n, noun) for n, noun in ((1, "band"), (0, "band"), (2, "entry"))]
    assert told == ["1 band", "0 bands", "2 entries"]


def test_numbers_that_are_none_are_refused():
    for values in ([3, 8], (0.5,), np.array([1], "uint8"), [], [True]):
        np.testing.assert_array_equal(checks.as_numbers(values, "clouds"), values)
    for values in (["3"], 3, [None], [np.inf], [[1]], "3", [1, "a"]):
        with pytest.raises(ValueError, match=r"clouds is .* Give a list of numbers"):
            checks.as_numbers(values, "clouds")


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


@pytest.mark.parametrize("given", [np.asarray, pd.DataFrame])
@pytest.mark.parametrize(
    ("values", "is_lost"),
    [
        ([0.0, 1.0, 2.0], False),
        ([1e9, 1e9 + 1, 1e9 + 2], True),
        ([16_777_216, 16_777_217, 16_777_218], True),
        ([16_777_214, 16_777_215, 16_777_216], False),  # float32 holds them as they are
        ([0.1, 0.1, 0.1], False),
        ([0.1, 0.1 + 1e-15, 0.1 - 1e-15], False),  # noise of float64
        ([-1e30, -1e30, -1.00001e30], False),
    ],
)
def test_what_float32_does_not_tell_apart_is_named(given, values, is_lost):
    table = np.transpose([[5.0, 6.0, 7.0], values])
    expected = nullcontext()
    if is_lost:
        expected = pytest.raises(ValueError, match=r"X has values of \d+ to \d+ in column 1,")
    with expected:
        check_precision(given(table), table.astype(np.float32), "X")
