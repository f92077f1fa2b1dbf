"""A cluster of this machine, two workers beside one: maps, objects, searches, curves of labels.

2,080 x 1,000 pixels, two blocks of a map, 31 dates of VV and VH, a file each, and fields of 10 x 10
pixels; a grid search of four candidates in two folds, and `label_efficiency` in two splits, of 600
objects. In short, objects of 512 x 300 pixels alone. The default student, of few epochs. A worker
is a process of one thread. The bound is 2: all share a disk, a scheduler, and a writer of maps.
"""

import tempfile
import warnings
from functools import partial
from pathlib import Path

import geopandas
import joblib
import measuring
import numpy as np
from bench_map import write_scene
from distributed import Client, LocalCluster
from measuring import Ratio
from shapely import box
from sklearn.model_selection import GridSearchCV

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.eo.raster import object_series, open_stack, predict_map
from sklearn_gkd.evaluation import label_efficiency


def fields_of(height: int, width: int) -> geopandas.GeoDataFrame:
    """Return square fields of 100 m that cover a scene of 10 m pixels."""
    left, top = np.meshgrid(
        500_000 + 100 * np.arange(width // 10), 4_980_000 - 100 * np.arange(height // 10)
    )
    squares = box(left.ravel(), top.ravel() - 100, left.ravel() + 100, top.ravel())
    return geopandas.GeoDataFrame(geometry=squares, crs=32631)


def on(client: Client, function) -> None:
    """Call a function while a cluster is the active one."""
    with client.as_current(), joblib.parallel_config("dask"):
        function()


def search(sits) -> None:
    """Search for two weights of the loss."""
    grid = {"beta": [0.5, 1], "gamma": [1, 5]}
    clf = GKDClassifier(max_epochs=10, random_state=0)
    GridSearchCV(clf, grid, cv=2, refit=False).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)


def curve(sits) -> None:
    """Measure the score by the number of labels."""
    clf = GKDClassifier(max_epochs=10)
    label_efficiency(
        clf, sits.X_s1, sits.y, sits.X_s2, n_labels=(50,), n_pairs=(100, 200), cv=2, random_state=0
    )


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.parser(__doc__).parse_args()
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's, of affine
    height, width = (512, 300) if args.short else (2080, 1000)
    sits = make_sits(1000, random_state=0)
    clf = GKDClassifier(max_epochs=2, random_state=0).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
    with (
        tempfile.TemporaryDirectory() as name,
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as of_one,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as of_two,
        Client(of_one, set_as_default=False) as one,
        Client(of_two, set_as_default=False) as two,
    ):
        folder = Path(name)
        stack = open_stack(write_scene(folder, sits, height, width), sits.dates_s1, sits.bands_s1)
        write = partial(predict_map, clf, stack, folder / "map.tif", progress=False)
        average = partial(object_series, stack, fields_of(height, width))
        calls = {"object_series": average}
        if not args.short:
            some = make_sits(600, random_state=0)
            calls |= {"predict_map": write, "GridSearchCV": partial(search, some)}
            calls["label_efficiency"] = partial(curve, some)
        functions = {
            f"{name}, {n} worker(s)": partial(on, client, call)
            for name, call in calls.items()
            for n, client in ((1, one), (2, two))
        }
        seconds = measuring.in_turns(functions, 3)
    for name, elapsed in seconds.items():
        print(f"{name} {elapsed:8.2f} s")
    ratios = [
        Ratio(
            f"{name}: one worker / two",
            seconds[f"{name}, 1 worker(s)"] / seconds[f"{name}, 2 worker(s)"],
        )
        for name in calls
    ]
    measuring.report("cluster", ratios, args)


if __name__ == "__main__":
    main()
