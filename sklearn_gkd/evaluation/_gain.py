"""Measure the gain by privileged information, beside baselines and controls on the same splits."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from sklearn_gkd._common.compat import num_samples, safe_indexing
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import as_array, as_column
from sklearn_gkd._common.splitting import folds, hold_out
from sklearn_gkd._estimators._classifier import GKDClassifier
from sklearn_gkd._estimators._privileged import Pair, check_pairs, has_information
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd.evaluation._controls import FITS, Split
from sklearn_gkd.evaluation._protocol import scores

RESULT_COLUMNS = ["method", "split", "metric", "value", "n_train", "n_test"]


def privileged_gain(
    estimator,
    X,
    y,
    X_priv,
    *,
    cv=None,
    groups=None,
    X_unlabeled=None,
    X_priv_unlabeled=None,
    n_jobs=None,
    random_state=None,
) -> pd.DataFrame:
    """Measure what the estimator gains, and whether privileged information is the reason.

    A student that distils may be better than the same net alone because it was trained for longer,
    or because any teacher regularises it [1]_. So each split is also given to controls:

    - ``forest``: a random forest on X;
    - ``student alone``: the estimator with beta=0 and gamma=0, of the same seed;
    - ``student alone, longer``: the same, trained for the epochs of teacher and student together,
      without `n_iter_no_change` (a teacher that is no net counts as many as the student);
    - ``estimator``: as it is given;
    - ``teacher``: the estimator's teacher, with X_priv of the test rows: the bound;
    - ``permuted X_priv``: the estimator, with the training rows of X_priv in another order;
    - ``self-distillation``: the estimator, with X in the place of X_priv;
    - ``imputation``: X_priv is regressed from X on the training rows (by ridge regression), and a
      net sees X and what is regressed, in its training rows out of fold;
    - ``modality dropout``: a net of both, with X_priv set to its mean in half of the rows of each
      training batch, and in all rows to predict.

    The last two are the teacher's net or, where it does not see both views, the student's. Pairs
    without a label go to the teachers, and to the regression.

    Parameters
    ----------
    estimator : GKDClassifier
        Cloned, and fitted without its memory, with a seed for each split as its random_state.
    X : array-like of shape (n, T, C) or (n, T * C)
        Series, complete: fill gaps first (`eo.GapFiller`).
    y : array-like of shape (n,)
        Class of each row.
    X_priv : array-like of shape (n, T', C') or (n, T' * C')
        Privileged information. A training row that is NaN throughout has none; a test row must
        have some, for the teacher. The estimator's priv_transformer must fill gaps within a row.
    cv : int, splitter or iterable, default=None
        The splits that all methods share. None: ten random ones that test on 30 % of the rows,
        stratified by class or, with groups, of whole groups. An int: that many stratified folds.
    groups : array-like of shape (n,), default=None
        For the splits, and for those into training and validation rows.
    X_unlabeled, X_priv_unlabeled : array-like, default=None
        Pairs without a label, the same for every split: see `GKDClassifier.fit`.
    n_jobs : int, default=None
        Number of fits at a time, as in joblib.
    random_state : int, RandomState instance or None, default=None
        Rules every draw.

    Returns
    -------
    DataFrame
        A row for each split, method and metric (those of `scores`), with columns ``method``,
        ``split``, ``metric``, ``value``, ``n_train`` and ``n_test``.

    Raises
    ------
    TypeError
        Where the estimator is no GKDClassifier.
    ValueError
        Where it has nothing to distil, or a test row has no X_priv.

    See Also
    --------
    gain_table : Differences and their intervals.
    evaluation.GainDisplay : Draws them.

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
    {'forest': 6, 'student alone': 6, 'student alone, longer': 6, 'estimator': 6, 'teacher': 6,
    'permuted X_priv': 6, 'self-distillation': 6, 'imputation': 6, 'modality dropout': 6}
    """
    check_rows(X=X, y=y, X_priv=X_priv, groups=groups)
    X, X_priv, y = as_array(X, "X"), as_array(X_priv, "X_priv"), as_column(y, "y")
    groups = None if groups is None else as_column(groups, "groups")
    unlabeled = Pair("X_unlabeled", X_unlabeled, "X_priv_unlabeled", X_priv_unlabeled, False)
    _check_gain(estimator, X, y, X_priv, groups, unlabeled)
    rng = check_random_state(random_state)
    if cv is None:
        splits = [hold_out(y, 0.3, groups=groups, random_state=rng) for _ in range(10)]
    else:
        [seed] = draw_seeds(rng, 1)
        splits = folds(cv, y, np.arange(len(y)), groups, seed, "cv")
    _check_teacher_can_be_tested(X_priv, [test for _, test in splits])
    seeds = draw_seeds(rng, len(splits))
    data = (X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled)
    measured = Parallel(n_jobs=n_jobs)(
        delayed(_measure)(fit, estimator, seed, *data, train, test)
        for seed, (train, test) in zip(seeds, splits, strict=True)
        for fit in FITS
    )
    rows = [
        (method, number // len(FITS), metric, value, *sizes)
        for number, (of_methods, *sizes) in enumerate(measured)
        for method, of_method in of_methods.items()
        for metric, value in of_method.items()
    ]
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def _check_gain(estimator, X, y, X_priv, groups, unlabeled) -> None:
    if not isinstance(estimator, GKDClassifier):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, whose student and teacher cannot be told "
            "apart. Give a GKDClassifier, and transform X before; X_priv has priv_transformer."
        )
    estimator._validate_params()
    if estimator.beta == 0 and estimator.gamma == 0:
        raise ValueError(
            "estimator has beta=0 and gamma=0: it has no teacher, and X_priv gains nothing. Set "
            "one of them above 0."
        )
    has_information(X_priv)
    check_pairs(Pair("X", X, "X_priv", X_priv), unlabeled)
    n_rows = num_samples(X)
    for name, values in [("y", y), ("groups", groups)]:
        if values is not None and len(values) != n_rows:
            raise ValueError(
                f"{name} has {len(values)} rows and X has {n_rows}. Give one for each row."
            )


def _check_teacher_can_be_tested(X_priv, tests) -> None:
    tested = np.unique(np.concatenate(tests))
    n_unknown = np.sum(~has_information(X_priv)[tested])
    if n_unknown:
        raise ValueError(
            f"X_priv is NaN throughout in {n_unknown} of the {len(tested)} rows that are tested "
            "on, where the teacher needs it. Leave these rows out, or give a cv that only trains "
            "on them."
        )


def _measure(
    fit, estimator, seed, X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled, train, test
):
    """Return the scores of each method of one fit, and the sizes of training and test."""
    split = Split(
        X=safe_indexing(X, train),
        y=y[train],
        X_priv=safe_indexing(X_priv, train),
        groups=None if groups is None else groups[train],
        X_unlabeled=X_unlabeled,
        X_priv_unlabeled=X_priv_unlabeled,
        X_test=safe_indexing(X, test),
        X_priv_test=safe_indexing(X_priv, test),
    )
    predicted = fit(clone(estimator).set_params(memory=None, random_state=seed), split)
    predictions = predicted if isinstance(predicted, tuple) else (predicted,)
    of_methods = zip(FITS[fit], predictions, strict=True)
    return {m: scores(y[test], y_pred) for m, y_pred in of_methods}, len(train), len(test)


def gain_table(results: pd.DataFrame, *, reference: str = "estimator") -> pd.DataFrame:
    """Compare one method with each of the others, by the corrected resampled t-test.

    Splits share rows, so that differences over J of them vary less than independent ones would.
    Their variance is therefore multiplied by 1/J + n_test / n_train instead of 1/J [1]_, and
    referred to Student's t with J - 1 degrees of freedom.

    Parameters
    ----------
    results : DataFrame
        As from `privileged_gain`; methods of your own may be added to the same splits.
    reference : str, default="estimator"
        The method that is compared with the others.

    Returns
    -------
    DataFrame
        Indexed by metric and method, with columns

        - ``mean``: over the splits;
        - ``gain``: the reference's mean less this one;
        - ``low``, ``high``: its interval of 95 % confidence;
        - ``p_value``: of no difference, two-sided;
        - ``above_alone``: the mean less that of the student alone; the teacher's is the headroom;
        - ``recovered``: the share of the headroom that this is, NaN without headroom.

        A single split has no interval and no p_value (NaN).

    Raises
    ------
    ValueError
        Where results lack a column or the reference, or have a split twice.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio (2003), "Inference for the Generalization Error", Machine Learning
       52, section 4: the corrected resampled t-test.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import gain_table
    >>> results = pd.DataFrame({
    ...     "method": ["estimator", "student alone", "teacher"] * 3,
    ...     "split": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    ...     "metric": "accuracy",
    ...     "value": [0.66, 0.60, 0.80, 0.62, 0.58, 0.76, 0.67, 0.62, 0.84],
    ...     "n_train": 70,
    ...     "n_test": 30,
    ... })
    >>> print(gain_table(results).loc["accuracy"].round(3).rename_axis(None).to_string())
                   mean  gain    low   high  p_value  above_alone  recovered
    estimator      0.65   NaN    NaN    NaN      NaN         0.05       0.25
    student alone  0.60  0.05  0.012  0.088    0.029         0.00       0.00
    teacher        0.80 -0.15 -0.215 -0.085    0.010         0.20       1.00
    """
    check_results(results)
    methods = results["method"].unique()
    if reference not in methods:
        raise ValueError(f"reference={reference!r} is not in results; give one of {list(methods)}.")
    by_metric = results.groupby("metric", sort=False)
    tables = {metric: _compare(rows, methods, reference) for metric, rows in by_metric}
    return pd.concat(tables, names=["metric", "method"])


def check_results(results: pd.DataFrame) -> None:
    """Raise a ValueError unless results are a table as from `privileged_gain`."""
    missing = sorted(set(RESULT_COLUMNS) - set(results.columns))
    if missing:
        raise ValueError(f"results lack {missing}. Give a table as from privileged_gain.")
    if results.duplicated(["metric", "split", "method"]).any():
        raise ValueError("results have a split twice. Number the splits of joined results anew.")


def _compare(rows: pd.DataFrame, methods, reference: str) -> pd.DataFrame:
    values = rows.pivot_table("value", index="split", columns="method").reindex(columns=methods)
    difference = values.rsub(values[reference], axis=0)
    difference[reference] = np.nan
    n_splits = difference.count()
    correction = 1 / n_splits + (rows["n_test"] / rows["n_train"]).mean()
    error = np.sqrt(correction * difference.var())
    gain = difference.mean()
    margin = stats.t.ppf(0.975, n_splits - 1) * error
    mean = values.mean()
    above_alone = mean - mean.get("student alone", np.nan)
    headroom = above_alone.get("teacher", np.nan)
    return pd.DataFrame(
        {
            "mean": mean,
            "gain": gain,
            "low": gain - margin,
            "high": gain + margin,
            "p_value": 2 * stats.t.sf((gain / error).abs(), n_splits - 1),
            "above_alone": above_alone,
            "recovered": above_alone / (headroom if headroom > 0 else np.nan),
        }
    )
