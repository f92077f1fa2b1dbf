"""Tables and figure of what evidence.py measured: gains, whom they may await, and rivals."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_gkd.evaluation import gain_table, holm_corrected

SHOWN = ("student alone", "self-distillation", "estimator", "teacher", "permuted X_priv")
LEADS = {"under 0": (-np.inf, 0), "0 to 10": (0, 10), "over 10": (10, np.inf)}


def write(output: Path, values: pd.DataFrame, rivals: Sequence[str], command: str) -> None:
    """Write the report beside a folder, and the gains and the figure into it."""
    values = values.assign(split=values["split"].astype(int))
    values = values[values["metric"] == "f_measure"].assign(value=lambda v: 100 * v["value"])
    gains = gains_of(values[~values["method"].isin(rivals)])
    gains.to_csv(output / "gains.csv", index=False, float_format="%.2f")
    plot(gains).savefig(output / "gain.png", dpi=100)
    lines = [
        "# Evidence",
        "",
        f"{date.today()}: `{command}`",
        "",
        "Weighted F-measure in points on test groups, mean over the splits that were measured.",
        "*gain* is the estimator's over the better of the student alone and self-distillation on",
        "the same pairs, by their means, with its 95 % interval by the corrected resampled t-test;",
        "*corrected* is the interval by Holm's method over all rows of these tables that have one:",
        "of so few splits and so many comparisons, it tells almost nothing.",
        "*trial* is how often the estimator found, where there are pairs, that its teacher helps.",
        "Labels and pairs come from training groups alone, at least two labels a class; gaps are",
        "filled in time.",
        "",
        f"![gain]({output.name}/gain.png)",
    ]
    for (n_labels, n_pairs), rows in gains.groupby(["n_labels", "n_pairs"], sort=False):
        lines += ["", f"## {n_labels} labels, {n_pairs} pairs", "", *table_of(rows)]
    lines += ["", "## Will it help me?", "", *expectations(gains)]
    lines += ["", "## On X alone", "", *table_of_rivals(values, rivals)]
    output.with_suffix(".md").write_text("\n".join(lines) + "\n")


def gains_of(values: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each data set, number of labels and number of pairs."""
    without_pairs = values[values["method"] == "student alone"].drop(columns="n_pairs")
    gains = []
    keys = ["n_labels", "n_pairs", "data"]
    for key, rows in values[values["method"] != "student alone"].groupby(keys, sort=False):
        if "estimator" not in set(rows["method"]):
            continue
        n_labels, _, data = key
        of_labels = (without_pairs["n_labels"] == n_labels) & (without_pairs["data"] == data)
        rows = pd.concat([rows, without_pairs[of_labels]])
        known = rows.groupby("method")["split"].agg(set)
        shared = set.intersection(*known.reindex(["estimator", "student alone"]).dropna())
        rows = rows[rows["split"].isin(shared)]
        table = gain_table(rows).loc["f_measure"]
        to_beat = table[table["to_beat"]].iloc[0]
        of_estimator = rows[rows["method"] == "estimator"]
        gains.append(
            dict(zip(keys, key, strict=True))
            | to_beat[["gain", "low", "high", "p_value", "n_splits"]].to_dict()
            | {name: table["mean"].get(name) for name in SHOWN}
            | {
                "n_pairs_used": of_estimator["n_pairs_used"].mean(),
                "distilled": of_estimator["distilled"].astype(bool).mean(),
            }
        )
    gains = pd.DataFrame(gains)
    corrected = holm_corrected(gains)
    return gains.assign(low_of_all=corrected["low"], high_of_all=corrected["high"])


def table_of(rows: pd.DataFrame) -> list[str]:
    """Return the lines of the table of one number of labels and pairs."""
    lines = table_head("data", "pairs", *SHOWN, "gain", "corrected", "trial")
    for row in rows.to_dict("records"):
        means = " | ".join("" if pd.isna(row[name]) else f"{row[name]:.1f}" for name in SHOWN)
        gain, corrected = (
            "" if pd.isna(row[low]) else f"{row[low]:+.1f} to {row[high]:+.1f}"
            for low, high in (("low", "high"), ("low_of_all", "high_of_all"))
        )
        trial = f"{row['distilled']:.0%}" if row["n_pairs_used"] else ""
        lines.append(
            f"| {row['data']} | {row['n_pairs_used']:.0f} | {means} | {row['gain']:+.1f} "
            f"({gain}) | {corrected} | {trial} |"
        )
    mean = rows["gain"].mean()
    return [*lines, "", f"Mean gain over the {len(rows)} data sets: {mean:+.1f}."]


def table_head(*names: str) -> list[str]:
    """Return the first two lines of a table."""
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def expectations(gains: pd.DataFrame) -> list[str]:
    """Return the lines of what to expect: by labels, pairs, and the lead of the teacher."""
    lead = gains["teacher"] - gains["student alone"]
    lines = [
        "*lead* is the teacher's score less that of the student alone, in points, both on rows",
        "that neither has seen: `privileged_gain` measures it on your data.",
        "",
        *table_head("labels", "pairs", "lead", "data sets", "gain, mean", "least", "most"),
    ]
    for (n_labels, n_pairs), rows in gains.groupby(["n_labels", "n_pairs"], sort=False):
        for name, (low, high) in LEADS.items():
            gain = rows["gain"][(low <= lead[rows.index]) & (lead[rows.index] < high)]
            if len(gain):
                lines.append(
                    f"| {n_labels} | {n_pairs} | {name} | {len(gain)} | {gain.mean():+.1f} | "
                    f"{gain.min():+.1f} | {gain.max():+.1f} |"
                )
    return lines


def table_of_rivals(values: pd.DataFrame, rivals: Sequence[str]) -> list[str]:
    """Return the lines of the table of classifiers that see X alone."""
    values = values[(values["n_pairs"] == "0") & values["method"].isin(["student alone", *rivals])]
    names = ["student alone", *(name for name in rivals if name in set(values["method"]))]
    lines = [
        "The student's mean, and its gain over each of the others on the splits that both have",
        "(*: significantly different from 0 by the corrected resampled t-test, 5 %, not corrected",
        "for the number of comparisons).",
        "",
        *table_head("labels", "data", *names),
    ]
    for (n_labels, data), rows in values.groupby(["n_labels", "data"], sort=False):
        if set(rows["method"]) == {"student alone"}:
            continue
        table = gain_table(rows, reference="student alone").loc["f_measure"].reindex(names)
        gains = ["" if pd.isna(row.gain) else _starred(row) for row in table[1:].itertuples()]
        mean = f"{table['mean'].iloc[0]:.1f}"
        lines.append(f"| {n_labels} | {data} | {mean} | {' | '.join(gains)} |")
    return lines


def _starred(row) -> str:
    return f"{row.gain:+.1f}" + ("*" if row.p_value < 0.05 else "")


def plot(gains: pd.DataFrame) -> plt.Figure:
    """Draw the gain of each data set by the number of labels, with all pairs."""
    gains = gains[gains["n_pairs"] == "all"]
    names = list(gains["data"].unique())
    groups = list(gains.groupby("n_labels", sort=False))
    figure, axes = plt.subplots(
        1,
        len(groups),
        figsize=(3 + 2.7 * len(groups), 1.2 + 0.35 * len(names)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (n_labels, rows) in zip(axes[0], groups, strict=True):
        place = [names.index(name) for name in rows["data"]]
        ax.errorbar(rows["gain"], place, xerr=rows["high"] - rows["gain"], fmt="o", capsize=3)
        ax.axvline(0, color="0.4", linewidth=0.8)
        ax.set(title=f"{n_labels} labels", xlabel="points of F-measure")
    axes[0][0].set(yticks=range(len(names)), yticklabels=names)
    axes[0][0].invert_yaxis()
    figure.suptitle("What pairs gain over the better of alone and self-taught, 95 % intervals")
    return figure
