"""Fetch radar and optical series of French parcels."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from sklearn_gkd._common.files import missing_extra

URL = (
    "https://github.com/WorldCereal/worldcereal-classification/raw/"
    "6c574425857177d9476bcf0876895e368ce445bb/"
    "src/worldcereal/data/dekad/2023_FRA_LPIS_POLY_110.geoparquet"
)

SHA256 = "d85774aed6f29c938c8c837a4705f0d346806823627b3a0a6c94ec0eca6e197b"

BANDS_S1 = {"VV": "S1-SIGMA0-VV", "VH": "S1-SIGMA0-VH"}

BANDS_S2 = {
    name: f"S2-L2A-{name}"
    for name in ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
}

NO_DATA = 65535

CLASSES = {  # by the leading digits of WorldCereal's crop code; the longest that fits holds
    "1101": "cereals",
    "110106": "maize",
    "1105": "pulses_fodder",
    "1106": "oilseeds",
    "1111": "pulses_fodder",
    "1115": "fallow",
    "1201": "fruit_nuts_vines",
    "2000": "grassland",
    "2001": "grassland",
}


def fetch_french_parcels(data_home: str | os.PathLike[str] | None = None) -> Bunch:
    """Fetch radar and optical series of 487 French parcels of 2023, with their declared crop.

    The file (0.6 MB) is downloaded once, checked and kept. Its source is WorldCereal, under the
    MIT licence: declared parcels of the French LPIS, ten-day composites from 2022-09-01 on, gaps
    where clouds were. Needs the extra ``geo``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to keep the file in. None: scikit-learn's data folder, ``~/scikit_learn_data``.

    Returns
    -------
    Bunch
        X_s1 : ndarray of shape (487, 51, 2), float32
            VV and VH in dB; NaN where there is no observation (7 %).
        X_s2 : ndarray of shape (487, 51, 9), float32
            Reflectance x 10,000; NaN where there is no observation (48 %).
        y : ndarray of shape (487,), str
            One of 7 groups of crops. Parcels of other crops, too few, are left out.
        groups : ndarray of shape (487,), str
            Cell of 0.1 degrees that the parcel lies in, for spatially disjoint splits.
        class_names, bands_s1, bands_s2, dates_s1, dates_s2 : ndarrays of str
            What the arrays hold.
        sample_id, lat, lon : ndarrays of shape (487,)
            Identifier in the source, and place in degrees.

    Raises
    ------
    ModuleNotFoundError
        Without the extra ``geo``.
    OSError
        Where the file is not there and cannot be downloaded.
    ValueError
        Where the SHA-256 of the download is not that of the file.

    References
    ----------
    https://github.com/WorldCereal/worldcereal-classification

    Examples
    --------
    >>> from sklearn_gkd.datasets import fetch_french_parcels
    >>> parcels = fetch_french_parcels()  # doctest: +SKIP
    >>> parcels.X_s1.shape, parcels.X_s2.shape  # doctest: +SKIP
    ((487, 51, 2), (487, 51, 9))
    """
    return _series(pd.read_parquet(_download(data_home)))


def _download(data_home: str | os.PathLike[str] | None) -> Path:
    with missing_extra("geo", "fetch_french_parcels"):
        import pooch
        import pyarrow.parquet  # noqa: F401
        from requests.exceptions import RequestException
    folder = Path(get_data_home(data_home)) / "sklearn_gkd"
    name = URL.rpartition("/")[2]
    try:
        return Path(
            pooch.retrieve(URL, known_hash=SHA256, fname=name, path=folder, progressbar=True)
        )
    except RequestException as error:
        raise OSError(
            f"{name} cannot be downloaded: {error}. Where there is a network, download {URL}, and "
            f"put it into {folder}."
        ) from error


def _series(observations: pd.DataFrame) -> Bunch:
    """Return the arrays of a table that has a row for each parcel and date."""
    code = observations["ewoc_code"].astype(str)
    crop = pd.Series(None, index=observations.index, dtype=object)
    for prefix, name in CLASSES.items():
        crop[code.str.startswith(prefix)] = name
    observations = observations.assign(crop=crop)[crop.notna()]
    parcels = observations.groupby("sample_id")[["crop", "lat", "lon"]].first()
    dates = np.sort(observations["timestamp"].unique())
    parcel = parcels.index.get_indexer(observations["sample_id"])
    step = np.searchsorted(dates, observations["timestamp"])

    def stack(columns: Collection[str]) -> np.ndarray:
        values = observations[list(columns)].to_numpy(np.float64)
        series = np.full((len(parcels), len(dates), len(columns)), np.nan)
        series[parcel, step] = np.where(values == NO_DATA, np.nan, values)
        return series

    lat, lon = parcels["lat"].to_numpy(), parcels["lon"].to_numpy()
    cells = np.floor(np.stack([lat, lon], axis=1) * 10).astype(int)
    days = np.datetime_as_string(dates, unit="D")
    return Bunch(
        X_s1=(20 * np.log10(stack(BANDS_S1.values())) - 83).astype(np.float32),
        X_s2=stack(BANDS_S2.values()).astype(np.float32),
        y=parcels["crop"].to_numpy(str),
        groups=np.array([f"{row}_{column}" for row, column in cells]),
        class_names=np.unique(parcels["crop"].to_numpy(str)),
        bands_s1=np.array(list(BANDS_S1)),
        bands_s2=np.array(list(BANDS_S2)),
        dates_s1=days,
        dates_s2=days,
        sample_id=parcels.index.to_numpy(str),
        lat=lat,
        lon=lon,
    )
