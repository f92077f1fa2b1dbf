"""Compare methods over shared splits: gains, their intervals, and what they have to beat."""

import numpy as np
import pandas as pd
from scipy import stats

from sklearn_gkd.evaluation._protocol import LOSSES

RESULT_COLUMNS = ["method", "split", "metric", "value", "n_train", "n_test"]

TO_BEAT = ("student alone", "self-distillation")
"""What the same net does without privileged information: a gain counts over the better of them."""

CONFIDENCE = 0.95


def gain_table(results: pd.DataFrame, *, reference: str = "estimator") -> pd.DataFrame:
    """Compare one method with each of the others, by the corrected resampled t-test.

    Splits share rows, so that differences over J of them vary less than independent ones would.
    Their variance is therefore multiplied by 1/J + n_test / n_train instead of 1/J [1]_, and
    referred to Student's t with J - 1 degrees of freedom.

    A gain is of privileged information where the same net does not have it without. The method
    marked ``to_beat`` is therefore the better, by its mean, of ``student alone`` and
    ``self-distillation``: the gain over it is the one to report.

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
        - ``gain``: the reference's mean less this one or, of a loss (``log_loss``, ``brier``),
          this one less the reference's: positive where the reference is better;
        - ``low``, ``high``: its interval of 95 % confidence;
        - ``p_value``: of no difference, two-sided;
        - ``above_alone``: its own gain over the student alone; the teacher's is the headroom;
        - ``recovered``: the share of the headroom that this is, NaN without headroom;
        - ``to_beat``: whether it is the better of the student alone and self-distillation;
        - ``n_splits``: number of splits that have both methods.

        A single split has no interval and no p_value (NaN).

    Raises
    ------
    ValueError
        Where results lack a column or the reference, or have a split twice.

    See Also
    --------
    holm_corrected : Intervals that hold for many gains at a time.

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
    >>> table = gain_table(results).loc["accuracy"].rename_axis(None)
    >>> print(table.drop(columns=["to_beat", "n_splits"]).round(3).to_string())
                   mean  gain    low   high  p_value  above_alone  recovered
    estimator      0.65   NaN    NaN    NaN      NaN         0.05       0.25
    student alone  0.60  0.05  0.012  0.088    0.029         0.00       0.00
    teacher        0.80 -0.15 -0.215 -0.085    0.010         0.20       1.00
    >>> table.index[table["to_beat"]].item()
    'student alone'
    """
    check_results(results)
    methods = results["method"].unique()
    if reference not in methods:
        raise ValueError(f"reference={reference!r} is not in results; give one of {list(methods)}.")
    by_metric = results.groupby("metric", sort=False)
    tables = {metric: _compare(rows, metric, methods, reference) for metric, rows in by_metric}
    return pd.concat(tables, names=["metric", "method"])


def holm_corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Widen the intervals of many gains so that all of them hold at a time, by Holm's method.

    Of 60 comparisons that gain nothing, three have a p_value below 0.05. Here the k-th smallest of
    m p-values is multiplied by m - k + 1 [1]_, and the interval is the one that leaves out 0
    where the result is below 0.05: that of the confidence 1 - 0.05 / (m - k + 1), in which k stops
    at the first that is not.

    Parameters
    ----------
    table : DataFrame
        Rows of `gain_table`, of one or of several questions: all comparisons that are made.

    Returns
    -------
    DataFrame
        The same, with ``low``, ``high`` and ``p_value`` corrected. Rows without a p_value are no
        comparisons, and stay as they are.

    Raises
    ------
    ValueError
        Where the table lacks a column.

    References
    ----------
    .. [1] S. Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import holm_corrected
    >>> cells = pd.DataFrame({
    ...     "gain": [0.05, 0.01],
    ...     "low": [0.012, -0.02],
    ...     "high": [0.088, 0.04],
    ...     "p_value": [0.029, 0.36],
    ...     "n_splits": 3,
    ... }, index=["50 labels", "200 labels"])
    >>> print(holm_corrected(cells).round(3).to_string())
                gain    low   high  p_value  n_splits
    50 labels   0.05 -0.005  0.105    0.058         3
    200 labels  0.01 -0.033  0.053    0.360         3
    """
    _check_columns(table, ["gain", "high", "p_value", "n_splits"], "table", "gain_table")
    corrected = table.copy()
    p_values = table["p_value"].to_numpy(float)
    order = np.argsort(p_values, kind="stable")[: np.isfinite(p_values).sum()]
    n_left = len(order) - np.arange(len(order))
    adjusted = np.maximum.accumulate(n_left * p_values[order]).clip(max=1)
    n_left = np.maximum(n_left, len(order) - np.sum(adjusted < 1 - CONFIDENCE))
    rows = table.iloc[order]
    error = (rows["high"] - rows["gain"]) / t_quantile(CONFIDENCE, rows["n_splits"])
    margin = t_quantile(1 - (1 - CONFIDENCE) / n_left, rows["n_splits"]) * error
    for name, values in [
        ("low", rows["gain"] - margin),
        ("high", rows["gain"] + margin),
        ("p_value", adjusted),
    ]:
        corrected.iloc[order, corrected.columns.get_loc(name)] = np.asarray(values)
    return corrected


def t_quantile(confidence: float | np.ndarray, n_splits: pd.Series) -> np.ndarray:
    """Return how many standard errors an interval reaches to each side of a mean over splits."""
    return stats.t.ppf((1 + confidence) / 2, n_splits - 1)


def standard_error(variance: pd.Series, n_splits: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Return the standard error of means over splits, of rows of results, that share rows."""
    return np.sqrt((1 / n_splits + (rows["n_test"] / rows["n_train"]).mean()) * variance)


def check_results(
    results: pd.DataFrame, of: str = "privileged_gain", also: tuple[str, ...] = ()
) -> None:
    """Raise a ValueError unless results are a table as from a function, with its own columns."""
    _check_columns(results, [*RESULT_COLUMNS, *also], "results", of)
    if results.duplicated(["metric", "split", "method", *also]).any():
        raise ValueError("results have a split twice. Number the splits of joined results anew.")


def check_metric(results: pd.DataFrame, metric: str) -> None:
    """Raise a ValueError unless results have the metric."""
    metrics = list(results["metric"].unique())
    if metric not in metrics:
        raise ValueError(f"metric={metric!r} is not in results; give one of {metrics}.")


def _check_columns(table: pd.DataFrame, columns: list[str], name: str, of: str) -> None:
    missing = sorted(set(columns) - set(table.columns))
    if missing:
        verb = "lack" if name.endswith("s") else "lacks"
        raise ValueError(f"{name} {verb} {missing}. Give a table as from {of}.")


def _compare(rows: pd.DataFrame, metric: str, methods: np.ndarray, reference: str) -> pd.DataFrame:
    sign = -1 if metric in LOSSES else 1
    values = sign * rows.pivot_table("value", index="split", columns="method").reindex(
        columns=methods
    )
    difference = values.rsub(values[reference], axis=0)
    difference[reference] = np.nan
    n_splits = difference.count()
    error = standard_error(difference.var(), n_splits, rows)
    gain = difference.mean()
    margin = t_quantile(CONFIDENCE, n_splits) * error
    mean = values.mean()
    above_alone = mean - mean.get("student alone", np.nan)
    headroom = above_alone.get("teacher", np.nan)
    plain = mean.drop(reference).reindex(TO_BEAT).dropna()
    return pd.DataFrame(
        {
            "mean": sign * mean,
            "gain": gain,
            "low": gain - margin,
            "high": gain + margin,
            "p_value": 2 * stats.t.sf((gain / error).abs(), n_splits - 1),
            "above_alone": above_alone,
            "recovered": above_alone / (headroom if headroom > 0 else np.nan),
            "to_beat": mean.index == (plain.idxmax() if len(plain) else None),
            "n_splits": n_splits,
        }
    )
