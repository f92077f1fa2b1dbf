"""Figures, in scikit-learn's Display form: made by a class method, drawn again by `plot`."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.evaluation._gain_table import check_metric, check_results, gain_table
from sklearn_gkd.evaluation._protocol import LOSSES, class_f_measures

METRIC_NAMES = {
    "f_measure": "F-measure",
    "macro_f": "macro F-measure",
    "log_loss": "log loss",
    "brier": "Brier score",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
}

ABOVE = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2, "frameon": False}

SCORES = {"valid_acc": "validation accuracy", "valid_score": "validation score (minus the loss)"}

COLOURS = {"teacher": "tab:orange", "student": "tab:blue", "baseline": "0.45"}


class GainDisplay:
    """Gain of the estimator over each other method, with its interval.

    To the right of 0 the estimator is better, of a loss too. The title has the gain that counts:
    over the better of the student alone and self-distillation, whose name is bold.

    Parameters
    ----------
    table : DataFrame
        One metric's rows of `evaluation.gain_table`.
    differences : DataFrame of shape (n_splits, n_methods)
        The gain over each method, in each split.
    metric : str
        Name of the metric.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import GainDisplay
    >>> results = pd.DataFrame({
    ...     "method": ["estimator", "student alone"] * 3,
    ...     "split": [0, 0, 1, 1, 2, 2],
    ...     "metric": "accuracy",
    ...     "value": [0.66, 0.60, 0.62, 0.58, 0.67, 0.62],
    ...     "n_train": 70,
    ...     "n_test": 30,
    ... })
    >>> display = GainDisplay.from_results(results, metric="accuracy")
    >>> display.ax_.get_xlabel()
    'accuracy of the estimator less that of the method (points)'
    """

    def __init__(self, table: pd.DataFrame, differences: pd.DataFrame, metric: str):
        self.table = table
        self.differences = differences
        self.metric = metric

    @classmethod
    def from_results(
        cls, results: pd.DataFrame, *, metric: str = "f_measure", ax: Any = None
    ) -> Self:
        """Draw the gains.

        Parameters
        ----------
        results : DataFrame
            As from `evaluation.privileged_gain`.
        metric : str, default="f_measure"
            One of the metrics in results.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GainDisplay
            With its figure drawn.
        """
        check_results(results)
        check_metric(results, metric)
        rows = results[results["metric"] == metric]
        if "estimator" not in set(rows["method"]):
            raise ValueError(
                "results have no method 'estimator', whose gains are drawn. Give a table as from "
                "privileged_gain."
            )
        table = gain_table(rows).loc[metric].drop(index="estimator")
        values = rows.pivot_table("value", index="split", columns="method")
        sign = -1 if metric in LOSSES else 1
        differences = sign * values[table.index].rsub(values["estimator"], axis=0)
        return cls(table, differences, metric).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the mean difference and its interval over each method, and those of the splits.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GainDisplay
            With its figure drawn.
        """
        n_methods = len(self.table)
        if ax is None:
            ax = pyplot().subplots(figsize=(7, 1.4 + 0.4 * n_methods), layout="constrained")[1]
        position = np.arange(n_methods)
        scale, _ = unit(self.metric)
        points = scale * self.table[["gain", "low", "high"]]
        for i, method in enumerate(self.table.index):
            of_splits = scale * self.differences[method]
            label = "one split" if i == 0 else None
            ax.plot(
                of_splits, np.full(len(of_splits), i + 0.25), "o", color="0.7", ms=4, label=label
            )
        ax.errorbar(
            points["gain"],
            position,
            xerr=[points["gain"] - points["low"], points["high"] - points["gain"]],
            fmt="o",
            color=COLOURS["student"],
            capsize=3,
            label="mean, 95 % interval",
        )
        ax.axvline(0, color="0.4", linewidth=0.8, zorder=0)
        ax.set(
            yticks=position,
            yticklabels=self.table.index,
            ylim=(n_methods - 0.5, -0.5),
            xlabel=self._x_label(),
        )
        ax.legend(**ABOVE)
        for row in np.flatnonzero(self.table["to_beat"]):
            ax.get_yticklabels()[row].set_fontweight("bold")
            ax.set_title(self._headline(points.iloc[row]), pad=26, fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _x_label(self) -> str:
        first, second = "the estimator", "the method"
        if self.metric in LOSSES:
            first, second = second, first
        name = METRIC_NAMES.get(self.metric, self.metric)
        return f"{name} of {first} less that of {second}{unit(self.metric)[1]}"

    def _headline(self, points: pd.Series) -> str:
        digits = 3 if unit(self.metric)[0] == 1 else 1
        gain, low, high = (f"{value:+.{digits}f}" for value in points)
        interval = f" ({low} to {high})" if np.isfinite(points["low"]) else ""
        return f"Over {points.name}, the better without X_priv: {gain}{interval}"


class TrainingCurvesDisplay:
    """Training loss and validation score of each epoch, of teacher and student.

    The two losses are not the same function: the student's has the teacher's terms too.

    Parameters
    ----------
    curves : dict of str to DataFrame
        ``train_loss`` and, where there were validation rows, ``valid_acc`` of each epoch (rows
        from 1), by net; of a regressor ``valid_score``.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        One for each curve.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.evaluation import TrainingCurvesDisplay
    >>> from sklearn_gkd.networks import SeriesNet
    >>> sits = make_sits(100, random_state=0)
    >>> net = SeriesNet("mlp", module__width=16, max_epochs=2)
    >>> clf = GKDClassifier(net, net, validation_fraction=0.2, random_state=0)
    >>> clf = clf.fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
    >>> display = TrainingCurvesDisplay.from_estimator(clf)
    >>> [ax.get_ylabel() for ax in display.ax_]
    ['training loss', 'validation accuracy']
    """

    def __init__(self, curves: dict[str, pd.DataFrame]):
        self.curves = curves

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the training of a fitted classifier or regressor.

        Parameters
        ----------
        estimator : GKDClassifier, GKDRegressor, SeriesClassifier or SeriesRegressor
            Fitted. A teacher that is no net, or whose targets came from memory, has no curves.
        ax : array of matplotlib Axes, default=None
            Where to draw the loss and the score; None makes a figure.

        Returns
        -------
        TrainingCurvesDisplay
            With its figure drawn.
        """
        check_is_fitted(estimator)
        roles = ("teacher", "student", "network")
        nets = {role: getattr(estimator, f"{role}_", None) for role in roles}
        curves = {role: _curves(net) for role, net in nets.items() if isinstance(net, NeuralNet)}
        if not curves:
            raise TypeError(
                f"estimator={estimator!r} has no nets. Give a fitted GKDClassifier, GKDRegressor, "
                "SeriesClassifier or SeriesRegressor."
            )
        return cls(curves).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves, with a mark at the epoch that was kept.

        Parameters
        ----------
        ax : array of matplotlib Axes, default=None
            Where to draw the loss and the score; None makes a figure.

        Returns
        -------
        TrainingCurvesDisplay
            With its figure drawn.
        """
        labels = {"train_loss": "training loss"} | SCORES
        shown = [name for name in labels if any(name in curves for curves in self.curves.values())]
        if ax is None:
            size = (4.2 * len(shown), 3.2)
            ax = pyplot().subplots(1, len(shown), figsize=size, layout="constrained")[1]
        self.ax_ = np.atleast_1d(ax)
        for panel, name in zip(self.ax_, shown, strict=True):
            for role, curves in self.curves.items():
                line = panel.plot(curves[name], color=COLOURS.get(role), label=role)
                for score in SCORES.keys() & set(curves):
                    kept = curves[score].idxmax()
                    panel.plot(kept, curves[name][kept], "o", color=line[0].get_color())
            panel.set(xlabel="epoch", ylabel=labels[name])
        self.ax_[0].set_yscale("log")
        if SCORES.keys() & set(shown):
            self.ax_[-1].plot([], [], "o", color="0.45", label="epoch kept")
        self.ax_[-1].legend(frameon=False)
        self.figure_ = self.ax_[0].figure
        return self


class ClassGainDisplay:
    """The F-measure of each class, by a student and by a baseline.

    Parameters
    ----------
    f_measures : DataFrame
        Columns ``student`` and ``baseline``, indexed by class.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_gkd.evaluation import ClassGainDisplay
    >>> display = ClassGainDisplay.from_predictions(
    ...     ["a", "a", "b"], ["a", "a", "b"], ["a", "b", "b"]
    ... )
    >>> display.f_measures.round(2)
       student  baseline
    a      1.0      0.67
    b      1.0      0.67
    """

    def __init__(self, f_measures: pd.DataFrame):
        self.f_measures = f_measures

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, y_baseline: Any, *, labels: Any = None, ax: Any = None
    ) -> Self:
        """Draw the F-measures.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Classes.
        y_pred, y_baseline : array-like of shape (n,)
            The student's predictions, and those of what it is compared with.
        labels : array-like of shape (n_classes,), default=None
            Classes to draw, from top to bottom; None draws all of them, sorted.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ClassGainDisplay
            With its figure drawn.
        """
        if labels is None:
            labels = unique_labels(y_true, y_pred, y_baseline)
        predictions = {"student": y_pred, "baseline": y_baseline}
        f_measures = pd.DataFrame(
            {name: class_f_measures(y_true, y, labels) for name, y in predictions.items()}
        )
        return cls(f_measures).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw two points for each class.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ClassGainDisplay
            With its figure drawn.
        """
        n_classes = len(self.f_measures)
        if ax is None:
            ax = pyplot().subplots(figsize=(6, 1.4 + 0.35 * n_classes), layout="constrained")[1]
        position = np.arange(n_classes)
        student, baseline = self.f_measures["student"], self.f_measures["baseline"]
        ax.hlines(position, baseline, student, color="0.75", linewidth=2, zorder=1)
        for name, marker in [("baseline", "s"), ("student", "o")]:
            ax.plot(self.f_measures[name], position, marker, color=COLOURS[name], ms=7, label=name)
        ax.set(
            yticks=position,
            yticklabels=self.f_measures.index,
            ylim=(n_classes - 0.5, -0.5),
            xlabel="F-measure",
        )
        ax.legend(**ABOVE)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def unit(metric: str) -> tuple[int, str]:
    """Return what a metric is multiplied by to be drawn, and its unit as a label has it."""
    return (1, "") if metric in (*LOSSES, "r2") else (100, " (points)")


def pyplot() -> Any:
    """Return matplotlib.pyplot, or say which extra has it."""
    with missing_extra("plot", "A display"):
        import matplotlib.pyplot as plt
    return plt


def _curves(net: NeuralNet) -> pd.DataFrame:
    curves = pd.DataFrame(list(net.history)).set_index("epoch")
    return curves.reindex(columns=[c for c in ("train_loss", *SCORES) if c in curves])
