"""Importance of bands and dates: what a score loses where they are permuted."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from sklearn_gkd._common.compat import num_samples, safe_indexing
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import Shape, as_array, series_shape
from sklearn_gkd._common.splitting import folds
from sklearn_gkd._estimators._privileged import has_information
from sklearn_gkd._estimators._targets import read_y
from sklearn_gkd._training.randomness import draw_seeds, set_random_states
from sklearn_gkd.evaluation._measuring import Data

KEYS = {"band": ["band"], "date": ["date"], "both": ["band", "date"]}


class Part(NamedTuple):
    """What is permuted as one: a band, a date, or one band of one date."""

    key: tuple[Any, ...]
    columns: np.ndarray


def series_importance(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    by: str = "both",
    n_channels: int | None = None,
    bands: Any = None,
    dates: Any = None,
    scoring: Any = None,
    n_repeats: int = 5,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Measure what a fitted estimator's score loses where a band or a date of X is permuted.

    The values of a band (all of its dates), of a date (all of its bands) or of one band of one date
    are permuted as one over the rows, in the same orders for each. What another band or date tells
    as well loses little: by="both" therefore finds less than by="band" and by="date".

    Parameters
    ----------
    estimator : classifier, regressor or Pipeline
        Fitted.
    X : array-like of shape (n, T, C) or (n, T * C)
        Rows that it was not fitted on.
    y : array-like of shape (n,), or (n, k) of a regressor
        Class of each row, or its number or numbers.
    by : {"both", "band", "date"}, default="both"
        What is permuted as one.
    n_channels : int, default=None
        Number C of bands of a table X, whose columns are time-major, ``t * C + c``. None: that of
        the estimator's ``series_shape_``, if it has one. A 3-D X does not need it.
    bands, dates : sequence, default=None
        Their names; None numbers them from 0.
    scoring : str, callable or None, default=None
        As in scikit-learn; None is the estimator's `score`.
    n_repeats : int, default=5
        Number of orders.
    random_state : int, RandomState instance or None, default=None
        Rules the orders.
    n_jobs : int, default=None
        Number of predictions at a time, as in joblib.

    Returns
    -------
    DataFrame
        Indexed by ``band``, ``date`` or both; ``importance`` is the mean of what the score loses,
        ``std`` its standard deviation over the orders.

    Raises
    ------
    ValueError
        Where an argument is not as described.

    See Also
    --------
    privileged_importance : That of X_priv, which prediction does not see.
    SeriesImportanceDisplay : Draws it.

    Notes
    -----
    `sklearn.inspection.permutation_importance` takes tables alone: give it the series as
    ``X.reshape(len(X), -1)``, to an estimator that was fitted on such a table with `n_channels`.
    It permutes each column, as by="both" does.

    Examples
    --------
    >>> from sklearn_gkd import SeriesClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.evaluation import series_importance
    >>> sits = make_sits(200, random_state=0)
    >>> clf = SeriesClassifier(max_epochs=2, random_state=0).fit(sits.X_s1[:150], sits.y[:150])
    >>> series_importance(
    ...     clf, sits.X_s1[150:], sits.y[150:], by="band", bands=["VV", "VH"], random_state=0
    ... ).index.tolist()
    ['VV', 'VH']
    """
    check_rows(X=X, y=y)
    X, y = as_array(X, "X"), _read_y(estimator, y)
    parts = _parts(X, "X", by, n_channels or _channels_of(estimator), "n_channels", bands, dates)
    _check_repeats(n_repeats)
    scorer = check_scoring(estimator, scoring)
    rng = check_random_state(random_state)
    orders = [rng.permutation(num_samples(X)) for _ in range(n_repeats)]
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_score)(scorer, estimator, X, y, part.columns, order)
        for part, order in product(parts, orders)
    )
    losses = scorer(estimator, X, y) - np.reshape(scores, (len(parts), n_repeats))
    return _table(parts, by, losses)


def privileged_importance(
    estimator: Any,
    X: Any,
    y: Any,
    X_priv: Any,
    *,
    by: str = "band",
    n_channels_priv: int | None = None,
    bands: Any = None,
    dates: Any = None,
    groups: Any = None,
    X_unlabeled: Any = None,
    X_priv_unlabeled: Any = None,
    cv: Any = 5,
    scoring: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Measure what a score loses where a band or a date of X_priv is permuted in training.

    The estimator is fitted anew for each band or date and split, which takes as long as so many
    fits, and scored on the rows of X that the split leaves out. Rows of X_priv that are NaN
    throughout stay so.

    Parameters
    ----------
    estimator : GKDClassifier or GKDRegressor
        Or another whose `fit` takes X_priv. Cloned; all fits of a split have the same seed.
    X : array-like of shape (n, T, C) or (n, T * C)
        Series.
    y : array-like of shape (n,), or (n, k) of a regressor
        Class of each row, or its number or numbers.
    X_priv : array-like of shape (n, T', C') or (n, T' * C')
        Privileged information.
    by : {"band", "date", "both"}, default="band"
        What is permuted as one.
    n_channels_priv : int, default=None
        Number C' of bands of a table X_priv, as it is given. A 3-D X_priv does not need it.
    bands, dates : sequence, default=None
        Names of those of X_priv; None numbers them from 0.
    groups : array-like of shape (n,), default=None
        For the splits, and for those into training and validation rows.
    X_unlabeled, X_priv_unlabeled : array-like, default=None
        Pairs without a label, in every split; X_priv_unlabeled is permuted too.
    cv : int, splitter or iterable, default=5
        The splits.
    scoring : str, callable or None, default=None
        As in scikit-learn; None is the estimator's `score`.
    random_state : int, RandomState instance or None, default=None
        Rules every draw.
    n_jobs : int, default=None
        Number of fits at a time, as in joblib.

    Returns
    -------
    DataFrame
        As that of `series_importance`; ``std`` is over the splits.

    Raises
    ------
    ValueError
        Where an argument is not as described.

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.evaluation import privileged_importance
    >>> from sklearn_gkd.networks import SeriesNet
    >>> sits = make_sits(100, random_state=0)
    >>> net = SeriesNet("mlp", module__width=16, max_epochs=1)
    >>> privileged_importance(
    ...     GKDClassifier(net, net), sits.X_s1, sits.y, sits.X_s2, cv=2, random_state=0
    ... ).shape
    (5, 2)
    """
    if getattr(estimator, "priv_sources", None) is not None:
        raise ValueError(
            "estimator has priv_sources, and X_priv no bands and dates throughout. privileged_gain "
            "tells what each source adds."
        )
    data = Data.checked(estimator, X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled)
    parts = _parts(data.X_priv, "X_priv", by, n_channels_priv, "n_channels_priv", bands, dates)
    split_seed, *seeds = draw_seeds(random_state, 2)
    splits = folds(cv, data.y, np.arange(len(data.y)), data.groups, split_seed, "cv")
    seeds = draw_seeds(seeds[0], len(splits))
    data = data._replace(y=_read_y(estimator, y))
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_refit)(estimator, scoring, *data, part.columns, seed, train, test)
        for part in [Part((), np.arange(0)), *parts]
        for seed, (train, test) in zip(seeds, splits, strict=True)
    )
    whole, *permuted = np.reshape(scores, (1 + len(parts), len(splits)))
    return _table(parts, by, whole - np.stack(permuted))


def _read_y(estimator: Any, y: Any) -> np.ndarray:
    """Return y as it came, 1-D or 2-D, for that is what the scores are made for."""
    read = read_y(estimator, y)
    return read.reshape(np.shape(y)) if read.ndim == 2 else read


def _parts(
    X: Any,
    name: str,
    by: str,
    n_channels: int | None,
    parameter: str,
    bands: Sequence[Any] | None,
    dates: Sequence[Any] | None,
) -> list[Part]:
    """Return what is permuted as one, by name and by its columns in a table."""
    if by not in KEYS:
        raise ValueError(f"by={by!r} is not one of {list(KEYS)}.")
    if len(X.shape) not in (2, 3):
        raise ValueError(
            f"{name} has {len(X.shape)} dimensions; give series as (n, T, C) or as a table "
            "(n, T * C)."
        )
    if len(X.shape) == 2 and n_channels is None:
        raise ValueError(f"{name} is a table: give {parameter}, the number of its bands.")
    shape: Shape | None = tuple(X.shape[1:]) if len(X.shape) == 3 else None
    n_columns = int(np.prod(X.shape[1:]))
    n_dates, n_bands = series_shape(n_columns, shape, n_channels, name, parameter)
    bands = _names(bands, n_bands, "bands", name)
    dates = _names(dates, n_dates, "dates", name)
    columns = np.arange(n_columns).reshape(n_dates, n_bands)
    if by == "band":
        return [Part((band,), columns[:, c]) for c, band in enumerate(bands)]
    if by == "date":
        return [Part((date,), columns[t]) for t, date in enumerate(dates)]
    return [
        Part((band, date), columns[t, c : c + 1])
        for c, band in enumerate(bands)
        for t, date in enumerate(dates)
    ]


def _names(names: Sequence[Any] | None, n: int, argument: str, of: str) -> Sequence[Any]:
    if names is None:
        return range(n)
    if len(names) != n or len(set(names)) != n:
        raise ValueError(
            f"{argument} has {len(names)} names, {len(set(names))} of them different, and {of} has "
            f"{n} {argument}. Give each of them a name of its own."
        )
    return list(names)


def _channels_of(estimator: Any) -> int | None:
    """Return the number of bands that a fitted estimator itself tells; 3-D series need none."""
    shape = getattr(estimator, "series_shape_", None)
    return None if shape is None else shape[1]


def _check_repeats(n_repeats: int) -> None:
    if n_repeats < 1:
        raise ValueError(f"n_repeats={n_repeats}; give 1 or more.")


def _score(
    scorer: Any, estimator: Any, X: Any, y: np.ndarray, columns: np.ndarray, order: np.ndarray
) -> float:
    return scorer(estimator, _permuted(X, columns, order), y)


def _refit(
    estimator: Any,
    scoring: Any,
    X: Any,
    y: np.ndarray,
    X_priv: Any,
    groups: np.ndarray | None,
    X_unlabeled: Any,
    X_priv_unlabeled: Any,
    columns: np.ndarray,
    seed: int,
    train: np.ndarray,
    test: np.ndarray,
) -> float:
    """Return the score on the test rows after a fit with these columns of X_priv permuted."""
    rng = check_random_state(seed)
    params = {"X_priv": _permuted_where_known(safe_indexing(X_priv, train), columns, rng)}
    if groups is not None:
        params["groups"] = groups[train]
    if X_unlabeled is not None:
        unlabeled = _permuted_where_known(as_array(X_priv_unlabeled, "X_priv"), columns, rng)
        params |= {"X_unlabeled": X_unlabeled, "X_priv_unlabeled": unlabeled}
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=seed)
    set_random_states(estimator, seed)
    estimator.fit(safe_indexing(X, train), y[train], **params)
    return check_scoring(estimator, scoring)(estimator, safe_indexing(X, test), y[test])


def _permuted_where_known(X_priv: Any, columns: np.ndarray, rng: np.random.RandomState) -> Any:
    known = np.flatnonzero(has_information(X_priv))
    order = np.arange(num_samples(X_priv))
    order[known] = rng.permutation(known)
    return _permuted(X_priv, columns, order)


def _permuted(X: Any, columns: np.ndarray, order: np.ndarray) -> Any:
    """Return a copy of X, with the rows of these columns in another order."""
    if hasattr(X, "iloc"):
        permuted = X.copy()
        for column in columns:
            permuted.isetitem(column, X.iloc[order, column].array)
        return permuted
    if hasattr(X, "with_columns"):  # polars
        names = [X.columns[column] for column in columns]
        return X.with_columns(X[order].get_column(name) for name in names)
    table = np.array(X, subok=True).reshape(len(X), -1)
    table[:, columns] = table[order][:, columns]
    return table.reshape(X.shape)


def _table(parts: list[Part], by: str, losses: np.ndarray) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([part.key for part in parts], names=KEYS[by])
    columns = {"importance": losses.mean(axis=1), "std": losses.std(axis=1)}
    table = pd.DataFrame(columns, index=index)
    return table if by == "both" else table.set_axis(index.get_level_values(0))
