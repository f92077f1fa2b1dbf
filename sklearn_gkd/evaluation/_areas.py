"""Estimate a map's accuracy and the areas of its classes from a sample."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch
from sklearn.utils.validation import check_consistent_length

from sklearn_gkd._common.checks import counted, naming
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import as_column


def area_adjusted(
    y_true: Any, y_pred: Any, areas: Mapping[Any, float], *, confidence: Any = 0.95
) -> Bunch:
    """Estimate accuracy and areas from a sample that is stratified by a map's classes.

    Test objects are rarely drawn in proportion to what a map shows; weighing each mapped class by
    its area makes the estimates those of the map. Counting a map's pixels is a biased estimate
    of areas, which the reference classes of the sample correct.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Reference classes of the sample.
    y_pred : array-like of shape (n,)
        Classes that the map has there.
    areas : mapping
        Area of each class on the map, in any unit: hectares or pixels. 0 for a reference class
        that the map does not show: it has no ``users`` accuracy, and its ``area`` is that of the
        rows of other classes that are of it.
    confidence : float, default=0.95
        Confidence of the margins, which are half of the intervals.

    Returns
    -------
    Bunch
        Of these, each margin half of a confidence interval:

        accuracy, accuracy_margin : float
            Overall accuracy.
        classes : DataFrame
            A row for each class of the map: ``area`` and ``area_margin`` in the unit of `areas`;
            ``users`` accuracy (1 - commission), ``producers`` accuracy (1 - omission), and their
            margins.

    Raises
    ------
    ValueError
        If a class of the sample has no area, or a mapped class fewer than two rows in the sample,
        if an area is negative or not finite, or if ``confidence`` is not between 0 and 1.

    References
    ----------
    P. Olofsson et al. (2014), "Good practices for estimating area and assessing accuracy of land
    change", Remote Sensing of Environment 148, Eqs. 1 to 11.

    Examples
    --------
    >>> from sklearn_gkd.evaluation import area_adjusted
    >>> y_true = ["crop"] * 45 + ["wood"] * 5 + ["wood"] * 48 + ["crop"] * 2
    >>> y_pred = ["crop"] * 50 + ["wood"] * 50
    >>> estimates = area_adjusted(y_true, y_pred, {"crop": 100, "wood": 900})
    >>> round(estimates.accuracy, 3), round(estimates.classes.loc["crop", "area"])
    (0.954, 126)
    """
    check_rows(y_true=y_true, y_pred=y_pred)
    y_true, y_pred = as_column(y_true, "y_true"), as_column(y_pred, "y_pred")
    with naming("y_true", "y_pred"):
        check_consistent_length(y_true, y_pred)
    if not isinstance(confidence, Real) or not 0 < float(confidence) < 1:
        raise ValueError(f"confidence is {confidence!r}. Give a number between 0 and 1: 0.95.")
    areas = dict(areas)
    names = list(areas)
    unknown = [name for name in np.unique(np.append(y_true, y_pred)).tolist() if name not in areas]
    if unknown:
        raise ValueError(
            f"areas has none for {unknown}. Give the area of each class of the map, and 0 for one "
            "that the map does not show."
        )
    with naming("areas"):
        of_map = np.array([areas[name] for name in names], dtype=float)
    if not (np.isfinite(of_map) & (of_map >= 0)).all() or not of_map.any():
        raise ValueError(f"areas is {areas}. Give sizes, 0 or more, and not all of them 0.")
    counts = confusion_matrix(y_pred, y_true, labels=names)
    n_rows = counts.sum(axis=1)
    on_map = (of_map > 0) | (n_rows > 0)
    if (n_rows[on_map] < 2).any():
        few = int(np.flatnonzero(on_map)[n_rows[on_map].argmin()])
        raise ValueError(
            f"The sample has {counted(n_rows[few], 'row')} where the map has {names[few]!r}, and "
            "two or more are needed. Sample more there."
        )
    shares = counts / np.maximum(n_rows, 1)[:, None]
    spread = shares * (1 - shares) / (n_rows - 1)[:, None]
    users, users_variance = shares.diagonal(), spread.diagonal()
    estimated = of_map @ shares
    with np.errstate(invalid="ignore"):
        producers = of_map * users / estimated
        omitted = of_map[:, None] ** 2 * spread
        np.fill_diagonal(omitted, 0)
        own = of_map**2 * (1 - producers) ** 2 * users_variance
        producers_variance = (own + producers**2 * omitted.sum(axis=0)) / estimated**2
    z = norm.ppf(0.5 + float(confidence) / 2)
    weights = of_map / of_map.sum()
    classes = pd.DataFrame(
        {
            "area": estimated,
            "area_margin": z * np.sqrt(of_map**2 @ spread),
            "users": np.where(on_map, users, np.nan),
            "users_margin": np.where(on_map, z * np.sqrt(users_variance), np.nan),
            "producers": producers,
            "producers_margin": z * np.sqrt(producers_variance),
        },
        index=names,
    )
    return Bunch(
        accuracy=float(weights @ users),
        accuracy_margin=float(z * np.sqrt(weights**2 @ users_variance)),
        classes=classes,
    )
