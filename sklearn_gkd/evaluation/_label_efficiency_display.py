"""Figure of the score by the number of labels, and of what pairs are worth in labels."""

from typing import Any, Self

import numpy as np
import pandas as pd

from sklearn_gkd.evaluation._displays import ABOVE, COLOURS, METRIC_NAMES, pyplot, unit
from sklearn_gkd.evaluation._gain_table import CONFIDENCE, standard_error, t_quantile
from sklearn_gkd.evaluation._label_efficiency import (
    CELL,
    check_efficiency,
    of_best_steps,
    worth_in_labels,
)


class LabelEfficiencyDisplay:
    """Score by the number of labels, with and without pairs, and what pairs are worth in labels.

    From each score with the most pairs, a line leads to where the student alone reaches it, with
    the number of labels that it needs for that. Bands are intervals of 95 % confidence.

    Parameters
    ----------
    means : DataFrame
        ``mean``, ``low``, ``high`` (of 95 % confidence) and ``n_pairs_used``, indexed by
        ``method``, ``n_labels`` and ``n_pairs``.
    worth : DataFrame
        As from `evaluation.worth_in_labels`.
    metric : str
        Name of the metric.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import LabelEfficiencyDisplay
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
    >>> display = LabelEfficiencyDisplay.from_results(results)
    >>> [text.get_text() for text in display.ax_.texts]
    ['= 100 labels', '> 200 labels']
    """

    def __init__(self, means: pd.DataFrame, worth: pd.DataFrame, metric: str):
        self.means = means
        self.worth = worth
        self.metric = metric

    @classmethod
    def from_results(
        cls, results: pd.DataFrame, *, metric: str = "f_measure", ax: Any = None
    ) -> Self:
        """Draw the scores.

        Parameters
        ----------
        results : DataFrame
            As from `evaluation.label_efficiency`.
        metric : str, default="f_measure"
            One of the metrics in results.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LabelEfficiencyDisplay
            With its figure drawn.
        """
        check_efficiency(results, metric)
        rows = results[results["metric"] == metric]
        by_cell = rows.groupby(["method", *CELL])
        values, n_splits = by_cell["value"], by_cell["split"].nunique()
        margin = t_quantile(CONFIDENCE, n_splits) * standard_error(values.var(), n_splits, rows)
        means = pd.DataFrame(
            {
                "mean": values.mean(),
                "low": values.mean() - margin,
                "high": values.mean() + margin,
                "n_pairs_used": by_cell["n_pairs_used"].mean(),
            }
        )
        return cls(means, worth_in_labels(results, metric=metric), metric).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a line for each method and number of pairs, and the intervals of two of them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LabelEfficiencyDisplay
            With its figure drawn.
        """
        if ax is None:
            ax = pyplot().subplots(figsize=(7, 4.5), layout="constrained")[1]
        scale, name_of_unit = unit(self.metric)
        n_pairs = sorted(self.worth.index.unique("n_pairs"))
        alone = of_best_steps(self.means.loc["student alone"], "mean", self.metric)
        self._draw(ax, alone, "student alone", color=COLOURS["baseline"], marker="s")
        if "self-distillation" in self.means.index:
            taught = self.means.loc["self-distillation"].xs(n_pairs[-1], level="n_pairs")
            style = {"color": COLOURS["baseline"], "linestyle": "--", "marker": "^"}
            self._draw(ax, taught, f"self-distillation, {_told(taught)}", shaded=False, **style)
        for pairs, strength in zip(n_pairs, np.linspace(0.3, 1, len(n_pairs) + 1)[1:], strict=True):
            points = self.means.loc["estimator"].xs(pairs, level="n_pairs")
            style = {"color": COLOURS["student"], "alpha": strength, "marker": "o"}
            is_most = pairs == n_pairs[-1]
            self._draw(ax, points, f"estimator, {_told(points)}", shaded=is_most, **style)
        for labels, row in self.worth.xs(n_pairs[-1], level="n_pairs").iterrows():
            self._draw_worth(ax, labels, scale * row["estimator"], row)
        labels = self.worth.index.unique("n_labels")
        ax.set(
            xscale="log",
            xlabel="labels",
            ylabel=METRIC_NAMES.get(self.metric, self.metric) + name_of_unit,
        )
        ax.set_xticks(labels, labels=[f"{n:,}" for n in labels])
        ax.minorticks_off()
        ax.legend(**ABOVE)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(
        self, ax: Any, points: pd.DataFrame, label: str, *, shaded: bool = True, **style: Any
    ) -> None:
        drawn = unit(self.metric)[0] * points[["mean", "low", "high"]]
        ax.plot(drawn.index, drawn["mean"], label=label, **style)
        if shaded:
            shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(drawn.index, drawn["low"], drawn["high"], **shade)

    def _draw_worth(self, ax: Any, labels: int, score: float, row: pd.Series) -> None:
        """Lead from a score to where the student alone reaches it."""
        needed, told = row["labels_alone"], f"{row['told']} labels"
        style = {"color": COLOURS["student"], "textcoords": "offset points"}
        if np.isfinite(needed):
            ax.plot([labels, needed], [score, score], ":", color=COLOURS["student"], linewidth=1.2)
            ax.annotate(f"= {told}", (needed, score), xytext=(5, -12), **style)
        else:
            ax.annotate(told, (labels, score), xytext=(0, 7), ha="right", **style)


def _told(points: pd.DataFrame) -> str:
    """Return how many pairs points have, where those of more labels may have fewer."""
    used = points["n_pairs_used"].round().astype(int)
    if used.max() == 0:
        return "no pairs"
    return f"{'up to ' if used.min() < used.max() else ''}{used.max():,} pairs"
