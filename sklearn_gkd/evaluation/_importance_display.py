"""Figure of the importance of bands and dates."""

from typing import Any, Self

import numpy as np
import pandas as pd

from sklearn_gkd.evaluation._displays import COLOURS, pyplot
from sklearn_gkd.evaluation._importance import KEYS, series_importance


class SeriesImportanceDisplay:
    """Importance of each band, of each date, or of each band of each date.

    Parameters
    ----------
    table : DataFrame
        As from `evaluation.series_importance` or `evaluation.privileged_importance`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.evaluation import SeriesImportanceDisplay
    >>> bands = pd.Index(["VV", "VH"], name="band")
    >>> table = pd.DataFrame({"importance": [0.1, 0.3], "std": [0.01, 0.02]}, index=bands)
    >>> SeriesImportanceDisplay.from_importance(table).ax_.get_xlabel()
    'band'
    """

    def __init__(self, table: pd.DataFrame):
        self.table = table

    @classmethod
    def from_importance(cls, table: pd.DataFrame, *, ax: Any = None) -> Self:
        """Draw what `evaluation.series_importance` has measured.

        Parameters
        ----------
        table : DataFrame
            Its result, or that of `evaluation.privileged_importance`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SeriesImportanceDisplay
            With its figure drawn.
        """
        columns = {"importance", "std"}
        if not columns <= set(table.columns) or list(table.index.names) not in KEYS.values():
            raise ValueError(
                "table is not as from series_importance: it needs the columns importance and std, "
                "and an index of band, of date, or of both."
            )
        return cls(table).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **params: Any
    ) -> Self:
        """Measure and draw the importance for a fitted classifier.

        Parameters
        ----------
        estimator, X, y : object
            As in `evaluation.series_importance`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **params
            As in `evaluation.series_importance`.

        Returns
        -------
        SeriesImportanceDisplay
            With its figure drawn.
        """
        return cls.from_importance(series_importance(estimator, X, y, **params), ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a bar for each band or date, or an image of all bands and dates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SeriesImportanceDisplay
            With its figure drawn.
        """
        if ax is None:
            ax = pyplot().subplots(figsize=(7, 3), layout="constrained")[1]
        importance = self.table["importance"]
        if self.table.index.nlevels == 2:
            image = self.table.pivot_table("importance", "band", "date", sort=False)
            most = np.abs(image.to_numpy()).max() or 1.0
            drawn = ax.imshow(image, aspect="auto", cmap="RdBu", vmin=-most, vmax=most)
            ax.figure.colorbar(drawn, ax=ax, label="importance")
            ax.set(yticks=range(len(image)), yticklabels=image.index, ylabel="band")
            names = image.columns
        else:
            ax.bar(
                range(len(importance)),
                importance,
                yerr=self.table["std"],
                color=COLOURS["student"],
                capsize=3,
            )
            ax.axhline(0, color="0.4", linewidth=0.8)
            ax.set_ylabel("importance")
            names = importance.index
        shown = range(0, len(names), -(-len(names) // 12))
        ax.set(xticks=shown, xticklabels=[names[i] for i in shown], xlabel=names.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self
