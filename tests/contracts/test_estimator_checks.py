"""scikit-learn's own checks of every public estimator, with one expected failure of nets."""

import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils.estimator_checks import check_class_weight_classifiers, parametrize_with_checks

from sklearn_gkd import (
    GKDClassifier,
    GKDRegressor,
    IgnorePrivileged,
    SeriesClassifier,
    SeriesRegressor,
)
from sklearn_gkd.networks import SeriesNet

# check_class_weight_classifiers sets it.
pytestmark = pytest.mark.filterwarnings("ignore:n_iter_no_change=20 does nothing")

SMALL = SeriesNet(
    "mlp",
    module__width=32,
    module__features=16,
    module__head=16,
    module__dropout=0.0,
    lr=2e-2,
    max_epochs=10,
)
LONGER = clone(SMALL).set_params(lr=1e-2, max_epochs=20)  # which a taught regressor needs


class TaughtByItself(GKDClassifier):
    """Trains a teacher in every check: X is its own privileged information."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, X_priv=X, sample_weight=sample_weight)


class RegressorTaughtByItself(GKDRegressor):
    """Trains a teacher in every check: X is its own privileged information."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, X_priv=X, sample_weight=sample_weight)


def expected_failures(estimator):
    """Of nets: a row that comes twice is in other batches than one that weighs twice."""
    if isinstance(estimator, IgnorePrivileged):
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": "equal in the loss of a batch to 1e-6 "
        "(tests/_estimators/test_weights.py), but rows that are repeated make other batches, "
        "dropout, batch statistics and scaling"
    }


@pytest.fixture(
    params=[
        pytest.param(False, id="routing off"),
        pytest.param(True, id="routing on", marks=pytest.mark.long),
    ],
    autouse=True,
)
def metadata_routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield


@pytest.mark.filterwarnings("ignore::sklearn_gkd.PrivilegedInformationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        TaughtByItself(SMALL, SMALL),
        SeriesClassifier(SMALL),
        IgnorePrivileged(LogisticRegression()),
        RegressorTaughtByItself(LONGER, LONGER),
        SeriesRegressor(SMALL),
        IgnorePrivileged(LinearRegression()),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::sklearn_gkd.PrivilegedInformationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        GKDClassifier(LONGER, LONGER),
        GKDRegressor(LONGER, LONGER),
        TaughtByItself(),
        SeriesClassifier(),
        TaughtByItself("mlp", "mlp"),
        SeriesClassifier("mlp"),
        RegressorTaughtByItself(),
        SeriesRegressor(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks_untaught_and_of_the_defaults(estimator, check):
    check(estimator)


def test_with_the_defaults_weights_of_classes_rule_the_decisions():
    check_class_weight_classifiers("defaults", SeriesClassifier())
