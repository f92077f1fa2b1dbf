"""
Radar, a cloudy optical season and one very sharp image
=======================================================

Prediction has radar alone. Training has more: optical images of five clear days, which show what
is green when, and one very sharp image of half of the area, which shows how trees stand. The patch
of that image around an object is a source of images, of shape (H, W, C).
"""

# %%
# Simulated objects: radar and optical series, of which five dates were clear.
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

SIDE = 24  # pixels of a field
sits = make_sits(1200, random_state=0)
optical = sits.X_s2[:, [3, 7, 11, 15, 19]]

# %%
# A scene of 30 x 40 fields of 12 m, in pixels of half a metre. Wood has crowns anywhere,
# moor has small ones, orchards have them in a lattice, vines have rows, towns have roofs, and
# fields are even.
rng = np.random.default_rng(0)
across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))


def crowns(n, radius):
    """Return where crowns of this radius stand, (SIDE, SIDE)."""
    x, y = rng.uniform(0, SIDE, (2, n, 1, 1))
    return (np.hypot(across - x, down - y) < radius).any(axis=0)


def lattice(step):
    """Return where every other square of a lattice is, (SIDE, SIDE)."""
    x, y = rng.uniform(0, step, 2)
    return np.cos(np.pi * (across + x) / step) * np.cos(np.pi * (down + y) / step) > 0.2


def rows(width):
    """Return where rows of vines stand, at any angle, (SIDE, SIDE)."""
    angle = rng.uniform(0, np.pi)
    return np.sin((np.cos(angle) * across + np.sin(angle) * down) * np.pi / width) > 0


def colours(cover):
    """Return the three colours of a field, (SIDE, SIDE, 3)."""
    ground = np.array([0.05, 0.08, 0.09] if cover == "Water" else [0.30, 0.25, 0.20])
    above = np.array([0.50, 0.40, 0.38] if cover == "Urban" else [0.08, 0.15, 0.05])
    stands = {
        "Forest": lambda: crowns(25, 2.5),
        "Moor": lambda: crowns(30, 1.2),
        "Orchards": lambda: lattice(4),
        "Urban": lambda: lattice(7),
        "Vines": lambda: rows(2),
    }
    share = stands.get(cover, lambda: np.zeros((SIDE, SIDE)))()[:, :, None] * rng.uniform(0.6, 1)
    noise = rng.normal(0, 0.02, (SIDE, SIDE, 3)) + rng.normal(0, 0.02, 3)
    return ground * (1 - share) + above * share + noise


fields = np.array([colours(cover) for cover in sits.y]).reshape(30, 40, SIDE, SIDE, 3)
image = fields.transpose(4, 0, 2, 1, 3).reshape(1, 3, 30 * SIDE, 40 * SIDE).astype(np.float32)
x, y = 0.25 + 0.5 * np.arange(40 * SIDE), -0.25 - 0.5 * np.arange(30 * SIDE)
places = {"time": np.array(["2016-06-01"], "M8[ns]"), "band": ["R", "G", "B"], "y": y, "x": x}
scene = xarray.DataArray(image, places, ("time", "band", "y", "x")).rio.write_crs(2154)
outlines = [box(12 * i, -12 * (j + 1), 12 * (i + 1), -12 * j) for j in range(30) for i in range(40)]
polygons = geopandas.GeoDataFrame(geometry=outlines, crs=2154)

# %%
# The patch around each object, a row of a table. Half of the objects lie outside of the flight.
patches = object_patches(scene, polygons, size=16)
shown = rng.uniform(size=1200) > 1 / 2
patches[~shown] = np.nan
print(patches.shape, patches.attrs["shape"])

fig, axes = plt.subplots(2, 7, figsize=(9, 3), layout="constrained")
for column, cover in zip(axes.T, np.unique(sits.y), strict=True):
    examples = patches[shown & (sits.y == cover)].to_numpy()[:2].reshape(-1, 16, 16, 3)
    for ax, patch in zip(column, examples, strict=True):
        ax.imshow(np.clip(2.5 * patch, 0, 1))
        ax.set_axis_off()
    column[0].set_title(cover, fontsize="small")

# %%
# One table, two sources. "cnn" has a branch of 1-D convolutions for the series, and one of 2-D
# convolutions for the patches. 120 objects have a label, 600 are pairs without one, and 480 are to
# test.
n = len(optical[0].ravel())
X_priv = np.hstack([optical.reshape(len(optical), -1), patches.to_numpy()])
series = ("optical", "passthrough", slice(0, n), optical.shape[1:])
patch = ("patch", "passthrough", slice(n, None), patches.attrs["shape"])
small = {"filters": [64], "kernels": [3], "image_filters": [16, 32], "head": 64}
small = {f"module__{name}": size for name, size in small.items()}
teacher = SeriesNet("cnn", batch_size=16, **small)

scores = []
for seed in range(2):
    order = np.random.default_rng(seed).permutation(1200)
    labelled, unlabelled, test = np.split(order, [120, 720])
    for sources in ([], [series], [patch], [series, patch]):
        n_epochs = 20 if sources else 100  # as many steps on 720 rows as on 120
        clf = GKDClassifier(
            teacher,
            SeriesNet("ensemble", module__n_members=4, max_epochs=n_epochs),
            beta=0,
            distillation="always",
            priv_sources=sources or None,
            random_state=seed,
        )
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
        scores.append((name, clf.score(sits.X_s1[test], sits.y[test])))
results = pd.DataFrame(scores, columns=["taught by", "accuracy"])
mean = results.groupby("taught by", sort=False)["accuracy"].mean()
print(mean.round(3).to_string())

# %%
# Each source adds something here. Two draws: an illustration.
fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(results["accuracy"], results["taught by"], "o", color="0.7")
ax.plot(mean, mean.index, "o", color="tab:blue")
ax.set(xlabel="accuracy of the student on radar alone, of two draws and their mean")
ax.invert_yaxis()
plt.show()
