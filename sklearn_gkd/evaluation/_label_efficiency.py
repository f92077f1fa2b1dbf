"""Measure the score by the number of labels and of pairs, and what pairs are worth in labels."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression
from sklearn.utils import check_random_state
from sklearn.utils.parallel import delayed

from sklearn_gkd._common.targets import strata
from sklearn_gkd._estimators._privileged import has_information
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd.evaluation._controls import distillation, self_distillation, student_alone
from sklearn_gkd.evaluation._gain_table import RESULT_COLUMNS, check_metric, check_results
from sklearn_gkd.evaluation._measuring import Data, check_estimator, measure, run
from sklearn_gkd.evaluation._protocol import LOSSES

METHODS: dict[Callable[..., Any], str] = {
    student_alone: "student alone",
    self_distillation: "self-distillation",
    distillation: "estimator",
}

CELL = ("n_labels", "n_pairs")
"""What each cell of the results is of."""


class Cell(NamedTuple):
    """Rows of X with their label, and rows of X_unlabeled, of the pairs that are asked for."""

    labelled: np.ndarray
    pairs: np.ndarray
    n_pairs: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of labels, of pairs as asked for, and of pairs that there are."""
        return len(self.labelled), self.n_pairs, len(self.pairs)


def label_efficiency(
    estimator: Any,
    X: Any,
    y: Any,
    X_priv: Any,
    *,
    X_unlabeled: Any = None,
    X_priv_unlabeled: Any = None,
    n_labels: Any = (50, 200, 800),
    n_pairs: Any = (0, 1000),
    cv: Any = None,
    groups: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure the score by the number of labels, with and without pairs that have none.

    Both image stacks give pairs without a label for nothing, and labels cost a visit to the field:
    this tells what the first are worth in the second. For each number of labels and of pairs,
    these methods are fitted in each split, on the same rows and by the same seed:

    - ``student alone``: the estimator with beta=0 and gamma=0, on the labelled rows alone. With
      `max_epochs` as a number it takes as many steps as the estimator's student does with the
      pairs, and so is another for each number of pairs;
    - ``self-distillation``: the estimator, with X in the place of X_priv, on the same pairs;
    - ``estimator``: as it is given, on labelled rows and pairs.

    Labels are drawn from the training rows, each class by its share, but two or more of each (one
    of a class that has one), and those of a quantity at random: those of a smaller number are among
    those of a larger. So are pairs.

    Parameters
    ----------
    estimator : GKDClassifier or GKDRegressor
        Cloned, and fitted without its memory, with a seed for each split as its random_state.
    X : array-like of shape (n, T, C) or (n, T * C)
        Series, complete: fill gaps first (`eo.GapFiller`).
    y : array-like of shape (n,), or (n, k) of a regressor
        Class of each row, or its number or numbers.
    X_priv : array-like of shape (n, T', C') or (n, T' * C')
        Privileged information. A row that is NaN throughout has none, and is no pair.
    X_unlabeled, X_priv_unlabeled : array-like, default=None
        Pairs without a label to draw from, the same for every split: with groups, they should lie
        apart from all of X. None: the training rows of the split that are left without their
        label, which with groups share none with the test rows.
    n_labels : sequence of int, default=(50, 200, 800)
        Numbers of labels.
    n_pairs : sequence of int, default=(0, 1000)
        Numbers of pairs. Where there are not as many, all are taken: see ``n_pairs_used``.
    cv : int, splitter or iterable, default=None
        The splits that all methods share, as in `privileged_gain`.
    groups : array-like of shape (n,), default=None
        For the splits, and for those into training and validation rows.
    n_jobs : int, default=None
        Number of fits at a time, as in joblib. On a screen, a bar shows how many are done.
    random_state : int, RandomState instance or None, default=None
        Rules every draw.

    Returns
    -------
    DataFrame
        A row for each split, number of labels and of pairs, method and metric, with the columns
        of `privileged_gain` and ``n_labels``, ``n_pairs`` (as asked for) and ``n_pairs_used``.
        ``n_train`` counts all training rows of the split, with or without their label: splits are
        as alike as they share them. `gain_table` compares the methods of one cell,
        ``results.query("n_labels == 50 and n_pairs == 1000")``.

    Raises
    ------
    TypeError
        Where the estimator is no GKDClassifier or GKDRegressor.
    ValueError
        Where it has nothing to distil, or a split has too few rows for a number of labels, or a
        number of labels too few for the classes.

    See Also
    --------
    worth_in_labels : What pairs are worth in labels.
    LabelEfficiencyDisplay : Draws both.

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.evaluation import label_efficiency
    >>> from sklearn_gkd.networks import SeriesNet
    >>> sits = make_sits(200, n_unlabeled=100, random_state=0)
    >>> net = SeriesNet("mlp", module__width=16, max_epochs=1)
    >>> results = label_efficiency(
    ...     GKDClassifier(net, net), sits.X_s1, sits.y, sits.X_s2, X_unlabeled=sits.X_unlabeled,
    ...     X_priv_unlabeled=sits.X_priv_unlabeled, n_labels=[20, 80], n_pairs=[0, 100], cv=2,
    ... )
    >>> results.groupby(["n_labels", "n_pairs"])["method"].nunique().to_dict()
    {(20, 0): 3, (20, 100): 3, (80, 0): 3, (80, 100): 3}
    """
    check_estimator(estimator)
    data = Data.checked(estimator, X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled)
    n_labels, n_pairs = _counts(n_labels, "n_labels", 1), _counts(n_pairs, "n_pairs", 0)
    rng = check_random_state(random_state)
    splits = data.splits(cv, rng)
    from_training = X_unlabeled is None
    if from_training:
        data = data._replace(X_unlabeled=data.X, X_priv_unlabeled=data.X_priv)
    cells = [
        (number, cell)
        for number, (train, _) in enumerate(splits)
        for cell in _draw_cells(data, train, from_training, n_labels, n_pairs, rng)
    ]
    _check_teachable(data.X_priv, [cell for _, cell in cells])
    seeds = draw_seeds(rng, len(splits))
    of_fits = [(fit, number, cell) for number, cell in cells for fit in METHODS]
    measured = run(
        (
            delayed(measure)(
                fit, estimator, seeds[number], data, cell.labelled, splits[number][1], cell.pairs
            )
            for fit, number, cell in of_fits
        ),
        n_jobs,
    )
    rows = [
        (METHODS[fit], number, metric, value, *map(len, splits[number]), *cell.sizes)
        for (fit, number, cell), [of_method] in zip(of_fits, measured, strict=True)
        for metric, value in of_method.items()
    ]
    return pd.DataFrame(rows, columns=[*RESULT_COLUMNS, *CELL, "n_pairs_used"])


def worth_in_labels(results: pd.DataFrame, *, metric: str = "f_measure") -> pd.DataFrame:
    """Tell how many labels the student alone needs for the score that pairs reach.

    The scores of the student alone, made to rise with the labels by isotonic regression, are
    interpolated in the logarithm of the number of labels. Where it was fitted for several numbers
    of steps, the best of them counts.

    Parameters
    ----------
    results : DataFrame
        As from `label_efficiency`.
    metric : str, default="f_measure"
        One of the metrics in results; of a quantity ``"r2"``, ``"rmse"`` or ``"mae"``.

    Returns
    -------
    DataFrame
        Indexed by ``n_labels`` and ``n_pairs``, with columns

        - ``student_alone``, ``estimator``: means over the splits;
        - ``labels_alone``: labels that the student alone needs for the estimator's mean; NaN where
          that is above or below all that the student alone reaches;
        - ``told``: the same as a text, then such as "> 800" or "< 50";
        - ``labels_per_pair``: labels that a pair saves, NaN without pairs.

    Raises
    ------
    ValueError
        Where results lack a column, a method or the metric.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import worth_in_labels
    >>> results = pd.DataFrame({
    ...     "method": ["student alone", "estimator"] * 2,
    ...     "split": 0,
    ...     "metric": "f_measure",
    ...     "value": [0.5, 0.6, 0.7, 0.75],
    ...     "n_train": 700,
    ...     "n_test": 300,
    ...     "n_labels": [50, 50, 200, 200],
    ...     "n_pairs": 500,
    ...     "n_pairs_used": 500,
    ... })
    >>> worth_in_labels(results)["told"].to_dict()
    {(50, 500): '100', (200, 500): '> 200'}
    """
    check_efficiency(results, metric)
    rows = results[results["metric"] == metric]
    means = rows.groupby(["method", *CELL])[["value", "n_pairs_used"]].mean()
    sign = -1 if metric in LOSSES else 1
    alone = of_best_steps(means.loc["student alone"], "value", metric)["value"]
    labels = alone.index.to_numpy()
    curve = isotonic_regression(sign * alone.to_numpy())
    table = means.loc["estimator"].rename(columns={"value": "estimator"})
    of_rows = table.index.get_level_values("n_labels")
    table.insert(0, "student_alone", alone.loc[of_rows].to_numpy())
    needed = [_labels_needed(sign * value, labels, curve) for value in table["estimator"]]
    table["labels_alone"], table["told"] = zip(*needed, strict=True)
    used = table.pop("n_pairs_used")
    return table.assign(labels_per_pair=(table["labels_alone"] - of_rows) / used.where(used > 0))


def of_best_steps(alone: pd.DataFrame, column: str, metric: str) -> pd.DataFrame:
    """Return the student alone by number of labels: for each, of the steps that suit it best."""
    sign = -1 if metric in LOSSES else 1
    best = (sign * alone[column]).groupby("n_labels").idxmax()
    return alone.loc[best.tolist()].droplevel("n_pairs")


def check_efficiency(results: pd.DataFrame, metric: str) -> None:
    """Raise a ValueError unless results are as from `label_efficiency`, and have the metric."""
    check_results(results, "label_efficiency", CELL)
    check_metric(results, metric)
    missing = {"student alone", "estimator"} - set(results["method"])
    if missing:
        raise ValueError(
            f"results lack the method {min(missing)!r}. Give a table as from label_efficiency."
        )


def _labels_needed(score: float, labels: np.ndarray, curve: np.ndarray) -> tuple[float, str]:
    """Return where a rising curve first reaches a score, and how to tell it."""
    if score > curve[-1]:
        return np.nan, f"> {labels[-1]}"
    if score < curve[0]:
        return np.nan, f"< {labels[0]}"
    after = int(np.searchsorted(curve, score))
    between = slice(max(after - 1, 0), after + 1)
    needed = float(np.exp(np.interp(score, curve[between], np.log(labels[between]))))
    return needed, f"{needed:.0f}"


def _counts(counts: Any, name: str, least: int) -> list[int]:
    """Return different whole numbers, in order."""
    counts = np.atleast_1d(counts).tolist()
    if not counts or any(not isinstance(n, Integral) or n < least for n in counts):
        raise ValueError(f"{name}={counts} is no sequence of whole numbers of {least} or more.")
    return sorted(set(counts))


def _draw_cells(
    data: Data,
    train: np.ndarray,
    from_training: bool,
    n_labels: list[int],
    n_pairs: list[int],
    rng: np.random.RandomState,
) -> list[Cell]:
    """Draw the rows of each number of labels and of pairs, of one split."""
    y = data.y[train]
    _check_labels(n_labels, y)
    ordered = train[_stratified_order(y, rng)]
    pool = rng.permutation(data.pairs)
    if from_training:
        pool = pool[np.isin(pool, train)]
    cells = []
    for labels in n_labels:
        labelled = np.sort(ordered[:labels])
        others = pool[~np.isin(pool, labelled)] if from_training else pool
        cells += [Cell(labelled, np.sort(others[:pairs]), pairs) for pairs in n_pairs]
    return cells


def _stratified_order(y: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return rows in an order that begins with two of each class, and has each by its share.

    Rows of numbers are in any order.
    """
    y = strata(y)
    place = np.empty(len(y))
    for name in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == name))
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        place[rows[:2]] -= 1
    return np.lexsort((rng.uniform(size=len(y)), place))


def _check_labels(n_labels: list[int], y: np.ndarray) -> None:
    _, counts = np.unique(strata(y), return_counts=True)
    least = np.minimum(counts, 2).sum()
    if n_labels[0] < least:
        raise ValueError(
            f"n_labels={n_labels} has {n_labels[0]}, too few for two of each of {len(counts)} "
            f"classes. Give {least} or more."
            if y.ndim == 1
            else f"n_labels={n_labels} has {n_labels[0]}. Give {least} or more."
        )
    if n_labels[-1] > len(y):
        raise ValueError(
            f"n_labels={n_labels} has {n_labels[-1]}, and a split has {len(y)} training rows. "
            "Give fewer labels, or more rows."
        )


def _check_teachable(X_priv: Any, cells: list[Cell]) -> None:
    known = has_information(X_priv)
    fewest = min(known[cell.labelled].sum() for cell in cells)
    if fewest < 2:
        raise ValueError(
            f"X_priv is NaN throughout in all but {fewest} rows of a drawn set of labels, and a "
            "teacher needs two or more. Give larger n_labels, or leave rows without X_priv out."
        )
