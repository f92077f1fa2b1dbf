"""Do pairs without a label help, how much, and against whom? Measured on real data.

For every data set and split: a number of labels, drawn from the training groups by class, and a
number of pairs without a label from the same groups. The estimator is set beside the same net on
labels alone, beside itself taught by a teacher that sees X alone (self-distillation, on the same
pairs), beside itself with the pairs permuted, and beside other classifiers of X at their defaults.
Every value is kept in cells.csv as it comes, so that an interrupted run goes on from there; the
cells that matter most come first.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import evidence_report
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.utils import Bunch
from tqdm import tqdm

from sklearn_gkd import GKDClassifier, PrivilegedInformationWarning
from sklearn_gkd.datasets import load_sits
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.evaluation import scores, train_valid_test_split

MOST_PAIRS = 2000
LABELS = ("50", "200", "800")
SPLITS_OF_RIVALS = 5
KEY = ["data", "split", "n_labels", "n_pairs", "method"]


class Cell(NamedTuple):
    """One method on one draw of labels and pairs.

    Attributes
    ----------
    data : str
        Name of the file, without its ending.
    split : int
        Rules every draw.
    n_labels, n_pairs : str
        Those asked for: a number, or "all" that there are (of pairs, at most 2,000).
    method : str
        In METHODS; "estimator" gives its teacher's values too.
    """

    data: str
    split: int
    n_labels: str
    n_pairs: str
    method: str


class Draw(NamedTuple):
    """Rows of one draw, the pairs' among those without a label."""

    X: np.ndarray
    X_priv: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    labelled: np.ndarray
    pairs: np.ndarray
    test: np.ndarray
    n_train: int

    def arguments(self, X_priv: np.ndarray) -> dict:
        """Return what `GKDClassifier.fit` is given, with this as privileged information."""
        given = {
            "X": self.X[self.labelled],
            "y": self.y[self.labelled],
            "X_priv": X_priv[self.labelled],
            "groups": None if self.groups is None else self.groups[self.labelled],
        }
        if len(self.pairs):
            given["X_unlabeled"] = self.X[self.pairs]
            given["X_priv_unlabeled"] = X_priv[self.pairs]
        return given


def draw(sits: Bunch, cell: Cell) -> Draw | None:
    """Draw labelled rows, pairs and test rows; None where there are too few of them.

    Test groups are apart. Test rows and pairs have both views, gaps within a series are filled.
    """
    train, valid, test = train_valid_test_split(sits.y, groups=sits.groups, random_state=cell.split)
    seen = np.isfinite(sits.X_s2).any(axis=(1, 2))
    pool, test = np.sort(np.append(train, valid)), test[seen[test]]
    pool = pool[seen[pool]]
    rng = np.random.RandomState(cell.split)
    n_labels = len(pool) if cell.n_labels == "all" else int(cell.n_labels)
    n_pairs = MOST_PAIRS if cell.n_pairs == "all" else int(cell.n_pairs)
    labelled = pool[stratified(sits.y[pool], n_labels, rng)]
    pairs = rng.permutation(np.setdiff1d(pool, labelled))[:n_pairs]
    enough = len(pairs) == n_pairs or (cell.n_pairs == "all" and len(pairs))
    if len(pool) < n_labels or not enough:
        return None
    X, X_priv = (filled(series, labelled) for series in (sits.X_s1, sits.X_s2))
    return Draw(X, X_priv, sits.y, sits.groups, labelled, pairs, test, len(pool))


def stratified(y: np.ndarray, n: int, rng: np.random.RandomState) -> np.ndarray:
    """Return n rows, of each class in proportion and at least two of each."""
    names, counts = np.unique(y, return_counts=True)
    shares = np.maximum(2, np.floor(n * counts / len(y)).astype(int))
    chosen = [
        rng.permutation(np.flatnonzero(y == name))[:share]
        for name, share in zip(names, shares, strict=True)
    ]
    rows = np.concatenate(chosen)
    others = rng.permutation(np.setdiff1d(np.arange(len(y)), rows))
    return np.append(rows, others[: max(0, n - len(rows))])


def filled(series: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return series without gaps, filled in time as the labelled rows say."""
    if not np.isnan(series).any():
        return series
    return GapFiller().fit(series[labelled]).transform(series)


def alone(rows: Draw, seed: int) -> tuple:
    """Fit the student on labels alone: to the last bit what a trial that says no gives."""
    clf = GKDClassifier(beta=0, gamma=0, random_state=seed)
    return clf.fit(**rows.arguments(rows.X_priv)), rows.X[rows.test]


def estimator(rows: Draw, seed: int) -> tuple:
    """Fit the default."""
    clf = GKDClassifier(random_state=seed)
    return clf.fit(**rows.arguments(rows.X_priv)), rows.X[rows.test]


def self_distillation(rows: Draw, seed: int) -> tuple:
    """Fit the default with X in the place of X_priv, on the same pairs."""
    clf = GKDClassifier(distillation="always", random_state=seed)
    return clf.fit(**rows.arguments(rows.X)), rows.X[rows.test]


def permuted(rows: Draw, seed: int) -> tuple:
    """Fit the default with X_priv in another order: optical that says nothing."""
    order = np.random.RandomState(seed).permutation(len(rows.y))
    clf = GKDClassifier(random_state=seed)
    return clf.fit(**rows.arguments(rows.X_priv[order])), rows.X[rows.test]


def rival(make: Callable) -> Callable[[Draw, int], tuple]:
    """Return a function that fits another classifier, on series as a table."""

    def fit(rows: Draw, seed: int) -> tuple:
        table = rows.X.reshape(len(rows.y), -1)
        clf = make(random_state=seed)
        return clf.fit(table[rows.labelled], rows.y[rows.labelled]), table[rows.test]

    return fit


def cat_boost(random_state: int):
    """Return CatBoost's classifier, silent."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        random_state=random_state, verbose=0, allow_writing_files=False, thread_count=1
    )


def light_gbm(random_state: int):
    """Return LightGBM's classifier, silent."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=random_state, verbose=-1, n_jobs=1)


def of_aeon(name: str) -> Callable[[Draw, int], tuple]:
    """Return a function that fits a classifier of time series."""

    def fit(rows: Draw, seed: int) -> tuple:
        from aeon.classification import convolution_based, interval_based

        make = getattr(interval_based, name, None) or getattr(convolution_based, name)
        series = np.ascontiguousarray(rows.X.transpose(0, 2, 1), dtype=float)
        clf = make(random_state=seed)
        return clf.fit(series[rows.labelled], rows.y[rows.labelled]), series[rows.test]

    return fit


METHODS: dict[str, Callable[[Draw, int], tuple]] = {
    "student alone": alone,
    "estimator": estimator,
    "self-distillation": self_distillation,
    "permuted X_priv": permuted,
    "forest": rival(RandomForestClassifier),
    "HistGradientBoosting": rival(HistGradientBoostingClassifier),
    "CatBoost": rival(cat_boost),
    "LightGBM": rival(light_gbm),
    "QUANT": of_aeon("QUANTClassifier"),
    "MultiRocket-Hydra": of_aeon("MultiRocketHydraClassifier"),
}
OF_AEON = ("QUANT", "MultiRocket-Hydra")  # of series of ten steps or more
RIVALS = tuple(METHODS)[4:]


def cells_of(names: list[str], n_splits: int, rivals: list[str]) -> list[Cell]:
    """Return all cells, those that matter most first."""
    taught = ("estimator", "self-distillation")
    with_all_pairs = [
        [(n, "0", "student alone"), *[(n, "all", method) for method in taught]] for n in LABELS
    ]
    plan = [
        *with_all_pairs[:2],
        [(n, "0", rival) for n in LABELS for rival in rivals],
        *with_all_pairs[2:],
        [("200", "all", "permuted X_priv"), ("200", "0", "estimator")],
        [(n, "300", method) for n in LABELS[:2] for method in taught],
        [("all", "0", method) for method in ("student alone", "estimator")],
    ]
    return [
        Cell(name, split, *kind)
        for part in plan
        for split in range(n_splits)
        for kind in part
        if kind[2] not in RIVALS or split < SPLITS_OF_RIVALS
        for name in names
    ]


def main() -> None:
    """Measure what is not measured yet, and write tables and a figure of all that is."""
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "cells.csv"
    paths = {path.stem: path for path in args.data}
    done = set()
    if path.exists():
        done = {tuple(row) for row in read(path)[KEY].astype(str).to_numpy()}
    todo = [
        cell
        for cell in cells_of(list(paths), args.splits, args.rivals)
        if tuple(map(str, cell)) not in done
    ]
    end = time.monotonic() + 3600 * args.hours
    finished = Parallel(args.n_jobs, return_as="generator_unordered")(
        delayed(measure)(paths[cell.data], cell, end) for cell in todo
    )
    for rows in tqdm(finished, total=len(todo), unit="cell"):
        if rows is not None:
            rows.to_csv(path, mode="a", header=not path.exists(), index=False)
    command = (
        f"python benchmarks/evidence.py {' '.join(path.name for path in args.data)} "
        f"--splits {args.splits} --n-jobs {args.n_jobs} --output {args.output.name}"
    )
    evidence_report.write(args.output, read(path), RIVALS, command)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="files for load_sits")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--n-jobs", type=int, default=1, help="cells at a time, a thread each")
    parser.add_argument("--hours", type=float, default=2.5, help="begin no cell after so long")
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=RIVALS,
        default=["forest", "HistGradientBoosting"],
        help="the others need an environment of constraints-benchmark.txt",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the results; FOLDER.md is the report"
    )
    return parser.parse_args()


def read(path: Path) -> pd.DataFrame:
    """Read the values of all cells."""
    return pd.read_csv(path, dtype={"n_labels": str, "n_pairs": str})


def measure(path: Path, cell: Cell, end: float) -> pd.DataFrame | None:
    """Return a cell's values, a row for each metric; none where it cannot be or is too late."""
    if time.monotonic() > end:
        return None
    torch.set_num_threads(1)
    sits = load_sits(path)
    rows = draw(sits, cell)
    if rows is None or (cell.method in OF_AEON and sits.X_s1.shape[1] < 10):
        return None
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivilegedInformationWarning)
        clf, X_test = METHODS[cell.method](rows, cell.split)
    probabilities = {cell.method: clf.predict_proba(X_test)}
    seconds = time.process_time() - start
    if cell.method == "estimator":
        X_priv_test = rows.X_priv[rows.test]
        probabilities["teacher"] = clf.teacher_predict_proba(X_test, X_priv_test)
    classes = np.asarray(clf.classes_)
    trial = getattr(clf, "distillation_", None)
    tables = []
    for method, of_rows in probabilities.items():
        y_pred = classes[of_rows.argmax(axis=1)]
        values = scores(rows.y[rows.test], y_pred, of_rows, classes=classes)
        table = pd.DataFrame(values.items(), columns=["metric", "value"]).round(5)
        table = table.assign(
            **cell._replace(method=method)._asdict(),
            n_pairs_used=len(rows.pairs),
            n_train=rows.n_train,
            n_test=len(rows.test),
            distilled=None if trial is None else trial.used,
            seconds=round(seconds, 1),
        )
        tables.append(table[[*KEY, *table.columns.difference(KEY, sort=False)]])
    return pd.concat(tables)


if __name__ == "__main__":
    main()
