"""The paper's protocol: training, validation and test rows, and scores."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.splitting import hold_out

LOSSES = ("log_loss", "brier", "rmse", "mae")
"""The measures that are the better the lower they are."""


def train_valid_test_split(
    y: Any,
    *,
    sizes: Any = (0.5, 0.2, 0.3),
    groups: Any = None,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split objects into training, validation and test rows, as the paper does.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class of each row. The split is stratified by class.
    sizes : tuple of 3 floats, default=(0.5, 0.2, 0.3)
        Shares of training, validation and test rows; their sum is 1.
    groups : array-like of shape (n,), default=None
        No group is shared between the parts, which are then those nearest `sizes`, of many random
        draws, that leave every class in training.
    random_state : int or None, default=None
        Rules the draw.

    Returns
    -------
    tuple of 3 ndarrays of int
        Sorted row indices of training, validation and test rows.

    Raises
    ------
    ValueError
        Where `sizes` is not three positive shares of 1, or no split keeps every class.

    References
    ----------
    Ienco et al. (2020), section 4: ten such splits.

    Examples
    --------
    >>> from sklearn_gkd.evaluation import train_valid_test_split
    >>> parts = train_valid_test_split(["a"] * 60 + ["b"] * 40, random_state=0)
    >>> [len(part) for part in parts]
    [50, 20, 30]
    """
    if len(sizes) != 3 or min(sizes) <= 0 or not np.isclose(sum(sizes), 1):
        raise ValueError(
            f"sizes={sizes} are not the shares of three parts. Give three positive numbers of "
            "sum 1, for training, validation and test."
        )
    y = np.asarray(y)
    groups = None if groups is None else np.asarray(groups)
    _, valid_size, test_size = sizes
    rest, test = hold_out(y, test_size, groups=groups, random_state=random_state)
    train, valid = hold_out(
        y[rest],
        valid_size / (1 - test_size),
        groups=None if groups is None else groups[rest],
        random_state=random_state,
    )
    return rest[train], rest[valid], test


def scores(
    y_true: Any, y_pred: Any, y_proba: Any = None, *, classes: Any = None
) -> dict[str, float]:
    """Return the paper's three measures, the macro F-measure and, of probabilities, two losses.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Classes.
    y_proba : array-like of shape (n, n_classes), default=None
        Probability of each class, as from `predict_proba`.
    classes : array-like of shape (n_classes,), default=None
        The class of each column of y_proba: the classifier's ``classes_``.

    Returns
    -------
    dict
        ``f_measure`` (weighted by the classes' rows), ``macro_f`` (all classes alike), ``kappa``
        (Cohen's) and ``accuracy``: 1 at best, and 0 at worst, but for kappa, which can be
        negative. With y_proba also ``log_loss`` and ``brier`` (the squared distance to the true
        class's 1 and the others' 0, summed over the classes, 2 at worst): 0 at best. A class that
        is not in `classes` has the probability 0, of which the log loss is finite (36), as
        scikit-learn's is.

    Raises
    ------
    ValueError
        Where y_proba comes without classes, or has not a column for each and a row for each of
        y_true.

    Examples
    --------
    >>> from sklearn_gkd.evaluation import scores
    >>> scores(["a", "a", "b", "b"], ["a", "a", "b", "a"])["accuracy"]
    0.75
    >>> y_proba = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]]
    >>> measured = scores(["a", "a", "b", "b"], ["a", "a", "b", "a"], y_proba, classes=["a", "b"])
    >>> round(measured["brier"], 3)
    0.35
    """
    check_rows(y_true=y_true, y_pred=y_pred, y_proba=y_proba)
    measured = {
        "f_measure": float(f1_score(y_true, y_pred, average="weighted", zero_division=0)),
        "macro_f": float(f1_score(y_true, y_pred, average="macro", zero_division=0)),
        "kappa": float(cohen_kappa_score(y_true, y_pred)),
        "accuracy": float(accuracy_score(y_true, y_pred)),
    }
    return measured if y_proba is None else measured | _losses(y_true, y_proba, classes)


def _losses(y_true: Any, y_proba: Any, classes: Any) -> dict[str, float]:
    if classes is None:
        raise ValueError(
            "classes is None, and y_proba alone does not tell which class a column is of. Give "
            "the classifier's classes_."
        )
    y_true, y_proba, classes = np.asarray(y_true), np.asarray(y_proba), np.asarray(classes)
    if y_proba.shape != (len(y_true), len(classes)):
        raise ValueError(
            f"y_proba has shape {y_proba.shape} and not {(len(y_true), len(classes))}. Give a row "
            "for each of y_true, and a column for each of classes."
        )
    labels = np.union1d(classes, y_true)
    of_all = np.zeros((len(y_true), len(labels)))
    of_all[:, np.searchsorted(labels, classes)] = y_proba
    is_true = y_true[:, None] == labels
    return {
        "log_loss": float(log_loss(y_true, of_all, labels=labels)),
        "brier": float(np.square(of_all - is_true).sum(axis=1).mean()),
    }


def quantity_scores(y_true: Any, y_pred: Any) -> dict[str, float]:
    """Return R², the root mean squared error and the mean absolute error of a quantity.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,) or (n, k)
        Numbers. Of several in a row, the measures are averaged.

    Returns
    -------
    dict
        ``r2`` (1 at best), ``rmse`` and ``mae`` (in the units of y, 0 at best).

    Examples
    --------
    >>> from sklearn_gkd.evaluation import quantity_scores
    >>> quantity_scores([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 3.0])
    {'r2': 0.8, 'rmse': 0.5, 'mae': 0.25}
    """
    check_rows(y_true=y_true, y_pred=y_pred)
    return {
        "r2": float(r2_score(y_true, y_pred)),
        "rmse": float(root_mean_squared_error(y_true, y_pred)),
        "mae": float(mean_absolute_error(y_true, y_pred)),
    }


def class_f_measures(y_true: Any, y_pred: Any, classes: Any) -> pd.Series:
    """Return the F-measure of each class.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Classes.
    classes : array-like of shape (n_classes,)
        The classes to measure, in order. One that is in neither y_true nor y_pred gets 0.

    Returns
    -------
    Series
        Indexed by class.

    Examples
    --------
    >>> from sklearn_gkd.evaluation import class_f_measures
    >>> class_f_measures(["a", "a", "b", "b"], ["a", "a", "b", "a"], ["a", "b"]).round(2).to_dict()
    {'a': 0.8, 'b': 0.67}
    """
    check_rows(y_true=y_true, y_pred=y_pred)
    values = f1_score(y_true, y_pred, labels=list(classes), average=None, zero_division=0)
    return pd.Series(values, index=list(classes))
