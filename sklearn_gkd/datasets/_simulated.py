"""Simulate radar and optical series of a landscape like the Dordogne."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import RandomState
from scipy.signal import lfilter
from scipy.special import expit, logit
from sklearn.utils import Bunch, check_random_state

from sklearn_gkd._common.compat import Interval, validate_params

CLASS_COUNTS = {
    "Crops": 1457,
    "Forest": 2205,
    "Moor": 950,
    "Orchards": 1230,
    "Urban": 396,
    "Vines": 1246,
    "Water": 1113,
}

N_CELLS = 60

LOOKS = 50  # equivalent number of looks of an object's mean

DAYS_S1 = np.arange(3, 366, 12)[:31]

DAYS_S2 = np.arange(5, 366, 16)[:23]

DAYS = np.concatenate([DAYS_S1, DAYS_S2])


class Ground(NamedTuple):
    """Ground under the leaves, at medium moisture."""

    vv: float  # backscatter, dB
    vh: float
    reflectance: tuple[float, float, float, float]  # x 10,000, of B2, B3, B4, B8
    porosity: float  # how far moisture brightens it in radar and darkens it in optical


GROUNDS = {
    "soil": Ground(-11.5, -20.0, (900, 1200, 1550, 2300), 1.0),
    "litter": Ground(-12.5, -20.0, (730, 1000, 1270, 2200), 0.6),
    "built": Ground(-9.5, -17.0, (1200, 1400, 1550, 2200), 0.2),
    "water": Ground(-18.5, -26.0, (630, 690, 520, 400), 0.0),
}

LEAVES = {  # reflectance x 10,000 of a full cover, B2, B3, B4, B8
    "herb": (320, 650, 350, 4300),
    "broad": (250, 550, 280, 3700),
    "dark": (260, 430, 300, 2500),
}


class Cover(NamedTuple):
    """A type of land cover: one or several make a class."""

    land_class: str
    share: float  # of the class
    winter: float  # green cover, 0 to 1
    summer: float
    greenup: float  # day of the year at which half of the summer's gain is there
    decline: float  # day at which half of it is gone
    wood: float  # share of stems and branches, which radar sees all year
    canopy_vv: float  # backscatter of a full cover, dB
    canopy_vh: float
    leaf: str
    ground: str


COVERS = (
    Cover("Crops", 0.35, 0.15, 0.85, 75, 180, 0.0, -11.0, -16.5, "herb", "soil"),  # winter cereal
    Cover("Crops", 0.35, 0.05, 0.90, 165, 260, 0.0, -9.5, -15.5, "herb", "soil"),  # maize
    Cover("Crops", 0.30, 0.40, 0.80, 85, 290, 0.0, -10.5, -16.5, "herb", "soil"),  # sown meadow
    Cover("Forest", 0.55, 0.20, 0.90, 110, 305, 0.7, -9.0, -14.5, "broad", "litter"),  # oak
    Cover("Forest", 0.25, 0.70, 0.80, 120, 300, 0.7, -9.0, -14.5, "dark", "litter"),  # pine
    Cover("Forest", 0.20, 0.15, 0.90, 125, 295, 0.4, -9.5, -15.0, "broad", "litter"),  # coppice
    Cover("Moor", 0.50, 0.40, 0.65, 120, 250, 0.2, -11.0, -15.5, "dark", "litter"),  # heath
    Cover("Moor", 0.50, 0.25, 0.65, 95, 200, 0.1, -11.5, -16.5, "herb", "litter"),  # dry grass
    Cover("Orchards", 0.50, 0.25, 0.80, 140, 285, 0.2, -9.5, -15.0, "broad", "soil"),  # walnut
    Cover("Orchards", 0.50, 0.25, 0.75, 90, 310, 0.2, -9.5, -15.0, "broad", "soil"),  # plum
    Cover("Urban", 0.50, 0.10, 0.20, 100, 290, 0.1, -7.0, -13.5, "herb", "built"),  # town
    Cover("Urban", 0.50, 0.25, 0.50, 100, 290, 0.2, -8.0, -14.0, "broad", "built"),  # gardens
    Cover("Vines", 0.50, 0.05, 0.60, 132, 295, 0.1, -10.0, -15.5, "broad", "soil"),  # tilled
    Cover("Vines", 0.50, 0.30, 0.70, 128, 295, 0.1, -10.0, -15.5, "broad", "soil"),  # grassed
    Cover("Water", 0.50, 0.00, 0.05, 120, 290, 0.0, -10.0, -15.5, "broad", "water"),  # open
    Cover("Water", 0.50, 0.20, 0.80, 120, 290, 0.2, -10.0, -15.5, "broad", "water"),  # with reeds
)


class Weather(NamedTuple):
    """Season and soil moisture, which the objects of a cell share."""

    delay: np.ndarray  # (n_cells,): of the season, in days
    moisture: np.ndarray  # (n_cells, n_days): of the ground, from -0.5, dry, to 0.5, wet


@validate_params(
    {
        "n_samples": [Interval(Integral, len(CLASS_COUNTS), None, closed="left")],
        "cloud_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_unlabeled": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_sits(
    n_samples: int = 8597,
    *,
    cloud_fraction: float = 0.0,
    n_unlabeled: int = 0,
    random_state: int | RandomState | None = None,
) -> Bunch:
    """Simulate radar and optical series of a landscape like the Dordogne, in 2016.

    This is a simulation, for trying the method out where no data is at hand. Its classes, counts,
    bands and dates follow Ienco et al. (2020); its values come from the simple model below, and
    no score obtained on it says anything about a real landscape.

    Each class has one to three types of cover (crops: winter cereal, maize, sown meadow; forest:
    oak, pine, coppice; moor: heath, dry grass; orchards: walnut, plum; urban: town, gardens;
    vines: tilled, grassed; water: open, with reeds). A type's green cover rises and falls once a
    year (double logistic). Optical bands mix leaf and ground reflectance in proportion to it.
    Radar follows the water cloud model (Attema and Ulaby, 1978): wood, which is there all year,
    and leaves both hide the ground and scatter themselves, so that radar sees forest, orchards and
    vines much alike, where optical sees the dates at which they turn green.

    What varies within a class: type, dates and density of the cover, brightness and roughness of
    each object, the neighbouring cover that an object's outline takes in, and, shared by a cell,
    the season's delay and soil moisture. Radar has speckle: gamma-distributed with 50 equivalent
    looks, in linear power, before dB. Optical has residual atmosphere.

    Parameters
    ----------
    n_samples : int, default=8597
        Number of objects, at least 7. The classes are in the paper's proportions (by the largest
        remainder, and at least one object each), and have exactly its counts at 8,597.
    cloud_fraction : float, default=0.0
        Share of the optical acquisitions (object and date) that are NaN, in all bands. Clouds
        cover several objects of a cell at once. The other values do not depend on it.
    n_unlabeled : int, default=0
        Number of further objects of the same landscape, whose class is not told: pairs for
        ``fit(..., X_unlabeled=, X_priv_unlabeled=)``. The others do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Rules every draw.

    Returns
    -------
    Bunch
        X_s1 : ndarray of shape (n_samples, 31, 2), float32
            VV and VH in dB, every 12 days.
        X_s2 : ndarray of shape (n_samples, 23, 5), float32
            B2, B3, B4, B8 (reflectance x 10,000) and NDVI, in [-1, 1], every 16 days. There are
            no pixels here: NDVI is that of the object's B4 and B8.
        y : ndarray of shape (n_samples,), str
            Classes, in random order.
        groups : ndarray of shape (n_samples,), str
            The cell, one of 60, of each object.
        class_names : ndarray of shape (7,), str
            Sorted, as in a classifier's ``classes_``.
        bands_s1, bands_s2, dates_s1, dates_s2 : ndarrays of str
            Dates are written as 2016-01-04.
        X_unlabeled, X_priv_unlabeled : ndarrays of shape (n_unlabeled, 31, 2) and \
(n_unlabeled, 23, 5), float32
            Radar and optical series of the objects without a class; absent where n_unlabeled is
            0, as are their cells, ``groups_unlabeled``.

    Examples
    --------
    >>> from sklearn_gkd.datasets import make_sits
    >>> data = make_sits(1000, cloud_fraction=0.4, random_state=0)
    >>> data.X_s1.shape, data.X_s2.shape
    ((1000, 31, 2), (1000, 23, 5))
    >>> [str(name) for name in data.class_names]
    ['Crops', 'Forest', 'Moor', 'Orchards', 'Urban', 'Vines', 'Water']
    """
    rng = check_random_state(random_state)
    class_names = np.array(list(CLASS_COUNTS))
    y = rng.permutation(np.repeat(class_names, _class_counts(n_samples)))
    cell = rng.randint(N_CELLS, size=n_samples)
    weather = _weather(rng)
    X_s1, X_s2 = _objects(y, cell, weather, rng)
    cloudiness = rng.normal(size=(N_CELLS, len(DAYS_S2)))
    X_s2[_clouds(cloudiness[cell], cloud_fraction, rng)] = np.nan
    cell_names = np.array([f"cell_{number:02d}" for number in range(N_CELLS)])
    sits = Bunch(
        X_s1=X_s1,
        X_s2=X_s2,
        y=y,
        groups=cell_names[cell],
        class_names=class_names,
        bands_s1=np.array(["VV", "VH"]),
        bands_s2=np.array(["B2", "B3", "B4", "B8", "NDVI"]),
        dates_s1=_iso(DAYS_S1),
        dates_s2=_iso(DAYS_S2),
    )
    if n_unlabeled:
        shares = np.array(list(CLASS_COUNTS.values())) / sum(CLASS_COUNTS.values())
        untold = rng.choice(class_names, p=shares, size=n_unlabeled)
        cell = rng.randint(N_CELLS, size=n_unlabeled)
        sits.X_unlabeled, sits.X_priv_unlabeled = _objects(untold, cell, weather, rng)
        sits.X_priv_unlabeled[_clouds(cloudiness[cell], cloud_fraction, rng)] = np.nan
        sits.groups_unlabeled = cell_names[cell]
    return sits


def _objects(
    y: np.ndarray, cell: np.ndarray, weather: Weather, rng: RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return the radar (n, 31, 2) and the cloudless optical series (n, 23, 5) of objects.

    Each is its own cover and, in part, a neighbour's: outlines are never quite right.
    """
    power, reflectance = _observe(_draw_cover(y, rng), cell, weather, rng)
    neighbour_power, neighbour_reflectance = _observe(
        _draw_cover(rng.permutation(y), rng), cell, weather, rng
    )
    share = 0.5 * rng.beta(1.0, 3.0, size=(len(y), 1, 1))
    power += share * (neighbour_power - power)
    reflectance += share * (neighbour_reflectance - reflectance)
    X_s1 = 10 * np.log10(_speckle(power, LOOKS, rng))
    X_s2 = _with_ndvi(_atmosphere(reflectance, rng))
    return X_s1.astype(np.float32), X_s2.astype(np.float32)


def _class_counts(n_samples: int) -> np.ndarray:
    counts = np.array(list(CLASS_COUNTS.values()))
    quota = n_samples * counts / counts.sum()
    rounded = np.maximum(quota.astype(int), 1)
    missing = n_samples - rounded.sum()
    rounded[np.argsort(rounded - quota, kind="stable")[:missing]] += 1
    return rounded


def _iso(days: np.ndarray) -> np.ndarray:
    return (np.datetime64("2016-01-01") + days).astype(str)


def _weather(rng: RandomState) -> Weather:
    # Rain comes and dries up within weeks; most of it falls on the whole region.
    rain = lfilter([1], [1, -0.93], rng.normal(size=(1 + N_CELLS, 366)))[:, DAYS]
    season = 0.25 * np.cos(2 * np.pi * (DAYS - 20) / 366)
    moisture = season + 0.05 * rain[0] + 0.03 * rain[1:]
    return Weather(rng.normal(0, 4, N_CELLS), moisture.clip(-0.5, 0.5))


def _draw_cover(y: np.ndarray, rng: RandomState) -> np.ndarray:
    """Draw the index of a type of cover for each object."""
    cover = np.empty(len(y), dtype=int)
    for name in CLASS_COUNTS:
        types = [i for i, row in enumerate(COVERS) if row.land_class == name]
        of_class = y == name
        shares = [COVERS[i].share for i in types]
        cover[of_class] = rng.choice(types, size=of_class.sum(), p=shares)
    return cover


def _observe(
    cover: np.ndarray, cell: np.ndarray, weather: Weather, rng: RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return radar power (n, 31, 2) and reflectance (n, 23, 4) of pure objects, without noise."""
    types = pd.DataFrame(COVERS).iloc[cover]
    grounds = pd.DataFrame.from_dict(GROUNDS, orient="index").loc[types["ground"]]
    green = _green_cover(types, weather.delay[cell], rng)
    wet = weather.moisture[cell] * grounds["porosity"].to_numpy()[:, None]
    green_s1, green_s2 = np.split(green, [len(DAYS_S1)], axis=1)
    wet_s1, wet_s2 = np.split(wet, [len(DAYS_S1)], axis=1)
    power = _radar(green_s1, wet_s1, types, grounds, rng)
    return power, _optical(green_s2, wet_s2, types, grounds, rng)


def _green_cover(types: pd.DataFrame, delay: np.ndarray, rng: RandomState) -> np.ndarray:
    """Return the green cover (n, n_days), 0 to 1, of each object: a double logistic."""
    n = len(types)
    density = rng.normal(0, 0.3, n)
    winter = expit(logit(types["winter"]) + density + rng.normal(0, 0.2, n))
    summer = expit(logit(types["summer"]) + density + rng.normal(0, 0.2, n))
    greenup = types["greenup"] + delay + rng.normal(0, 6, n)
    decline = types["decline"] + delay + rng.normal(0, 8, n)
    winter, summer, greenup, decline = (
        np.asarray(column)[:, None] for column in (winter, summer, greenup, decline)
    )
    season = expit((DAYS - greenup) / 9) * expit((decline - DAYS) / 9)
    return winter + (summer - winter) * season


def _radar(
    green: np.ndarray,
    wet: np.ndarray,
    types: pd.DataFrame,
    grounds: pd.DataFrame,
    rng: RandomState,
) -> np.ndarray:
    """Return linear power (n, T, 2) of VV and VH: the water cloud model."""
    n = len(types)
    wood = types["wood"].to_numpy()[:, None]
    through = np.exp(-2 * (wood + (1 - wood) * green))[:, :, None]  # to the ground and back
    level = rng.normal(0, 1.15, (n, 1, 1)) + rng.normal(0, 0.4, (n, 1, 2))  # slope, rows, shape
    roughness = rng.normal(0, 1.2, (n, 1, 1))
    ground = grounds[["vv", "vh"]].to_numpy()[:, None] + roughness + 6 * wet[:, :, None]
    canopy = types[["canopy_vv", "canopy_vh"]].to_numpy()[:, None]
    mixed = through * 10 ** (ground / 10) + (1 - through) * 10 ** (canopy / 10)
    return mixed * 10 ** (level / 10)


def _optical(
    green: np.ndarray,
    wet: np.ndarray,
    types: pd.DataFrame,
    grounds: pd.DataFrame,
    rng: RandomState,
) -> np.ndarray:
    """Return reflectance (n, T, 4) of B2, B3, B4 and B8: leaves and ground by their cover."""
    n = len(types)
    green, wet = green[:, :, None], wet[:, :, None]
    leaf = np.array([LEAVES[name] for name in types["leaf"]])[:, None]
    ground = np.array(grounds["reflectance"].to_list())[:, None] * (1 - 0.3 * wet)
    brightness = rng.normal(0, 0.25, (2, n, 1, 1)) + rng.normal(0, 0.08, (2, n, 1, 4))
    of_leaf, of_ground = np.exp(brightness)
    return green * leaf * of_leaf + (1 - green) * ground * of_ground


def _speckle(power: np.ndarray, looks: float, rng: RandomState) -> np.ndarray:
    """Multiply power by gamma-distributed speckle of mean 1 and variance 1 / looks."""
    return power * rng.gamma(looks, 1 / looks, size=power.shape)


def _atmosphere(reflectance: np.ndarray, rng: RandomState) -> np.ndarray:
    """Add residual haze, stronger in the blue, and noise."""
    n, n_dates, _ = reflectance.shape
    haze = rng.exponential(60, size=(n, n_dates, 1)) * np.array([1.5, 1.1, 0.9, 0.6])
    return (reflectance + haze) * np.exp(rng.normal(0, 0.04, size=reflectance.shape))


def _with_ndvi(reflectance: np.ndarray) -> np.ndarray:
    red, near_infrared = reflectance[:, :, 2:3], reflectance[:, :, 3:4]
    ndvi = (near_infrared - red) / (near_infrared + red)
    return np.concatenate([reflectance, ndvi], axis=2)


def _clouds(of_cell: np.ndarray, fraction: float, rng: RandomState) -> np.ndarray:
    """Return a mask (n, T) of the cloudy acquisitions, by how cloudy each object's cell is."""
    cloudiness = of_cell + rng.normal(size=of_cell.shape)
    return cloudiness > np.quantile(cloudiness, 1 - fraction)
