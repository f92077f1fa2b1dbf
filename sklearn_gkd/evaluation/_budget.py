"""Equal numbers of training steps for methods that train on different numbers of rows.

An epoch over pairs without a label has more steps than one over the labelled rows alone, so that
nets of equal epochs are not compared fairly. Where ``max_epochs`` is None, each net has the passes
that suit its own rows.
"""

from math import ceil
from typing import Any

import numpy as np
from skorch import NeuralNet

from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._estimators._privileged import has_information
from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._training.batches import n_batches
from sklearn_gkd._training.budget import batch_size_of


def n_labelled(estimator: TaughtEstimator, split: Any) -> int:
    """Return on how many labelled rows of a split a net is trained; others may be held out."""
    if estimator.validation_fraction == 0:
        return len(split.y)
    kept, _ = hold_out(
        split.y,
        estimator.validation_fraction,
        groups=split.groups,
        random_state=estimator.random_state,
    )
    return len(kept)


def steps(net: NeuralNet, n_rows: int) -> int | None:
    """Return the steps of all epochs of a net; None where fit sets the epochs."""
    return None if net.max_epochs is None else net.max_epochs * _steps_of_epoch(net, n_rows)


def student_steps(estimator: TaughtEstimator, split: Any) -> int | None:
    """Return the steps of the estimator's student, which pairs without a label teach too."""
    n_pairs = 0
    if split.X_unlabeled is not None:
        n_pairs = np.sum(has_information(split.X_priv_unlabeled))
    return steps(estimator._net("student"), n_labelled(estimator, split) + n_pairs)


def epochs(n_steps: int, net: NeuralNet, n_rows: int) -> int:
    """Return the epochs in which a net takes so many steps, or the first number above."""
    return ceil(n_steps / _steps_of_epoch(net, n_rows))


def as_many_steps(
    estimator: TaughtEstimator, split: Any, net: NeuralNet
) -> tuple[int | None, int | None]:
    """Return a net's epochs, over labelled rows, for the steps of the estimator's student.

    With them, the n_iter_no_change that is the same share of them as it is of the net's own. Both
    are as they are where fit sets the epochs.
    """
    n_steps, patience = student_steps(estimator, split), estimator.n_iter_no_change
    if n_steps is None or net.max_epochs is None:
        return net.max_epochs, patience
    n_epochs = epochs(n_steps, net, n_labelled(estimator, split))
    if patience is not None:
        patience = ceil(patience * n_epochs / net.max_epochs)
    return n_epochs, patience


def set_student_epochs(estimator: TaughtEstimator, n_epochs: int | None) -> None:
    """Set the epochs of the student, wherever they are given."""
    own = "student__max_epochs" if isinstance(estimator.student, NeuralNet) else "max_epochs"
    estimator.set_params(**{own: n_epochs})


def _steps_of_epoch(net: NeuralNet, n_rows: int) -> int:
    return n_batches(n_rows, batch_size_of(net, n_rows))
