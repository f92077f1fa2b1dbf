"""A search over 27 weights of the loss in 3 folds, with the teacher's targets kept and without.

Of 82 fits, ``memory`` leaves 4 teachers. With a teacher that costs r students it can therefore gain
82 (r + 1) / (4 r + 82); the benchmark reports what it does gain, and the share of that bound.

`GKDGridSearchCV` trains the candidates of a fold as cohorts: beside `GridSearchCV` with
``memory``, for MLPs of several widths and for the default student, 5 epochs each.
"""

import time
from functools import partial
from tempfile import TemporaryDirectory

import measuring
import torch
from measuring import Ratio
from sklearn.model_selection import GridSearchCV

from sklearn_gkd import GKDClassifier, GKDGridSearchCV
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

GRID = {"alpha": [0.5, 1, 2], "beta": [0.5, 1, 2], "gamma": [1, 5, 10]}
N_FITS, N_TEACHERS = 82, 4


def estimator(short: bool, memory=None) -> GKDClassifier:
    """Return the paper's pair, or in short narrower nets with features of the same width."""
    cnn = {"module__filters": [32] * 8 + [128], "module__head": 128} if short else {}
    mlp = {"module__width": 256, "module__features": 256, "module__head": 128} if short else {}
    teacher = SeriesNet("cnn", max_epochs=1, batch_size=32, **cnn)
    student = SeriesNet("mlp", max_epochs=1, batch_size=32, **mlp)
    return GKDClassifier(teacher, student, memory=memory, random_state=0)


def search(sits, short: bool, keep: bool) -> None:
    """Search, with the teacher's targets in a new folder or in none."""
    with TemporaryDirectory() as folder:
        clf = estimator(short, folder if keep else None)
        GridSearchCV(clf, GRID, cv=3).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)


def cost_of_teacher(sits, short: bool) -> float:
    """Return how many students a teacher costs: a fit that finds its targets trains none."""
    with TemporaryDirectory() as folder:
        clf = estimator(short, folder)
        durations = []
        for _ in range(2):
            start = time.perf_counter()
            clf.fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
            durations.append(time.perf_counter() - start)
    both, student = durations
    return both / student - 1


def student(name: str, n_epochs: int) -> SeriesNet:
    """Return the default student, or an MLP of a width."""
    sizes = {}
    if name != "ensemble":
        width = int(name)
        sizes = {"width": width, "features": width, "head": width // 2}
    module = {f"module__{key}": value for key, value in sizes.items()}
    return SeriesNet("mlp" if sizes else name, max_epochs=n_epochs, batch_size=32, **module)


def cohort_gain(sits, name: str, n_epochs: int, repeats: int) -> float:
    """Return the seconds of GridSearchCV with memory over those of GKDGridSearchCV."""

    def run(search) -> None:
        with TemporaryDirectory() as folder:
            net = student(name, n_epochs)
            clf = GKDClassifier(net, net, memory=folder, random_state=0)
            search(clf, GRID, cv=3, refit=False).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)

    searches = {search.__name__: partial(run, search) for search in (GridSearchCV, GKDGridSearchCV)}
    seconds = measuring.in_turns(searches, repeats)
    print(f"{name:24s}", *(f"{key} {value:.2f} s" for key, value in seconds.items()))
    return seconds["GridSearchCV"] / seconds["GKDGridSearchCV"]


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.parser(__doc__).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    sits = make_sits(400, random_state=0)
    cost_of_teacher(sits, args.short)
    costs = [cost_of_teacher(sits, args.short) for _ in range(5)]
    functions = {
        name: partial(search, sits, args.short, keep)
        for name, keep in [("every fit its teacher", False), ("memory", True)]
    }
    seconds = measuring.in_turns(functions, 1 if args.short else 5)
    r = sorted(costs)[2]
    gain = seconds["every fit its teacher"] / seconds["memory"]
    bound = N_FITS * (r + 1) / (N_TEACHERS * r + N_FITS)
    for name, value in seconds.items():
        print(f"{name:24s} {value:8.2f} s")
    print(f"a teacher costs {r:.2f} students, so that the bound is {bound:.2f}")
    ratios = [
        Ratio("27 candidates x 3 folds: memory=None / memory", gain),
        Ratio("the same: share of the bound", gain / bound, 0.85),
    ]
    for name in ["256"] if args.short else ["64", "256", "ensemble"]:
        gain = cohort_gain(sits, name, 5, 1 if args.short else 5)
        goal = 2.0 if name == "256" else None
        ratios.append(Ratio(f"GridSearchCV / GKDGridSearchCV, student {name}", gain, goal))
    measuring.report("search", ratios, args)


if __name__ == "__main__":
    main()
