"""The default's fit and prediction beside a forest and boosting, and how they grow with the rows.

The paper's 4,298 rows of 31 x 2 and 23 x 5 values (800 in short), CPU seconds; a forest of 300
trees and HistGradientBoosting see X alone. Prediction is of 100,000 rows (20,000 in short). The
exponents are those of the rows in fits of 1,000 to 16,000 rows and predictions of 10,000 to
1,000,000 (of 250 to 1,000, and of 5,000 to 20,000, in short): with 1, twice the rows take twice the
time.
"""

import time
from collections.abc import Callable
from functools import partial

import measuring
import numpy as np
import torch
from measuring import Ratio
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits

GOALS = {("fit", "forest"): 0.4, ("predict", "forest"): 1.0}


def cpu_seconds(function: Callable, *args) -> float:
    """Return the CPU time of a call."""
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def fit_default(sits) -> GKDClassifier:
    """Fit the default, of which every row has a label and privileged information."""
    return GKDClassifier(random_state=0).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)


def exponent(seconds_of: Callable[[int], float], sizes: list[int]) -> float:
    """Return the slope of a line fitted to the logarithms of sizes and seconds."""
    seconds = [seconds_of(n) for n in sizes]
    for n, elapsed in zip(sizes, seconds, strict=True):
        print(f"{n:12,d} rows {elapsed:10.2f} s")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.parser(__doc__).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    n_train, n_rows = (800, 20_000) if args.short else (4298, 100_000)
    to_fit = [250, 500, 1000] if args.short else [1000, 4000, 16_000]
    to_predict = [5000, 10_000, 20_000] if args.short else [10_000, 100_000, 1_000_000]
    sits = make_sits(n_train, random_state=0)
    table = sits.X_s1.reshape(n_train, -1)
    rivals = {
        "forest": RandomForestClassifier(300, random_state=0),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
    }
    functions = {"default": partial(cpu_seconds, fit_default, sits)}
    for name, rival in rivals.items():
        functions[name] = partial(cpu_seconds, rival.fit, table, sits.y)
    fits = measuring.in_turns(functions, 3 if args.short else 1)
    clf = fit_default(sits)
    rows = np.tile(sits.X_s1, (-(-to_predict[-1] // n_train), 1, 1))
    functions = {"default": partial(cpu_seconds, clf.predict, rows[:n_rows])}
    for name, rival in rivals.items():
        as_table = rows[:n_rows].reshape(n_rows, -1)
        functions[name] = partial(cpu_seconds, rival.predict, as_table)
    predictions = measuring.in_turns(functions, 5)
    for name in functions:
        print(f"{name:22s} fit {fits[name]:8.2f} s, predict {predictions[name]:8.3f} s")
    growth = {
        "fit": exponent(lambda n: cpu_seconds(fit_default, make_sits(n, random_state=0)), to_fit),
        "predict": exponent(lambda n: cpu_seconds(clf.predict, rows[:n]), to_predict),
    }
    ratios = [
        Ratio(
            f"{what}: {name} / default",
            seconds[name] / seconds["default"],
            GOALS.get((what, name)),
        )
        for what, seconds in (("fit", fits), ("predict", predictions))
        for name in rivals
    ]
    ratios += [Ratio(f"{what}: 1 / exponent of rows", 1 / slope) for what, slope in growth.items()]
    measuring.report("default", ratios, args)


if __name__ == "__main__":
    main()
