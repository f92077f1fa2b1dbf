import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from sklearn_gkd import GKDClassifier
from sklearn_gkd._training.batches import Batches
from sklearn_gkd.evaluation import _budget as budget
from sklearn_gkd.evaluation._controls import Split
from sklearn_gkd.networks import SeriesNet


@pytest.fixture
def split():
    """40 labelled rows of two classes, and 100 pairs, of which 20 have no X_priv."""
    unlabeled = np.ones((100, 3, 2))
    unlabeled[:20] = np.nan
    return Split(
        X=np.ones((40, 3, 1)),
        y=np.repeat(["a", "b"], 20),
        X_priv=np.ones((40, 3, 2)),
        groups=None,
        X_unlabeled=np.ones((100, 3, 1)),
        X_priv_unlabeled=unlabeled,
        X_test=None,
        X_priv_test=None,
    )


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 18, 32, 33, 50])
@pytest.mark.parametrize("given", [{"batch_size": 16}, {"iterator_train__batch_size": 16}])
def test_steps_are_the_batches_of_all_epochs(n_rows, given):
    net = SeriesNet("mlp", max_epochs=3, **given)
    batches = list(Batches(TensorDataset(torch.zeros(n_rows)), 16, 1))
    assert budget.steps(net, n_rows) == 3 * len(batches)


def test_a_batch_size_of_minus_1_is_all_rows():
    assert budget.steps(SeriesNet("mlp", max_epochs=3, batch_size=-1), 1000) == 3


def test_where_fit_sets_the_epochs_they_stay(split):
    net = SeriesNet("mlp", max_epochs=None)
    estimator = GKDClassifier(net, net, n_iter_no_change=5)
    assert budget.steps(net, 100) is None
    assert budget.student_steps(estimator, split) is None
    assert budget.as_many_steps(estimator, split, net) == (None, 5)
    with_own = SeriesNet("mlp", max_epochs=7)
    assert budget.as_many_steps(estimator, split, with_own) == (7, 5)
    estimator.set_params(student=with_own)
    assert budget.as_many_steps(estimator, split, net) == (None, 5)


def test_the_student_is_taught_by_pairs_that_have_x_priv(split):
    student = SeriesNet("mlp", max_epochs=10, batch_size=20)
    estimator = GKDClassifier(student=student, random_state=0)
    assert budget.student_steps(estimator, split) == 10 * (40 + 80) / 20
    assert budget.as_many_steps(estimator, split, student) == (10 * 6 / 2, None)
    estimator.set_params(validation_fraction=0.5, n_iter_no_change=3)
    assert budget.n_labelled(estimator, split) == 20
    assert budget.student_steps(estimator, split) == 10 * (20 + 80) / 20
    assert budget.as_many_steps(estimator, split, student) == (10 * 5, 3 * 5)
    alone = split._replace(X_unlabeled=None, X_priv_unlabeled=None)
    assert budget.as_many_steps(estimator, alone, student) == (10, 3)


def test_epochs_are_rounded_up():
    net = SeriesNet("mlp", max_epochs=1, batch_size=10)
    assert [budget.epochs(n_steps, net, 30) for n_steps in (3, 4, 6, 7)] == [1, 2, 2, 3]


def test_epochs_are_set_where_they_are_given():
    named = GKDClassifier("mlp", "mlp")
    budget.set_student_epochs(named, 7)
    assert named.max_epochs == 7
    given = GKDClassifier("mlp", SeriesNet("mlp"))
    before = given.max_epochs
    budget.set_student_epochs(given, 7)
    assert (given.student.max_epochs, given.max_epochs) == (7, before)
