"""
Radar, a cloudy optical season and one very sharp image
=======================================================

Prediction has radar alone. Training has more: optical images of three clear days, which show what
is green when, and one very sharp image of a part of the area, which shows how trees stand. The
patch of that image around an object is a source of images, of shape (H, W, C).
"""

# %%
# Simulated objects: radar and optical series from `make_sits`, 120 with a label, 600 pairs without
# one, 480 to test. Of the optical season, three dates were clear.
import geopandas
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray
from shapely.geometry import box

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.eo.raster import object_patches
from sklearn_gkd.networks import SeriesNet

N_LABELLED, SIDE = 120, 24
sits = make_sits(1200, random_state=0)
optical = sits.X_s2[:, [4, 11, 18]]

# %%
# A scene of 30 x 40 fields, of 24 pixels of half a metre along a side. Wood has crowns anywhere,
# orchards have them in a lattice, vines have rows; the rest is even ground.
rng = np.random.default_rng(0)
across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))


def canopy(cover):
    """Return the share of each pixel of a field that wood covers."""
    if cover == "Vines":
        angle = rng.uniform(0, np.pi)
        return 0.5 + 0.5 * np.sin((np.cos(angle) * across + np.sin(angle) * down) * 1.6)
    if cover == "Orchards":
        shift = rng.uniform(0, 8, 2)
        return np.cos((across + shift[0]) * 0.8) * np.cos((down + shift[1]) * 0.8) > 0.2
    if cover == "Forest":
        x, y = rng.uniform(0, SIDE, (2, 25, 1, 1))
        return (np.hypot(across - x, down - y) < 2.5).any(axis=0)
    return np.zeros((SIDE, SIDE))


def colours(cover):
    """Return the three colours of a field, (SIDE, SIDE, 3)."""
    ground, leaves = np.array([0.30, 0.25, 0.20]), np.array([0.08, 0.15, 0.05])
    share = canopy(cover)[:, :, None] * rng.uniform(0.6, 1)
    noise = rng.normal(0, 0.02, (SIDE, SIDE, 3)) + rng.normal(0, 0.02, 3)
    return ground * (1 - share) + leaves * share + noise


fields = np.array([colours(cover) for cover in sits.y]).reshape(30, 40, SIDE, SIDE, 3)
image = fields.transpose(4, 0, 2, 1, 3).reshape(1, 3, 30 * SIDE, 40 * SIDE).astype(np.float32)
x, y = 0.25 + 0.5 * np.arange(40 * SIDE), -0.25 - 0.5 * np.arange(30 * SIDE)
places = {"time": np.array(["2016-06-01"], "M8[ns]"), "band": ["R", "G", "B"], "y": y, "x": x}
scene = xarray.DataArray(image, places, ("time", "band", "y", "x")).rio.write_crs(2154)
outlines = [box(12 * i, -12 * (j + 1), 12 * (i + 1), -12 * j) for j in range(30) for i in range(40)]
polygons = geopandas.GeoDataFrame(geometry=outlines, crs=2154)

# %%
# The patch around each object, a row of a table. The flight took in two objects of three.
patches = object_patches(scene, polygons, size=16)
patches[rng.uniform(size=len(patches)) < 1 / 3] = np.nan
print(patches.shape, patches.attrs["shape"])

fig, axes = plt.subplots(2, 7, figsize=(9, 3), layout="constrained")
for column, cover in zip(axes.T, np.unique(sits.y), strict=True):
    rows = patches[(sits.y == cover) & patches.notna().all(axis=1).to_numpy()].to_numpy()[:2]
    for ax, patch in zip(column, rows.reshape(-1, 16, 16, 3), strict=True):
        ax.imshow(np.clip(2.5 * patch, 0, 1))
        ax.set_axis_off()
    column[0].set_title(cover, fontsize="small")

# %%
# One table, two sources. "cnn" has a branch of 1-D convolutions for the series, and one of 2-D
# convolutions for the patches.
n = len(optical[0].ravel())
X_priv = np.hstack([optical.reshape(len(optical), -1), patches.to_numpy()])
series = ("optical", "passthrough", slice(0, n), optical.shape[1:])
patch = ("patch", "passthrough", slice(n, None), patches.attrs["shape"])
small = {"filters": [64], "kernels": [3], "image_filters": [16, 32], "head": 64}
small = {f"module__{name}": size for name, size in small.items()}
teacher = SeriesNet("cnn", batch_size=16, **small)
student = SeriesNet("ensemble", module__n_members=4)

labelled, unlabelled, test = np.split(np.arange(1200), [N_LABELLED, N_LABELLED + 600])
rows = []
for sources in ([], [series], [patch], [series, patch]):
    clf = GKDClassifier(teacher, student, beta=0, priv_sources=sources or None, random_state=0)
    if sources:
        clf.fit(
            sits.X_s1[labelled],
            sits.y[labelled],
            X_priv=X_priv[labelled],
            X_unlabeled=sits.X_s1[unlabelled],
            X_priv_unlabeled=X_priv[unlabelled],
        )
    else:
        clf.set_params(gamma=0).fit(sits.X_s1[labelled], sits.y[labelled])
    name = " and ".join(source[0] for source in sources) or "labels alone"
    rows.append((name, clf.score(sits.X_s1[test], sits.y[test])))
results = pd.DataFrame(rows, columns=["taught by", "accuracy"]).set_index("taught by")
print(results.round(3))

# %%
fig, ax = plt.subplots(figsize=(6.5, 2.5), layout="constrained")
ax.plot(results["accuracy"], results.index, "o")
ax.set(xlabel="accuracy of the student on radar alone")
ax.invert_yaxis()
plt.show()
