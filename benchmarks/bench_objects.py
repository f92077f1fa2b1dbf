"""Means of polygons by object_series, beside exactextract's own Python API and rasterstats.

10,000 polygons (1,000 in short) over 4 dates of 2 bands of a Sentinel-2 tile, 10,980 pixels along a
side (2,000 in short); then 31 dates of a smaller tile, beside 4 of it. Deflated files of 16 bits, a
file a date, as products come. rasterstats, which weighs no pixel by what a polygon covers of it, is
left out where it is not installed (pip install rasterstats).
"""

import tempfile
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import dask
import geopandas
import measuring
import numpy as np
import rasterio
import torch
from exactextract import exact_extract
from measuring import Ratio
from rasterio.transform import from_origin
from shapely import Point

from sklearn_gkd.eo.raster import object_series, open_stack

BANDS = ["B04", "B08"]


def write_tile(folder: Path, n_dates: int, size: int) -> list[Path]:
    """Write a file for each date, of what is smooth but for noise, as a landscape is."""
    rng = np.random.default_rng(0)
    places = np.arange(size, dtype=np.float32) / 30
    smooth = 2000 + 1000 * np.sin(places)[:, None] * np.cos(places)
    profile = {"count": 2, "height": size, "width": size, "dtype": "uint16", "crs": 32631}
    profile |= {"transform": from_origin(600_000, 5_000_040, 10, 10), "compress": "deflate"}
    paths = []
    for date in range(n_dates):
        paths.append(folder / f"{size}_{date:02d}.tif")
        with rasterio.open(
            paths[-1], "w", "GTiff", tiled=True, blockxsize=512, blockysize=512, **profile
        ) as file:
            for band in (1, 2):
                noise = rng.integers(0, 200, (size, size), dtype=np.uint16)
                file.write((smooth + 100 * band * date).astype(np.uint16) + noise, band)
    return paths


def polygons_of(n_polygons: int, size: int) -> geopandas.GeoDataFrame:
    """Return polygons of a hectare or two, of 33 corners, anywhere in a tile."""
    rng = np.random.default_rng(0)
    x = 600_000 + 10 * rng.uniform(10, size - 10, n_polygons)
    y = 5_000_040 - 10 * rng.uniform(10, size - 10, n_polygons)
    radii = rng.uniform(50, 80, n_polygons)
    shapes = [Point(*place).buffer(radius) for *place, radius in zip(x, y, radii, strict=True)]
    return geopandas.GeoDataFrame(geometry=shapes, crs=32631)


def by_object_series(paths: list[Path], polygons: geopandas.GeoDataFrame) -> np.ndarray:
    """Return the means, (n, T * C)."""
    dates = [f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(len(paths))]
    return object_series(open_stack(paths, dates, BANDS), polygons).to_numpy()


def by_exactextract(
    paths: list[Path], polygons: geopandas.GeoDataFrame, strategy: str
) -> np.ndarray:
    """Return the means, (n, T * C)."""
    return np.hstack(
        [
            exact_extract(path, polygons, ["mean"], output="pandas", strategy=strategy).to_numpy()
            for path in paths
        ]
    )


def by_rasterstats(paths: list[Path], polygons: geopandas.GeoDataFrame) -> np.ndarray:
    """Return the means, (n, T * C), of bands that are read whole: of files it takes far longer."""
    from rasterstats import zonal_stats

    columns = []
    for path in paths:
        with rasterio.open(path) as file:
            for band in (1, 2):
                given = {"affine": file.transform, "nodata": 65535, "stats": "mean"}
                found = zonal_stats(polygons, file.read(band), **given)
                columns.append([row["mean"] for row in found])
    return np.array(columns, dtype=float).T


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.parser(__doc__).parse_args()
    warnings.simplefilter("ignore")  # rasterio's, of affine; rasterstats', of nodata
    if args.threads:
        torch.set_num_threads(args.threads)  # which the report names
        dask.config.set(num_workers=args.threads)
    n_polygons, size, smaller = (1000, 2000, 500) if args.short else (10_000, 10_980, 2000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, polygons = write_tile(folder, 4, size), polygons_of(n_polygons, size)
        exact = partial(by_exactextract, paths, polygons)
        ours = by_object_series(paths, polygons)
        np.testing.assert_allclose(ours, exact("raster-sequential"), rtol=1e-4)
        season, fields = write_tile(folder, 31, smaller), polygons_of(n_polygons, smaller)
        functions = {
            "object_series": partial(by_object_series, paths, polygons),
            "exactextract by feature": partial(exact, "feature-sequential"),
            "exactextract by raster": partial(exact, "raster-sequential"),
            "31 dates": partial(by_object_series, season, fields),
            "4 dates": partial(by_object_series, season[:4], fields),
        }
        rivals = ["exactextract by feature", "exactextract by raster"]
        if find_spec("rasterstats"):
            rivals.append("rasterstats")
            functions["rasterstats"] = partial(by_rasterstats, paths, polygons)
        seconds = measuring.in_turns(functions, 3 if args.short else 1)
    for name, elapsed in seconds.items():
        print(f"{name:25s} {elapsed:8.2f} s")
    ratios = [
        Ratio(f"objects: {name} / object_series", seconds[name] / seconds["object_series"])
        for name in rivals
    ]
    linear = 31 / 4 * seconds["4 dates"] / seconds["31 dates"]
    ratios.append(Ratio("objects: 31 / 4 x time of 4 dates / time of 31", linear, 1.0))
    measuring.report("objects", ratios, args)


if __name__ == "__main__":
    main()
