"""Does a teacher of several sources gain from rows that lack some of them? Measured on real data.

The optical bands of a data set stand for three sources, each missing in a share of the rows, with
or without a label, at random. The estimator that is given them as sources is set beside what one
does without: leaving out rows that lack one, putting the mean in place of what is missing, and
taking one source alone. All are taught on the same labels and pairs, and tested on other groups.
"""

import argparse
import datetime
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import Cell, Draw, draw
from evidence_report import table_head
from joblib import Parallel, delayed
from tqdm import tqdm

from sklearn_gkd import GKDClassifier, PrivilegedInformationWarning
from sklearn_gkd.datasets import load_sits
from sklearn_gkd.evaluation import scores

NAMES = ("visible", "red edge", "infrared")  # of bands in the order of their wavelengths
MISSING = (0.0, 0.3, 0.7)
ONE = "infrared"
N_LABELS, N_PAIRS = "200", "300"
ALONE, TAUGHT, COMPLETE, IMPUTED = "student alone", "sources", "complete rows", "imputed"
HEAD = """# Many sources

{date}: `{command}`

Weighted F-measure in points on test groups, mean over {n_splits} splits, by the share of rows that
lack each source: {n_labels} labels, {n_pairs} pairs without one. *sources* is
`GKDClassifier(priv_sources=...)`; *complete rows* has all bands as one X_priv, NaN throughout in
rows that lack a source; *imputed* has the mean of the rows that have it in its place; *infrared* is
one source alone. Teachers see what the test rows have, which lack as much. Splits with less than
two labelled rows to teach a teacher are left out.
"""


def main() -> None:
    """Measure all methods, and write a table of each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="files for load_sits")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--n-jobs", type=int, default=1, help="fits at a time, a thread each")
    parser.add_argument("--output", type=Path, required=True, help="the report, a .md file")
    args = parser.parse_args()
    fits = [
        (path, split, missing, method)
        for split in range(args.splits)
        for path in args.data
        for missing in MISSING
        for method in (TAUGHT, ONE, *((COMPLETE, IMPUTED) if missing else (ALONE,)))
    ]
    measured = Parallel(args.n_jobs, return_as="generator")(delayed(measure)(*fit) for fit in fits)
    rows = [row for of_fit in tqdm(measured, total=len(fits), unit="fit") for row in of_fit]
    command = (
        f"python benchmarks/sources.py {' '.join(path.name for path in args.data)} "
        f"--splits {args.splits} --n-jobs {args.n_jobs} --output {args.output.name}"
    )
    args.output.write_text(report(pd.DataFrame(rows), command))


def report(results: pd.DataFrame, command: str) -> str:
    """Return the tables as Markdown."""
    parts = [
        HEAD.format(
            date=datetime.date.today().isoformat(),
            command=command,
            n_splits=results["split"].nunique(),
            n_labels=N_LABELS,
            n_pairs=N_PAIRS,
        )
    ]
    for name, of_data in results.groupby("data", sort=False):
        means = 100 * of_data.pivot_table("f_measure", index="method", columns="missing")
        means = means.loc[list(dict.fromkeys(of_data["method"]))]
        lines = table_head("method", *(f"{share:.0%} missing" for share in means.columns))
        for method, *values in means.itertuples():
            points = ("" if np.isnan(value) else f"{value:.1f}" for value in values)
            lines.append(f"| {' | '.join([method, *points])} |")
        parts.append("\n".join([f"## {name}", "", *lines, ""]))
    return "\n".join(parts)


def measure(path: Path, split: int, missing: float, method: str) -> list[dict]:
    """Return the F-measure of one fit's student and, where it is asked, of its teacher."""
    torch.set_num_threads(1)
    rows = draw(load_sits(path), Cell(path.stem, split, N_LABELS, N_PAIRS, method))
    clf, X_priv = taught_by(method, *sources_of(rows.X_priv, missing, split), rows)
    seen = ~np.isnan(X_priv.reshape(len(X_priv), -1)).all(axis=1)
    if seen[rows.labelled].sum() < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivilegedInformationWarning)
        clf.set_params(random_state=split).fit(**rows.arguments(X_priv))
    predicted = {method: (rows.test, clf.predict(rows.X[rows.test]))}
    if method in (TAUGHT, IMPUTED):
        told = rows.test[seen[rows.test]]
        proba = clf.teacher_predict_proba(rows.X[told], X_priv[told])
        predicted[f"teacher of {method}"] = told, clf.classes_[proba.argmax(axis=1)]
    cell = {"data": path.stem, "split": split, "missing": missing}
    return [
        {**cell, "method": name, "f_measure": scores(rows.y[tested], y_pred)["f_measure"]}
        for name, (tested, y_pred) in predicted.items()
    ]


def sources_of(X_priv: np.ndarray, missing: float, seed: int) -> tuple[np.ndarray, list[tuple]]:
    """Return a table of the bands' parts, NaN where a row lacks one, and what each part is."""
    n_rows, n_steps, n_bands = X_priv.shape
    lacks = np.random.RandomState(seed).uniform(size=(n_rows, len(NAMES))) < missing
    parts, sources, end = [], [], 0
    for i, bands in enumerate(np.array_split(np.arange(n_bands), len(NAMES))):
        part = X_priv[:, :, bands].reshape(n_rows, -1)
        parts.append(np.where(lacks[:, [i]], np.nan, part))
        start, end = end, end + part.shape[1]
        sources.append((NAMES[i], "passthrough", slice(start, end), (n_steps, len(bands))))
    return np.hstack(parts), sources


def taught_by(
    method: str, table: np.ndarray, sources: list[tuple], rows: Draw
) -> tuple[GKDClassifier, np.ndarray]:
    """Return an estimator for a method, and the privileged information that it is given."""
    if method == ALONE:
        return GKDClassifier(beta=0, gamma=0, priv_sources=sources), table
    if method == TAUGHT:
        return GKDClassifier(priv_sources=sources), table
    if method == ONE:
        [source] = [source for source in sources if source[0] == ONE]
        return GKDClassifier(priv_sources=[source]), table
    lacking = np.isnan(table)
    if method == IMPUTED:
        mean = np.nanmean(table[np.append(rows.labelled, rows.pairs)], axis=0)
        table = np.where(lacking, mean, table)
    else:
        table = np.where(lacking.any(axis=1, keepdims=True), np.nan, table)
    n_steps = sources[0][3][0]
    parts = [table[:, columns].reshape(len(table), n_steps, -1) for _, _, columns, _ in sources]
    return GKDClassifier(), np.concatenate(parts, axis=2)


if __name__ == "__main__":
    main()
