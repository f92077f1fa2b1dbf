"""A map of a scene of the paper's size, block by block, from GeoTIFF to GeoTIFF.

5,572 x 5,390 pixels (150 x 2,048 in short), 31 dates of VV and VH, a file each; the default
student. The share is that of the rate of `predict` alone, on rows that are in memory, by one
thread. Two threads share what is wider than 1,024 pixels.
"""

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dask
import measuring
import numpy as np
import rasterio
import torch
from measuring import Ratio
from rasterio.transform import from_origin

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.eo.raster import open_stack, predict_map


def write_scene(folder: Path, sits, height: int, width: int) -> list[Path]:
    """Write a file for each date, of pixels drawn from the objects."""
    rng = np.random.default_rng(0)
    objects = rng.integers(len(sits.y), size=(height, width))
    paths = []
    for step, date in enumerate(sits.dates_s1):
        paths.append(folder / f"s1_{date}.tif")
        profile = {"count": 2, "height": height, "width": width, "dtype": "float32"}
        profile |= {"crs": 32631, "transform": from_origin(500_000, 4_980_000, 10, 10)}
        with rasterio.open(
            paths[-1], "w", "GTiff", tiled=True, blockxsize=256, blockysize=256, **profile
        ) as file:
            for band in range(2):
                file.write(sits.X_s1[objects, step, band], band + 1)
    return paths


def by_threads(n: int, function: Callable[[], object]) -> None:
    """Call a function that has n threads to read, and n to compute."""
    torch.set_num_threads(n)
    with dask.config.set(num_workers=n):
        function()


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.parser(__doc__).parse_args()
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's, of affine
    height, width = (150, 2048) if args.short else (5572, 5390)
    sits = make_sits(1000, random_state=0)
    clf = GKDClassifier(max_epochs=2, random_state=0).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
    rows = np.tile(sits.X_s1, (200, 1, 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_scene(folder, sits, height, width)
        stack = open_stack(paths, sits.dates_s1, sits.bands_s1)
        write = partial(predict_map, clf, stack, folder / "map.tif", progress=not args.short)
        seconds: dict[str, float] = {}
        functions = {
            "map": partial(by_threads, 1, write),
            "predict": partial(by_threads, 1, partial(clf.predict, rows)),
            "map, two threads": partial(by_threads, 2, write),
        }
        repeats = 3 if args.short else 1
        memory = measuring.memory_added(
            lambda: seconds.update(measuring.in_turns(functions, repeats))
        )
    rate, alone = height * width / seconds["map"], len(rows) / seconds["predict"]
    print(f"map {rate:12.0f} pixels/s, predict alone {alone:12.0f} rows/s")
    print(f"memory above the estimator {memory / 2**20:.0f} MB")
    ratios = [
        Ratio("map: pixels/s / rows/s of predict", rate / alone, 0.85),
        Ratio("map: one thread / two", seconds["map"] / seconds["map, two threads"], 1.8),
        Ratio(
            "map: 2 GB / memory above the estimator",
            measuring.under_limit(2 * 2**30, memory),
            1.0,
        ),
    ]
    measuring.report("map", ratios, args)


if __name__ == "__main__":
    main()
