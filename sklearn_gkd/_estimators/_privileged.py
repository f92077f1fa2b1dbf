"""Privileged information: what X_priv may be, and which rows have it."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.compat import num_samples
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import as_array, as_table

FIT_REQUEST = dict.fromkeys(
    [
        "X_priv",
        "sample_weight",
        "groups",
        "X_unlabeled",
        "X_priv_unlabeled",
        "X_val",
        "y_val",
        "X_priv_val",
    ],
    True,
)
"""What `fit` is given where metadata are routed, without `set_fit_request`."""


class Pair(NamedTuple):
    """Rows of X and their privileged information, with the names of the two arguments.

    Attributes
    ----------
    name : str
    X : array-like or None
    name_priv : str
    X_priv : array-like or None
    labelled : bool
        Whether X alone can teach: rows without a label need X_priv.
    """

    name: str
    X: Any
    name_priv: str
    X_priv: Any
    labelled: bool = True


def check_pairs(first: Pair, *others: Pair) -> None:
    """Raise a ValueError unless privileged information comes with its X, row by row.

    That of the others comes with that of the first, which fit reads it like.
    """
    for pair in (first, *others):
        if pair.X_priv is None:
            if pair.X is not None and not pair.labelled:
                raise ValueError(
                    f"{pair.name} was given without {pair.name_priv}, which is all that could "
                    "teach its rows. Give both, or neither."
                )
            continue
        for needed, name in [(pair.X, pair.name), (first.X_priv, first.name_priv)]:
            if needed is None:
                raise ValueError(
                    f"{pair.name_priv} was given without {name}. Give both, or neither."
                )
        check_rows(**{pair.name: pair.X, pair.name_priv: pair.X_priv})
        n_rows, n_priv = _n_rows(pair.X, pair.name), _n_rows(pair.X_priv, pair.name_priv)
        if n_priv != n_rows:
            raise ValueError(
                f"{pair.name_priv} has {n_priv} rows and {pair.name} has {n_rows}. Row i of "
                f"{pair.name_priv} must be the privileged information of row i of {pair.name} (a "
                "row without any is NaN throughout). Where a step of a Pipeline drops or adds "
                f"rows, {pair.name_priv} does not follow: resample both before the Pipeline, by "
                "the same row numbers."
            )


def _n_rows(X: Any, name: str) -> int:
    X = as_array(X, name)
    with naming(name):
        return num_samples(X)


def has_information(X_priv: Any, name: str = "X_priv") -> np.ndarray:
    """Return a mask of the rows that are not NaN throughout."""
    if issparse(X_priv):
        raise TypeError(f"{name} is a sparse matrix. Give an array: {name}.toarray().")
    X_priv = as_array(X_priv, name)
    if len(X_priv.shape) == 4:
        raise ValueError(
            f"{name} has 4 dimensions. Images are a source of a table: give "
            f"{name}.reshape(len({name}), -1), and priv_sources=[('image', 'passthrough', "
            f"slice(0, None), {tuple(X_priv.shape[1:])})]."
        )
    table, _ = as_table(X_priv, name)
    if len(table.shape) != 2:
        raise ValueError(
            f"{name} has {len(table.shape)} dimension(s); give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    return ~pd.isna(np.asarray(table)).all(axis=1)
