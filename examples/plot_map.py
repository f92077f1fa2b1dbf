"""
A map from radar in ten minutes
===============================

A landscape of fields is simulated: Sentinel-1 images with speckle, Sentinel-2 images with clouds,
each a GeoTIFF, and the fields' outlines in a GeoPackage. A third of the fields are surveyed. From
there on, everything is as with real files: mean series of the surveyed fields, pairs without a
label from anywhere in the images, a student that is taught by both sensors, a map of all pixels and
a map of all fields, from radar alone. At the end the map is opened as a viewer does, by what the
file itself says: its grid, its colours and the names of its classes.

The scene is simulated because images of a real one are too large to fetch here; with your own,
replace `write_scene` by their paths and dates. (``datasets.fetch_french_parcels`` has real fields,
but as series: there is nothing to map.)

Needs the extras ``geo`` and ``plot``.
"""

# %%
# What is imported, and what the scene is like.
import tempfile
import warnings
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.patches import Patch
from rasterio.features import rasterize
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter
from shapely import polygons as as_polygons

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.eo import GapFiller, despeckle, from_decibel, to_decibel
from sklearn_gkd.eo.raster import (
    object_series,
    open_stack,
    predict_map,
    predict_objects,
    sample_pairs,
    training_set,
)

PIXEL = 10  # metres
FIELD = 12  # pixels along a side
LOOKS = 4.4  # of a Sentinel-1 image
COLORS = {
    "Crops": (240, 200, 80),
    "Forest": (40, 110, 60),
    "Moor": (190, 140, 190),
    "Orchards": (140, 200, 90),
    "Urban": (200, 60, 50),
    "Vines": (130, 60, 120),
    "Water": (70, 130, 200),
}

# %%
# A scene to map
# --------------
# Fields with crooked borders, a series of both sensors for each, speckle and clouds.


def draw_fields(n_side, rng):
    """Return the outlines of n_side x n_side fields with crooked borders."""
    corners = np.stack(np.meshgrid(*[np.arange(n_side + 1.0)] * 2), axis=2)
    inner = np.index_exp[1:-1, 1:-1]
    corners[inner] += rng.uniform(-0.25, 0.25, size=corners[inner].shape)
    corners = corners * FIELD * PIXEL * [1, -1] + [500_000, 4_980_000]
    rings = np.stack(
        [corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2
    )
    return as_polygons(rings.reshape(-1, 4, 2))


def write_images(folder, name, images, dates, transform):
    """Write a GeoTIFF for each date, and return their paths."""
    paths = []
    for image, date in zip(images, dates, strict=True):
        path = folder / f"{name}_{date}.tif"
        n_bands, height, width = image.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=n_bands, height=height, width=width, dtype="float32",
            crs=32631, transform=transform, nodata=np.nan, compress="deflate",
        ) as file:  # fmt: skip
            file.write(image.astype(np.float32))
        paths.append(path)
    return paths


def write_scene(folder, n_side, random_state):
    """Write the images and the fields of a scene, and return what they are."""
    rng = np.random.RandomState(random_state)
    sits = make_sits(n_side**2, random_state=random_state)
    outlines = draw_fields(n_side, rng)
    size = n_side * FIELD
    transform = from_origin(500_000, 4_980_000, PIXEL, PIXEL)
    field_of = rasterize(
        zip(outlines, range(n_side**2), strict=True), (size, size), transform=transform
    )

    # The radar is speckled in power, independently in each pixel; clouds come in drifts.
    power = from_decibel(sits.X_s1)[field_of]
    radar = to_decibel(power * rng.gamma(LOOKS, 1 / LOOKS, size=power.shape))
    optical = sits.X_s2[field_of] * np.exp(rng.normal(0, 0.05, size=(size, size, 23, 5)))
    drifts = gaussian_filter(rng.normal(size=(size, size, 23)), (15, 15, 0))
    optical[drifts > np.quantile(drifts, 0.6)] = np.nan

    fields = geopandas.GeoDataFrame(
        {"cover": sits.y, "surveyed": rng.uniform(size=len(sits.y)) < 1 / 3},
        geometry=outlines,
        crs=32631,
    )
    fields.to_file(folder / "fields.gpkg")
    radar, optical = radar.transpose(2, 3, 0, 1), optical.transpose(2, 3, 0, 1)
    radar_paths = write_images(folder, "s1", radar, sits.dates_s1, transform)
    optical_paths = write_images(folder, "s2", optical, sits.dates_s2, transform)
    return sits, radar_paths, optical_paths


# %%
# From images to a map
# --------------------
# This is what you would write for your own images. `open_stack` reads nothing yet; `object_series`
# reads what the fields touch. The classifier learns twice, with and without pairs, to show what
# they are worth.


def main(folder, n_side=24):
    """Simulate a scene, map it, and return the objects with what was predicted."""
    sits, radar_paths, optical_paths = write_scene(folder, n_side, random_state=0)

    radar = open_stack(radar_paths, sits.dates_s1, sits.bands_s1)
    optical = open_stack(optical_paths, sits.dates_s2, sits.bands_s2)
    fields = geopandas.read_file(folder / "fields.gpkg")

    surveyed = fields[fields.surveyed]
    data = training_set(
        surveyed, object_series(radar, surveyed), object_series(optical, surveyed), y="cover"
    )
    # Both sensors also see the rest of the landscape, where nobody has said what grows. (The other
    # fields' outlines would teach more yet: give all fields to training_set, `cover` missing.)
    pairs = sample_pairs(radar, optical, 500, like=surveyed, random_state=0)
    clf = GKDClassifier(
        priv_transformer=GapFiller(n_channels=5, dates=sits.dates_s2),
        n_channels=2,
        n_channels_priv=5,
        random_state=0,
    )
    series = object_series(radar, fields)
    for name, drawn in {"labels alone": {}, "labels and pairs": pairs}.items():
        unlabeled = {key: table for key, table in drawn.items() if key != "polygons"}
        clf.fit(data.X, data.y, X_priv=data.X_priv, **unlabeled)
        objects = predict_objects(clf, series, fields, folder / "cover.gpkg")
        unseen = objects[~objects.surveyed]
        right = (unseen.predicted == unseen.cover).mean()
        print(f"{right:.1%} of the other fields are right, taught by {name}")

    # In single pixels speckle is too strong; filtered, they are nearer to the fields' means.
    filtered = radar.compute()
    for band in range(2):
        filtered[:, band] = to_decibel(despeckle(from_decibel(filtered[:, band])))
    layers = {"confidence": folder / "confidence.tif", "colors": COLORS, "progress": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Pixels are noisier")  # hence the filter
        predict_map(clf, filtered, folder / "cover.tif", **layers)
    return objects


# %%
# Look at it
# ----------
# The map's file says its grid, its colours and the names of its classes.


def open_map(path):
    """Return a map's image (height, width, 3), its extent and the colour of each class."""
    with rasterio.open(path) as file:
        values = file.read(1)
        names = {int(tag): name for tag, name in file.tags(1).items() if tag.isdigit()}
        colors = np.array([color[:3] for _, color in sorted(file.colormap(1).items())]) / 255
        left, bottom, right, top = file.bounds
    legend = {name: colors[value] for value, name in names.items()}
    return colors[values], (left, right, bottom, top), legend


def plot(folder, objects):
    """Show the truth, the two maps and the confidence."""
    image, extent, legend = open_map(folder / "cover.tif")
    left, right, bottom, top = extent
    with rasterio.open(folder / "confidence.tif") as file:
        confidence = file.read(1)
    figure, axes = plt.subplots(2, 2, figsize=(10, 10.5), layout="constrained")
    for ax, column in zip(axes[0], ["cover", "predicted"], strict=True):
        objects.plot(color=[legend[name] for name in objects[column]], ax=ax)
    axes[1, 0].imshow(image, extent=extent, interpolation="nearest")
    shown = axes[1, 1].imshow(confidence, extent=extent, vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes[1, 1], shrink=0.8)
    titles = ["simulated truth", "fields, from radar", "pixels, from filtered radar", "confidence"]
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set(title=title, xticks=[], yticks=[], xlabel="", ylabel="", xlim=(left, right))
        ax.set_ylim(bottom, top)
    patches = [Patch(color=color, label=name) for name, color in legend.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    plt.show()


# %%
# Fields that were not surveyed, by their true class; then what radar says of the fields, of every
# pixel, and how sure it is.
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        plot(Path(name), main(Path(name)))
