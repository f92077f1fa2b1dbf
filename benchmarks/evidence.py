"""Does the default help, and is it the privileged information? `privileged_gain` on real data.

For every data set, three questions: 1. all training rows labelled, in random and in grouped splits;
2. a fifth of them labelled and the others pairs without a label, grouped; 3. half of them without
X_priv, grouped. Every method has the same splits, seeds and gap filler; the forest is also given
the gaps as NaN. A split's value is the mean over the seeds. Each finished fit of a split is kept in
a file, so that an interrupted run resumes where it was.
"""

import argparse
import os
import time
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils import Bunch
from tqdm import tqdm

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import load_sits, make_sits
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.evaluation import (
    GainDisplay,
    gain_table,
    privileged_gain,
    scores,
    train_valid_test_split,
)

SUMMARY = (
    "forest",
    "student alone",
    "estimator",
    "teacher",
    "permuted X_priv",
    "self-distillation",
)
COMPARED = ("forest", "student alone", "permuted X_priv", "self-distillation")
QUESTIONS = {
    "all labelled, random": {"grouped": False},
    "all labelled, grouped": {"grouped": True},
    "a fifth labelled, grouped": {"grouped": True, "labelled": 0.2},
    "half without X_priv, grouped": {"grouped": True, "known": 0.5},
}


def main() -> None:
    """Measure what is not measured yet, and write tables and figures of all that is."""
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    jobs = [
        (data, question, split, seed)
        for split in range(args.splits)  # so that an interrupted run has whole splits
        for data in args.data
        for question in QUESTIONS
        for seed in range(args.seeds)
        if not result_path(args.output, data, question, split, seed).exists()
    ]
    start = time.monotonic()
    finished = Parallel(args.n_jobs, return_as="generator_unordered")(
        delayed(measure)(args.output, *job) for job in jobs
    )
    for _ in tqdm(finished, total=len(jobs), unit="split"):
        pass
    hours = (time.monotonic() - start) / 3600
    print(f"{len(jobs)} splits in {hours:.2f} hours")
    results = pd.concat(pd.read_csv(path) for path in sorted(args.output.glob("fits/*.csv")))
    results.to_csv(args.output / "results.csv", index=False)
    write_report(args, results)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", help="files for load_sits, or 'simulated'")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="fits of each method in a split")
    parser.add_argument("--n-jobs", type=int, default=1, help="splits at a time, a thread each")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the results; FOLDER.md is the report"
    )
    return parser.parse_args()


def result_path(output: Path, data: str, question: str, split: int, seed: int) -> Path:
    """Return the file of a split's values."""
    words = f"{Path(data).stem} {question} {split} {seed}".replace(",", "").split()
    return output / "fits" / f"{'_'.join(words)}.csv"


def measure(output: Path, data: str, question: str, split: int, seed: int) -> None:
    """Measure all methods on one split by one seed, and write their values."""
    torch.set_num_threads(1)
    sits = make_sits(random_state=0) if data == "simulated" else load_sits(data)
    results = measure_split(sits, split, seed, **QUESTIONS[question])
    results = results.assign(data=Path(data).stem, question=question, split=split, seed=seed)
    path = result_path(output, data, question, split, seed)
    path.parent.mkdir(exist_ok=True)
    partial_path = path.with_suffix(f".{os.getpid()}.partial")
    results.to_csv(partial_path, index=False)
    partial_path.replace(path)


def measure_split(
    sits: Bunch, split: int, seed: int, *, grouped: bool, labelled: float = 1, known: float = 1
) -> pd.DataFrame:
    """Return the values of all methods on one split of the data.

    The split's own draws are ruled by its number, so that every seed and method has the same.
    """
    groups = sits.groups if grouped else None
    train, valid, test = train_valid_test_split(sits.y, groups=groups, random_state=split)
    seen = np.isfinite(sits.X_s2).any(axis=(1, 2))
    train, test = np.sort(np.append(train, valid)), test[seen[test]]
    rng = np.random.RandomState(split)
    is_labelled = stratified(sits.y[train], labelled, rng)
    train, others = train[is_labelled], train[~is_labelled]
    X = GapFiller().fit(sits.X_s1[train]).transform(sits.X_s1)
    X_priv = sits.X_s2.copy()
    X_priv[train[~stratified(sits.y[train], known, rng)]] = np.nan
    pairs = {"X_unlabeled": X[others], "X_priv_unlabeled": X_priv[others]} if len(others) else {}
    results = privileged_gain(
        GKDClassifier(priv_transformer=GapFiller()),
        X,
        sits.y,
        X_priv,
        cv=[(train, test)],
        groups=groups,
        random_state=1000 * split + seed,
        **pairs,
    )
    forest = RandomForestClassifier(random_state=seed)
    tables = sits.X_s1.reshape(len(X), -1)
    by_forest = forest.fit(tables[train], sits.y[train]).predict(tables[test])
    of_forest = pd.DataFrame(
        scores(sits.y[test], by_forest).items(), columns=["metric", "value"]
    ).assign(method="forest, gaps as NaN", split=0, n_test=len(test))
    # Splits are as alike as they share rows, with labels or without.
    n_train = len(train) + len(others)
    return pd.concat([results, of_forest], ignore_index=True).assign(n_train=n_train)


def stratified(y: np.ndarray, fraction: float, rng: np.random.RandomState) -> np.ndarray:
    """Return a mask of a fraction of each class, and of at least two rows of it."""
    chosen = np.zeros(len(y), dtype=bool)
    for name in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == name))
        chosen[rows[: max(2, round(fraction * len(rows)))]] = True
    return chosen


def write_report(args: argparse.Namespace, results: pd.DataFrame) -> None:
    """Write the report beside the folder, a figure for each question, and one of them all."""
    folder = args.output.name
    keys = ["data", "question", "method", "split", "metric", "n_train", "n_test"]
    means = results.groupby(keys, sort=False)["value"].mean().reset_index()
    by_question = list(means.groupby(["data", "question"], sort=False))
    tables = {key: 100 * gain_table(rows).loc["f_measure"] for key, rows in by_question}
    plot_summary(tables).savefig(args.output / "gain.png", dpi=100)
    names = " ".join(Path(data).name for data in args.data)
    lines = [
        "# Evidence",
        "",
        f"{date.today()}: `python benchmarks/evidence.py {names} --splits {args.splits} "
        f"--seeds {args.seeds} --n-jobs {args.n_jobs} --output {args.output.name}`",
        "",
        "Weighted F-measure in points, mean over the splits (each the mean of the seeds). *gain*",
        "is the estimator's less the method's, with its 95 % interval by the corrected resampled",
        "t-test; a gain below the *detectable* one, half of that interval, would not show.",
        "*headroom* is the teacher's less the student's alone, *recovered* a method's share of it.",
        "",
        f"![gain]({folder}/gain.png)",
        "",
        "| data, question | " + " | ".join(SUMMARY) + " | gain over alone | recovered |",
        "|---|" + "---|" * (len(SUMMARY) + 2),
    ]
    for (data, question), table in tables.items():
        alone = table.loc["student alone"]
        gain = f"{alone['gain']:+.1f} ({alone['low']:+.1f} to {alone['high']:+.1f})"
        cells = [f"{table.loc[method, 'mean']:.1f}" for method in SUMMARY]
        share = table.loc["estimator", "recovered"]
        lines += [f"| {data}: {question} | {' | '.join(cells)} | {gain} | {share:.0f}% |"]
    for (data, question), of_question in by_question:
        table = tables[data, question]
        figure = f"{data}_{question}".replace(",", "").replace(" ", "_") + ".png"
        GainDisplay.from_results(of_question).figure_.savefig(args.output / figure, dpi=100)
        plt.close("all")
        n_splits = of_question["split"].nunique()
        headroom = table.loc["teacher", "above_alone"]
        lines += ["", f"## {data}: {question}", ""]
        lines += [
            f"{n_splits} splits, headroom {headroom:.1f} points. ![gain]({folder}/{figure})",
            "",
        ]
        lines += ["| method | mean | gain | interval | detectable | recovered |"]
        lines += ["|---|---|---|---|---|---|"]
        for method, points in table.iterrows():
            recovered = f"{points['recovered']:.0f}%" if np.isfinite(points["recovered"]) else ""
            gain = ["", "", ""]
            if method != "estimator":
                margin = points["gain"] - points["low"]
                interval = f"{points['low']:+.1f} to {points['high']:+.1f}"
                gain = [f"{points['gain']:+.1f}", interval, f"{margin:.1f}"]
            lines += [
                "| " + " | ".join([str(method), f"{points['mean']:.1f}", *gain, recovered]) + " |"
            ]
    args.output.with_suffix(".md").write_text("\n".join(lines) + "\n")


def plot_summary(tables: dict[tuple[str, str], pd.DataFrame]) -> plt.Figure:
    """Draw the gain over each method that counts, for each data set and question."""
    figure, axes = plt.subplots(
        1, len(COMPARED), figsize=(11, 1.2 + 0.35 * len(tables)), sharey=True, layout="constrained"
    )
    rows = np.arange(len(tables))
    for ax, method in zip(axes, COMPARED, strict=True):
        points = pd.DataFrame([table.loc[method] for table in tables.values()])
        margin = points["high"] - points["gain"]
        ax.errorbar(points["gain"], rows, xerr=margin, fmt="o", capsize=3)
        ax.axvline(0, color="0.4", linewidth=0.8)
        ax.set(title=f"over {method}", xlabel="points of F-measure")
    labels = [f"{data.split('_')[0]}: {question}" for data, question in tables]
    axes[0].set(yticks=rows, yticklabels=labels)
    axes[0].invert_yaxis()
    figure.suptitle("What the estimator gains, with 95 % intervals")
    return figure


if __name__ == "__main__":
    main()
