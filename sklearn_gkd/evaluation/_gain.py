"""Measure the gain by privileged information, beside baselines and controls on the same splits."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.parallel import delayed

from sklearn_gkd._estimators._privileged import has_information
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd.evaluation._controls import FITS, fits_of_sources
from sklearn_gkd.evaluation._gain_table import RESULT_COLUMNS
from sklearn_gkd.evaluation._measuring import Data, check_estimator, measure, run


def privileged_gain(
    estimator: Any,
    X: Any,
    y: Any,
    X_priv: Any,
    *,
    cv: Any = None,
    groups: Any = None,
    X_unlabeled: Any = None,
    X_priv_unlabeled: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Measure what the estimator gains, and whether privileged information is the reason.

    A student that distils may be better than the same net alone because it was trained for longer,
    or because any teacher regularises it [1]_. So each split is also given to controls:

    - ``forest``: a random forest on X;
    - ``student alone``: the estimator with beta=0 and gamma=0, of the same seed, for as many steps
      as the estimator's student takes (with `max_epochs` and pairs, for more epochs than its own;
      where `max_epochs` is None, for the passes that suit its own rows);
    - ``student alone, longer``: the same, for the steps of teacher and student together, without
      `n_iter_no_change` (a teacher that is no net counts as many as the student);
    - ``estimator``: as it is given;
    - ``teacher``: the estimator's teacher, with X_priv of the test rows: the bound;
    - ``permuted X_priv``: the estimator, with the training rows of X_priv in another order;
    - ``self-distillation``: the estimator, with X in the place of X_priv, on the same pairs;
    - ``imputation``: X_priv is regressed from X on the training rows (by ridge regression), and a
      net sees X and what is regressed, in its training rows out of fold;
    - ``modality dropout``: a net of both, with X_priv set to its mean in half of the rows of each
      training batch, and in all rows to predict.

    The last two are the teacher's net or, where it does not see both views, the student's, for as
    many steps as the estimator's student takes. Pairs without a label go to the teachers, and to
    the regression. What each of several `priv_sources` adds is told by the estimator with it alone
    (``optical alone``) and, of three or more, with all others (``no optical``). What counts is the
    gain over the better of the student alone and self-distillation: ``to_beat`` of `gain_table`.

    Parameters
    ----------
    estimator : GKDClassifier or GKDRegressor
        Cloned, and fitted without its memory, with a seed for each split as its random_state.
    X : array-like of shape (n, T, C) or (n, T * C)
        Series, complete: fill gaps first (`eo.GapFiller`).
    y : array-like of shape (n,), or (n, k) of a regressor
        Class of each row, or its number or numbers.
    X_priv : array-like of shape (n, T', C') or (n, T' * C')
        Privileged information. A training row that is NaN throughout has none; a test row must
        have some, for the teacher. The estimator's priv_transformer must fill gaps within a row.
    cv : int, splitter or iterable, default=None
        The splits that all methods share. None: ten random ones that test on 30 % of the rows,
        stratified by class or, with groups, of whole groups. An int: that many stratified folds.
        Numbers are not stratified.
    groups : array-like of shape (n,), default=None
        For the splits, and for those into training and validation rows.
    X_unlabeled, X_priv_unlabeled : array-like, default=None
        Pairs without a label, the same for every split: see `GKDClassifier.fit`.
    n_jobs : int, default=None
        Number of fits at a time, as in joblib. On a screen, a bar shows how many are done.
    random_state : int, RandomState instance or None, default=None
        Rules every draw.

    Returns
    -------
    DataFrame
        A row for each split, method and metric (those of `scores` with probabilities or, of a
        regressor, of `quantity_scores`), with columns ``method``, ``split``, ``metric``,
        ``value``, ``n_train`` and ``n_test``.

    Raises
    ------
    TypeError
        Where the estimator is no GKDClassifier or GKDRegressor.
    ValueError
        Where it has nothing to distil, or a test row has no X_priv.

    See Also
    --------
    gain_table : Differences and their intervals.
    GainDisplay : Draws them.

    References
    ----------
    .. [1] D. Provodin, B. van den Akker, C. Katsimerou, M. Kaptein, M. Pechenizkiy (2024),
       "Rethinking Knowledge Transfer in Learning Using Privileged Information", arXiv 2408.14319.

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.evaluation import privileged_gain
    >>> from sklearn_gkd.networks import SeriesNet
    >>> sits = make_sits(100, random_state=0)
    >>> net = SeriesNet("mlp", module__width=16, max_epochs=1)
    >>> results = privileged_gain(
    ...     GKDClassifier(net, net), sits.X_s1, sits.y, sits.X_s2, cv=2, random_state=0
    ... )
    >>> results.groupby("method", sort=False).size().to_dict()
    {'forest': 12, 'student alone': 12, 'student alone, longer': 12, 'estimator': 12, 'teacher': 12,
    'permuted X_priv': 12, 'self-distillation': 12, 'imputation': 12, 'modality dropout': 12}
    """
    check_estimator(estimator)
    data = Data.checked(estimator, X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled)
    rng = check_random_state(random_state)
    splits = data.splits(cv, rng)
    _check_teacher_can_be_tested(data.X_priv, [test for _, test in splits])
    seeds = draw_seeds(rng, len(splits))
    methods = {**FITS, **fits_of_sources(estimator)}
    of_fits = [(number, fit) for number in range(len(splits)) for fit in methods]
    measured = run(
        (
            delayed(measure)(fit, estimator, seeds[number], data, *splits[number], data.pairs)
            for number, fit in of_fits
        ),
        n_jobs,
    )
    rows = [
        (method, number, metric, value, *map(len, splits[number]))
        for (number, fit), of_methods in zip(of_fits, measured, strict=True)
        for method, of_method in zip(methods[fit], of_methods, strict=True)
        for metric, value in of_method.items()
    ]
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def _check_teacher_can_be_tested(X_priv: Any, tests: list[np.ndarray]) -> None:
    tested = np.unique(np.concatenate(tests))
    n_unknown = np.sum(~has_information(X_priv)[tested])
    if n_unknown:
        raise ValueError(
            f"X_priv is NaN throughout in {n_unknown} of the {len(tested)} rows that are tested "
            "on, where the teacher needs it. Leave these rows out, or give a cv that only trains "
            "on them."
        )
