"""Do pairs without a label help `GKDRegressor`, and against whom? On real data and a simulation.

Rows are drawn as in evidence.py: test groups are apart, and the training rows that are not
labelled are pairs. Each draw is kept in cells.csv as it comes, so that an interrupted run goes on
from there.
"""

import argparse
import platform
import subprocess
import warnings
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import Cell, Draw, draw
from evidence_report import table_head
from scipy.stats import spearmanr
from sklearn.utils import Bunch
from tqdm import tqdm

from sklearn_gkd import GKDRegressor, PrivilegedInformationWarning
from sklearn_gkd.datasets import load_sits
from sklearn_gkd.evaluation import gain_table, privileged_gain, quantity_scores

QUANTITIES = {
    "fuel_moisture_us": ("lfmc", "per cent"),
    "algae_midwest": ("severity", "degrees from 1 to 5"),
    "simulated_arm": ("torque", "N m"),
}
LABELS = ("50", "200")
METRICS = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}
KEY = ["split", "n_labels", "data"]
LENGTH = 0.2
GRAVITY = 9.81


def main() -> None:
    """Measure the draws that are not measured yet, and write tables of all."""
    args = parse_arguments()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "cells.csv"
    done = set(read(path)[KEY].itertuples(index=False, name=None)) if path.exists() else set()
    data = {file.stem: load(file) for file in args.data} | {"simulated_arm": simulated_arm()}
    todo = [key for key in product(range(args.splits), LABELS, data) if key not in done]
    for split, n_labels, name in tqdm(todo, unit="draw"):
        rows = draw(data[name], Cell(name, split, n_labels, "all", "estimator"))
        values = measure(rows._replace(y=data[name].quantity), split)
        values = values.assign(split=split, n_labels=n_labels, data=name).round(5)
        values.to_csv(path, mode="a", header=not path.exists(), index=False)
    command = (
        f"python benchmarks/quantities.py {' '.join(file.name for file in args.data)} "
        f"--splits {args.splits} --output {args.output.name}"
    )
    args.output.with_suffix(".md").write_text("\n".join(report(read(path), command)) + "\n")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", type=Path, help=f"files of {', '.join(QUANTITIES)}")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the values; FOLDER.md is the report"
    )
    return parser.parse_args()


def read(path: Path) -> pd.DataFrame:
    """Read the values of all draws."""
    return pd.read_csv(path, dtype={"n_labels": str})


def load(path: Path) -> Bunch:
    """Load series and, beside the classes by which rows are drawn, the quantity."""
    quantity, _ = QUANTITIES[path.stem]
    with np.load(path, allow_pickle=False) as file:
        return Bunch(**load_sits(path), quantity=file[quantity])


def simulated_arm(n_rows: int = 2000, n_joints: int = 7) -> Bunch:
    """Simulate what SARCOS has measured: an arm that swings, and the torques of its joints.

    As in Lopez-Paz et al. (2016), X is the joints' positions, velocities and accelerations, the
    quantity is the first joint's torque, and the torques of the others are privileged. Each joint
    swings at two frequencies, and torques are measured with an error of 5 %.
    """
    rng = np.random.RandomState(0)
    amplitude = rng.uniform(0.1, 0.5, size=(2, n_joints))
    frequency = 2 * np.pi * rng.uniform(0.1, 1, size=(2, n_joints))
    phase = rng.uniform(0, 600, size=(n_rows, 1, 1)) * frequency
    position = (amplitude * np.sin(phase)).sum(axis=1)
    velocity = (amplitude * frequency * np.cos(phase)).sum(axis=1)
    acceleration = -(amplitude * frequency**2 * np.sin(phase)).sum(axis=1)
    torques = joint_torques(position, velocity, acceleration)
    torques += rng.normal(scale=0.05 * torques.std(axis=0), size=torques.shape)
    return Bunch(
        X_s1=np.hstack([position, velocity, acceleration])[:, None],
        X_s2=torques[:, None, 1:],
        y=np.zeros(n_rows),
        quantity=torques[:, 0],
        groups=np.arange(n_rows),
    )


def joint_torques(
    position: np.ndarray, velocity: np.ndarray, acceleration: np.ndarray
) -> np.ndarray:
    """Return the torques (n, joints) that move an arm in a vertical plane, by Lagrange's equations.

    Its links are 0.2 m long, without mass but for 1 kg at their ends. Positions are angles (n,
    joints) to the link before, of the first to the horizontal.
    """
    angle, rate, growth = (
        of_joints.cumsum(axis=1) for of_joints in (position, velocity, acceleration)
    )
    joint = np.arange(angle.shape[1])
    carried = len(joint) - np.maximum.outer(joint, joint)  # kg that both of two links carry
    between = angle[:, :, None] - angle[:, None, :]
    of_link = (
        LENGTH**2 * np.einsum("ij,nij,nj->ni", carried, np.cos(between), growth)
        + LENGTH**2 * np.einsum("ij,nij,nj->ni", carried, np.sin(between), rate**2)
        + LENGTH * GRAVITY * carried.diagonal() * np.cos(angle)
    )
    return of_link[:, ::-1].cumsum(axis=1)[:, ::-1]


def measure(rows: Draw, seed: int) -> pd.DataFrame:
    """Return the values of all methods on one draw, a row for each measure."""
    values = privileged_gain(
        GKDRegressor(),
        rows.X,
        rows.y,
        rows.X_priv,
        cv=[(rows.labelled, rows.test)],
        groups=rows.groups,
        X_unlabeled=rows.X[rows.pairs],
        X_priv_unlabeled=rows.X_priv[rows.pairs],
        random_state=seed,
    )
    y_test = rows.y[rows.test]
    mean = quantity_scores(y_test, np.full(len(y_test), rows.y[rows.labelled].mean()))
    others = [
        {"method": method, "metric": metric, "value": value}
        for method, measured in {"mean of y": mean, "another fit": another_fit(rows, seed)}.items()
        for metric, value in measured.items()
    ]
    return pd.concat([values, pd.DataFrame(others)]).assign(
        n_pairs=len(rows.pairs), n_train=rows.n_train, n_test=len(y_test)
    )


def another_fit(rows: Draw, seed: int) -> dict[str, float]:
    """Fit the default, and return what its trial said and what its spread is worth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivilegedInformationWarning)
        reg = GKDRegressor(random_state=seed).fit(**rows.arguments(rows.X_priv))
    y_pred, spread = reg.predict(rows.X[rows.test], return_std=True)
    error = np.abs(rows.y[rows.test] - y_pred)
    return {
        "trial": float(reg.distillation_.used),
        "rank": spearmanr(spread, error).statistic,
        "covered": np.mean(error <= 2 * spread),
    }


def report(values: pd.DataFrame, command: str) -> list[str]:
    """Return the lines of the report."""
    packages = ("sklearn-gkd", "scikit-learn", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    is_another = values["method"] == "another fit"
    of_methods = values[~is_another]
    of_fits = values[is_another].pivot_table("value", ["data", "n_labels"], "metric", sort=False)
    return [
        "# Quantities",
        "",
        f"{date.today()}: `{command}`",
        "",
        f"Commit {commit()}, Python {platform.python_version()}, {versions}.",
        "",
        "Rows are drawn as in `evidence.py`: test groups are apart, labels are drawn by class, and",
        "the other training rows are pairs. The arm is simulated, in the form of SARCOS; the other",
        "data are measured. All values are means over the splits.",
        "",
        "R² of `GKDRegressor()`, and its *gain* over *to beat*, the better of student alone and",
        "self-distillation on the same pairs, with its 95 % interval by the corrected resampled",
        "t-test, not corrected for the number of rows. *over permuted* is its gain over itself",
        "taught by X_priv in another order: what is not gained there is no gain by privileged",
        "information. *trial* is how often a fit of another seed found that its teacher helps.",
        "",
        *table_of_gains(of_methods, of_fits["trial"]),
        "",
        "## All methods",
        *tables_of_methods(of_methods),
        "",
        "## What the spread is worth",
        "",
        "Of `predict(X, return_std=True)` on test rows: Spearman's rank correlation of std with",
        "the absolute error, and the share of rows within 2 std of the prediction (of an error bar",
        "it would be 95 %).",
        "",
        *table_of_spread(of_fits),
    ]


def commit() -> str:
    """Return the last commit that changed the package."""
    command = ["git", "log", "-1", "--format=%h", "--", "sklearn_gkd"]
    folder = Path(__file__).parents[1]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.strip()


def table_of_gains(values: pd.DataFrame, trial: pd.Series) -> list[str]:
    """Return the lines of the table of gains in R²."""
    lines = table_head(
        *("data", "labels", "pairs", "to beat", "estimator", "teacher"),
        *("gain", "over permuted", "trial"),
    )
    for (data, n_labels), rows in values.groupby(["data", "n_labels"], sort=False):
        table = gain_table(rows).loc["r2"]
        to_beat = table.index[table["to_beat"]].item()
        means = [f"{table['mean'][name]:.2f}" for name in (to_beat, "estimator", "teacher")]
        gains = [
            f"{row.gain:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
            for row in table.loc[[to_beat, "permuted X_priv"]].itertuples()
        ]
        lines.append(
            f"| {data} | {n_labels} | {rows['n_pairs'].mean():.0f} | {' | '.join(means + gains)} "
            f"| {trial[data, n_labels]:.0%} |"
        )
    return lines


def tables_of_methods(values: pd.DataFrame) -> list[str]:
    """Return the lines of a table for each data set: every method and measure."""
    lines = []
    for data, rows in values.groupby("data", sort=False):
        means = rows.pivot_table("value", "method", ["n_labels", "metric"], sort=False)
        names = [f"{METRICS[metric]}, {n_labels} labels" for n_labels, metric in means]
        quantity, unit = QUANTITIES[data]
        lines += ["", f"### {data}: {quantity}, in {unit}", "", *table_head("method", *names)]
        lines += [
            f"| {row.Index} | {' | '.join(f'{value:.2f}' for value in row[1:])} |"
            for row in means.itertuples()
        ]
    return lines


def table_of_spread(of_fits: pd.DataFrame) -> list[str]:
    """Return the lines of the table of standard deviations beside errors."""
    return [
        *table_head("data", "labels", "rank correlation", "within 2 std"),
        *(
            f"| {data} | {n_labels} | {row['rank']:.2f} | {row['covered']:.0%} |"
            for (data, n_labels), row in of_fits.iterrows()
        ),
    ]


if __name__ == "__main__":
    main()
