"""The protocol and the tables of Ienco et al. (2020) on one data set.

Each object set is split into 50 % training, 20 % validation and 30 % test rows. Every method but
the teacher sees the radar series alone when it predicts. Writes Table 5 (scores), Table 6
(F-measure of each class), Figure 3 (confusion matrices) and the accuracy of each epoch, as CSV,
Markdown and PNG. A finished split is kept on disk, so that an interrupted run resumes where it was.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from importlib.metadata import version
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.utils import Bunch
from tqdm import tqdm

from sklearn_gkd import PAPER_SETTINGS, GKDClassifier, SeriesClassifier
from sklearn_gkd.datasets import load_sits, make_sits
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.evaluation import class_f_measures, scores, train_valid_test_split

METHODS = {
    "rf": "RF",
    "rf_nan": "RF, gaps as NaN",
    "mlp": "MLP",
    "cnn": "CNN",
    "ensemble": "student alone",
    "gkd": "GKD",
    "teacher": "teacher (upper bound: sees both sensors)",
}
DEFAULT_METHODS = "rf,mlp,cnn,ensemble,gkd,teacher"
DEPTHS = (20, 40, 60, 80, 100)
N_TREES = (100, 200, 300, 400, 500)


def main(argv: list[str] | None = None) -> None:
    args = parse_arguments(argv)
    data = make_sits(random_state=0) if args.data == "simulated" else load_sits(args.data)
    check_same_run(args)
    jobs = [
        (split, methods)
        for split in range(args.splits)
        for methods in fitted_together(args.methods)
        if not all(result_path(args, split, method).exists() for method in methods)
    ]
    n_threads = max(1, (os.cpu_count() or 1) // args.n_jobs)
    with on_cluster(args.scheduler) if args.scheduler else nullcontext():
        finished = Parallel(
            n_jobs=None if args.scheduler else args.n_jobs, return_as="generator_unordered"
        )(delayed(run_job)(args, data, split, methods, n_threads) for split, methods in jobs)
        for _ in tqdm(finished, total=len(jobs), desc="fits", unit="fit"):
            pass
    results = read_results(args)
    write_tables(args, data, results)
    write_confusion_matrices(args, data, results)
    write_curves(args, results)
    write_description(args, data, results)
    print((args.output / "table5.md").read_text())


@contextmanager
def on_cluster(address: str) -> Iterator[None]:
    """Have joblib run on the Dask cluster whose scheduler has this address."""
    from distributed import Client

    with Client(address), joblib.parallel_config(backend="dask", n_jobs=-1):
        yield


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="an npz for load_sits, or 'simulated'")
    parser.add_argument("--splits", type=int, default=10, help="number of random splits")
    parser.add_argument("--grouped", action="store_true", help="share no group between parts")
    parser.add_argument("--methods", default=DEFAULT_METHODS, help=f"some of {','.join(METHODS)}")
    parser.add_argument("--epochs", type=int, help="epochs of every net (default: their own)")
    parser.add_argument("--paper", action="store_true", help="train by PAPER_SETTINGS")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--n-jobs", type=int, default=1, help="fits at a time")
    parser.add_argument("--scheduler", help="address of a Dask cluster that sees --output too")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    args = parser.parse_args(argv)
    args.methods = args.methods.split(",")
    args.output = args.output.resolve()
    unknown = set(args.methods) - set(METHODS)
    if unknown:
        parser.error(f"--methods: unknown {sorted(unknown)}; give some of {list(METHODS)}")
    if args.data != "simulated" and not Path(args.data).is_file():
        parser.error(f"--data: there is no file {args.data}")
    if args.splits < 1 or args.n_jobs < 1:
        parser.error("--splits and --n-jobs are 1 or more")
    if args.epochs is not None and args.epochs < 1:
        parser.error("--epochs is 1 or more")
    return args


def check_same_run(args: argparse.Namespace) -> None:
    """Refuse to mix results of different settings in one folder."""
    simulated = args.data == "simulated"
    settings = {
        "data": args.data if simulated else Path(args.data).name,
        "sha256": None if simulated else hashlib.sha256(Path(args.data).read_bytes()).hexdigest(),
        "grouped": args.grouped,
        "epochs": args.epochs,
        "paper": args.paper,
        "nets": [
            clf.set_params(**budget(args, clf)).get_params()
            for clf in (SeriesClassifier(), GKDClassifier())
        ],
        "versions": {name: version(name) for name in ("sklearn-gkd", "scikit-learn", "torch")},
    }
    (args.output / "splits").mkdir(parents=True, exist_ok=True)
    path = args.output / "settings.json"
    if not path.exists():
        write_atomically(path, settings)
    elif json.loads(path.read_text()) != settings:
        sys.exit(
            f"{args.output} holds results of other settings ({path.read_text()}), and this run "
            f"has {json.dumps(settings)}. Give another --output."
        )


def fitted_together(methods: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the methods, but the student and its teacher as one fit."""
    together = tuple(method for method in methods if method in ("gkd", "teacher"))
    yield from ((method,) for method in methods if method not in together)
    if together:
        yield together


def run_job(args, data: Bunch, split: int, methods: tuple[str, ...], n_threads: int) -> None:
    """Fit one net or forest on one split, and write what it predicts for the test rows."""
    data = Bunch(**data)  # Dask may hand a Bunch on as a plain dict
    if args.n_jobs > 1:
        torch.set_num_threads(n_threads)
    groups = data.groups if args.grouped else None
    train, valid, test = train_valid_test_split(data.y, groups=groups, random_state=split)
    parts = Bunch(train=train, valid=valid, test=test, y=data.y)
    parts.radar = GapFiller().fit(data.X_s1[train]).transform(data.X_s1)
    start = time.perf_counter()
    if methods[0] == "rf":
        predictions = {"rf": fit_forest(parts.radar, parts, split, n_threads)}
    elif methods[0] == "rf_nan":
        predictions = {"rf_nan": fit_forest(data.X_s1, parts, split, n_threads)}
    elif methods[0] in ("mlp", "cnn", "ensemble"):
        predictions = fit_net(args, methods[0], parts, split)
    else:
        predictions = fit_student_and_teacher(args, data.X_s2, parts, split)
    seconds = time.perf_counter() - start
    for method in methods:
        result = {"test": test.tolist(), "seconds": seconds, **predictions[method]}
        write_atomically(result_path(args, split, method), result)


def fit_forest(X: np.ndarray, parts: Bunch, seed: int, n_threads: int) -> dict:
    """Choose depth and number of trees on the validation rows. One forest grows for each depth."""
    X = X.reshape(len(X), -1)
    best: dict = {"valid_accuracy": -1.0}
    for depth in DEPTHS:
        forest = RandomForestClassifier(
            max_depth=depth, warm_start=True, random_state=seed, n_jobs=n_threads
        )
        for n_trees in N_TREES:
            forest.set_params(n_estimators=n_trees).fit(X[parts.train], parts.y[parts.train])
            accuracy = forest.score(X[parts.valid], parts.y[parts.valid])
            if accuracy > best["valid_accuracy"]:
                best = {
                    "valid_accuracy": accuracy,
                    "settings": f"max_depth={depth}, n_estimators={n_trees}",
                    "y_pred": forest.predict(X[parts.test]).tolist(),
                }
    return best


def fit_net(args, name: str, parts: Bunch, seed: int) -> dict:
    clf = SeriesClassifier(name, device=args.device, random_state=seed)
    clf.set_params(**budget(args, clf)).fit(
        parts.radar[parts.train],
        parts.y[parts.train],
        X_val=parts.radar[parts.valid],
        y_val=parts.y[parts.valid],
    )
    return {name: net_result(clf.network_, clf.predict(parts.radar[parts.test]))}


def fit_student_and_teacher(args, optical: np.ndarray, parts: Bunch, seed: int) -> dict:
    clf = GKDClassifier(priv_transformer=GapFiller(), device=args.device, random_state=seed)
    clf.set_params(**budget(args, clf)).fit(
        parts.radar[parts.train],
        parts.y[parts.train],
        X_priv=optical[parts.train],
        X_val=parts.radar[parts.valid],
        y_val=parts.y[parts.valid],
        X_priv_val=optical[parts.valid],
    )
    radar = parts.radar[parts.test]
    filled = GapFiller().fit(optical[parts.train]).transform(optical[parts.test])
    of_teacher = clf.classes_[clf.teacher_predict_proba(radar, filled).argmax(axis=1)]
    return {
        "gkd": net_result(clf.student_, clf.predict(radar)),
        "teacher": net_result(clf.teacher_, of_teacher),
    }


def budget(args, clf) -> dict:
    """Return the settings of the command line that this classifier has."""
    settings = dict(PAPER_SETTINGS) if args.paper else {}
    if args.epochs is not None:
        settings["max_epochs"] = args.epochs
    return {name: value for name, value in settings.items() if name in clf.get_params(deep=False)}


def net_result(net, y_pred: np.ndarray) -> dict:
    accuracies = net.history[:, "valid_acc"]
    best = int(np.argmax(accuracies))
    return {
        "valid_accuracy": accuracies[best],
        "settings": f"best epoch {best + 1} of {len(accuracies)}",
        "curve": accuracies,
        "y_pred": y_pred.tolist(),
    }


def result_path(args, split: int, method: str) -> Path:
    return args.output / "splits" / f"{split:02d}_{method}.json"


def write_atomically(path: Path, content: dict) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content))
    os.replace(partial, path)


def read_results(args) -> dict[str, list[dict]]:
    """Return the results of each method, one for each split, in the order of METHODS."""
    return {
        method: [
            json.loads(result_path(args, split, method).read_text()) for split in range(args.splits)
        ]
        for method in METHODS
        if method in args.methods
    }


def write_tables(args, data: Bunch, results: dict[str, list[dict]]) -> None:
    overall = pd.DataFrame(
        {
            METHODS[method]: {
                "F-measure": mean_and_sd([s["f_measure"] * 100 for s in measured], 2),
                "Kappa": mean_and_sd([s["kappa"] for s in measured], 3),
                "Accuracy": mean_and_sd([s["accuracy"] * 100 for s in measured], 2),
            }
            for method, runs in results.items()
            for measured in [[scores(data.y[run["test"]], run["y_pred"]) for run in runs]]
        }
    ).T
    by_class = pd.DataFrame(
        {
            METHODS[method]: pd.concat(
                [class_f_measures(data.y[r["test"]], r["y_pred"], data.class_names) for r in runs],
                axis=1,
            ).mean(axis=1)
            * 100
            for method, runs in results.items()
        }
    ).T
    for name, table in [("table5", overall), ("table6", by_class.round(2))]:
        table.index.name = "Method"
        table.to_csv(args.output / f"{name}.csv")
        (args.output / f"{name}.md").write_text(table.to_markdown() + "\n")


def mean_and_sd(values: list[float], digits: int) -> str:
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def write_confusion_matrices(args, data: Bunch, results: dict[str, list[dict]]) -> None:
    n_classes = len(data.class_names)
    side = 1.5 + 0.42 * n_classes
    n_columns = min(3, len(results))
    n_rows = math.ceil(len(results) / n_columns)
    fig = plt.figure(figsize=(side * n_columns, side * n_rows), layout="constrained")
    for number, (method, runs) in enumerate(results.items(), start=1):
        ax = fig.add_subplot(n_rows, n_columns, number)
        ConfusionMatrixDisplay.from_predictions(
            data.y[runs[0]["test"]],
            runs[0]["y_pred"],
            labels=data.class_names,
            normalize="true",
            values_format=".0%" if n_classes < 10 else ".1f",
            xticks_rotation="vertical",
            cmap="Blues",
            colorbar=False,
            text_kw={"fontsize": 8},
            im_kw={"vmin": 0, "vmax": 1},
            ax=ax,
        )
        ax.set_title(METHODS[method].split(" (")[0])
    fig.suptitle("Share of each true class (rows) that is predicted as another, first split")
    fig.savefig(args.output / "figure3.png", dpi=80)
    plt.close(fig)


def write_curves(args, results: dict[str, list[dict]]) -> None:
    """Draw the validation accuracy of each net by its epochs, one line for each split."""
    nets = {method: runs for method, runs in results.items() if "curve" in runs[0]}
    if not nets:
        return
    fig, ax = plt.subplots(figsize=(9, 5), layout="constrained")
    for color, (method, runs) in enumerate(nets.items()):
        for i, run in enumerate(runs):
            label = None if i else METHODS[method].split(" (")[0]
            accuracies = 100 * np.array(run["curve"])
            ax.plot(range(1, len(accuracies) + 1), accuracies, f"C{color}", lw=1, label=label)
    ax.set(xlabel="epoch", ylabel="accuracy of the validation rows (%)", xscale="log")
    ax.legend()
    fig.savefig(args.output / "curves.png", dpi=80)
    plt.close(fig)


def write_description(args, data: Bunch, results: dict[str, list[dict]]) -> None:
    parts = train_valid_test_split(
        data.y, groups=data.groups if args.grouped else None, random_state=0
    )
    command = ["python benchmarks/land_cover.py", f"--data {Path(args.data).name}"]
    command += [f"--splits {args.splits}", f"--methods {','.join(args.methods)}"]
    command += [f"--{flag}" for flag in ("grouped", "paper") if getattr(args, flag)]
    command += [f"--epochs {args.epochs}"] if args.epochs is not None else []
    command += [f"--device {args.device} --n-jobs {args.n_jobs} --output {args.output.name}"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    packages = ("sklearn-gkd", "scikit-learn", "skorch", "torch", "numpy")
    lines = [
        f"# {args.output.name}",
        "",
        f"    {' '.join(command)}",
        "",
        f"- {date.today()}, {os.cpu_count()} cores ({cpu_name()}), GPU: {device}",
        f"- Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in packages),
        f"- {len(data.y)} objects; training, validation and test rows of the first split: "
        f"{', '.join(str(len(part)) for part in parts)}",
        f"- {args.splits} split(s), split i by seed i; "
        + ("no group is shared between parts" if args.grouped else "stratified by class"),
        "",
        "Scores are in points (kappa is not), mean ± standard deviation over the splits.",
        "",
        (args.output / "table5.md").read_text(),
        "F-measure of each class, mean over the splits:",
        "",
        (args.output / "table6.md").read_text(),
        "| Method | seconds to fit (median) | chosen on the validation rows, in each split |",
        "|---|---|---|",
        *(
            f"| {METHODS[method].split(' (')[0]} | {np.median([r['seconds'] for r in runs]):.0f} | "
            f"{'; '.join(run['settings'] for run in runs)} |"
            for method, runs in results.items()
        ),
        "",
        "GKD and its teacher are one fit, whose time both rows give.",
    ]
    (args.output / "run.md").write_text("\n".join(lines) + "\n")


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
