"""Labels of columns and rows, and errors where those of two tables contradict each other."""

from itertools import combinations
from typing import Any

import pandas as pd


def column_labels(X: Any) -> pd.Index | None:
    """Return the labels of columns that are not strings, which scikit-learn does not compare."""
    if not isinstance(X, pd.DataFrame) or any(isinstance(label, str) for label in X.columns):
        return None
    return X.columns


def validate_columns(estimator: Any, X: Any, name: str, *, reset: bool) -> None:
    """Remember labels that are not strings or, without reset, compare them with those of fit."""
    labels = column_labels(X)
    if not reset:
        check_columns(labels, getattr(estimator, "_column_labels", None), name)
        return
    vars(estimator).pop("_column_labels", None)
    if labels is not None:
        estimator._column_labels = labels


def check_columns(labels: pd.Index | None, in_fit: pd.Index | None, name: str) -> None:
    """Raise a ValueError where columns have other labels than in fit, or in another order.

    A numbering from 0, which pandas gives where there are no labels, contradicts numbers alone.
    """
    if labels is None or in_fit is None:
        return
    numbering = pd.RangeIndex(len(labels))
    is_number = [pd.api.types.is_integer_dtype(one) for one in (labels, in_fit)]
    if (labels.equals(numbering) or in_fit.equals(numbering)) and not all(is_number):
        return
    at = _first_difference(labels, in_fit)
    if at is not None:
        raise ValueError(
            f"{name} has other column labels than in fit, or in another order: column "
            f"{at} is {labels[at]!r} and was {in_fit[at]!r}. Give the same columns, or "
            f"{name}.to_numpy() where they are the same under other labels."
        )


def check_rows(**tables: Any) -> None:
    """Raise a ValueError where two arguments are paired by position although their labels differ.

    These are pandas' indices. Ranges stand for mere positions, unless another index has the same
    labels in another order.
    """
    indices = {
        name: table.index
        for name, table in tables.items()
        if isinstance(table, (pd.DataFrame, pd.Series))
    }
    for (name, index), (other_name, other) in combinations(indices.items(), 2):
        at = _first_difference(index, other)
        if at is None or (_is_range(index) and _is_range(other)):
            continue
        reordered = index.is_unique and set(index) == set(other)
        if not reordered and (_is_range(index) or _is_range(other)):
            continue
        reorder = f", {other_name}.loc[{name}.index]" if reordered else ""
        raise ValueError(
            f"{name} and {other_name} are paired by position although their labels contradict: "
            f"row {at} of {name} is {index[at]!r} and that of {other_name} is {other[at]!r}. Give "
            f"the same rows of both in one order{reorder}; or, where the positions are right, "
            "give arrays (.to_numpy())."
        )


def _first_difference(labels: pd.Index, others: pd.Index) -> int | None:
    """Return where labels of one number differ first, or None."""
    if len(labels) != len(others) or labels.equals(others):
        return None
    different = (i for i in range(len(labels)) if not labels[i : i + 1].equals(others[i : i + 1]))
    return next(different, 0)


def _is_range(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) and index.step > 0
