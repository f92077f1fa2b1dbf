"""Weights of rows (`sample_weight`): checked, normalised, and handed on to other estimators."""

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.compat import check_sample_weight, num_samples, safe_indexing
from sklearn_gkd._common.series import as_array


def leave_out_weightless(
    sample_weight: Any, X: Any, **others: Any
) -> tuple[np.ndarray | None, list[Any]]:
    """Return checked weights, and X and what else has its rows, without the rows of weight 0.

    Without sample_weight, the first is None and the others are as they were given, as is what is
    None.
    """
    if sample_weight is None:
        return None, [X, *others.values()]
    with naming("X"):
        n_rows = num_samples(as_array(X, "X"))
    with naming("sample_weight"):
        weights = sample_weight
        if not np.isscalar(weights):
            weights = as_array(weights, "sample_weight")
        weights = check_sample_weight(
            weights, np.empty(n_rows), dtype=np.float64, ensure_non_negative=True
        )
    kept = np.flatnonzero(weights)
    if len(kept) == 0:
        raise ValueError("sample_weight is 0 in all rows. Give some rows a weight above 0.")
    if len(kept) == n_rows:
        return weights, [X, *others.values()]
    for name, values in others.items():
        with naming(name):
            n_values = n_rows if values is None else num_samples(values)
        if n_values != n_rows:
            raise ValueError(
                f"{name} has {n_values} rows and X has {n_rows}. Give one for each row of X."
            )
    return weights[kept], [
        None if values is None else safe_indexing(values, kept) for values in (X, *others.values())
    ]


def normalized(weights: np.ndarray, train: np.ndarray, n_rows: int) -> np.ndarray:
    """Return weights of mean 1 over the training rows, and of 1 in the rows that follow them."""
    weights = weights / weights.max()
    weights = weights / weights[train].mean()
    return np.append(weights, np.ones(n_rows - len(weights))).astype(np.float32)


def check_takes_sample_weight(estimator: Any, parameter: str) -> None:
    """Raise a ValueError unless sample_weight can be handed on to an estimator's fit."""
    routed = get_config()["enable_metadata_routing"] and "sample_weight" in (
        get_routing_for_object(estimator).consumes("fit", ["sample_weight"])
    )
    if not (
        routed
        or has_fit_parameter(estimator, "sample_weight")
        or isinstance(estimator, FrozenEstimator)
    ):
        raise ValueError(
            f"sample_weight was given, but {parameter}={estimator} does not take it in fit. Give "
            f"a {parameter} that does (a pipeline does with metadata routing enabled, where a step "
            "requests it by set_fit_request), or leave sample_weight out."
        )
