"""Spectral indices by name: normalised differences, and those of spyndex (extra: ``indices``)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

INDICES = {
    "NDVI": ("B8", "B4"),  # vegetation
    "NDWI": ("B3", "B8"),  # open water (McFeeters, 1996)
    "MNDWI": ("B3", "B11"),  # open water beside buildings
    "NDMI": ("B8", "B11"),  # moisture of the leaves
    "NDRE": ("B8", "B5"),  # vegetation, by the red edge
    "NBR": ("B8", "B12"),  # burnt ground
}
"""Normalised differences (a - b) / (a + b) of two Sentinel-2 bands."""

COMMON_NAMES = {
    "coastal": "B1",
    "blue": "B2",
    "green": "B3",
    "red": "B4",
    "rededge1": "B5",
    "rededge2": "B6",
    "rededge3": "B7",
    "nir": "B8",
    "nir08": "B8A",
    "nir09": "B9",
    "swir16": "B11",
    "swir22": "B12",
}
"""Sentinel-2's band of each name by which STAC catalogues call those of any optical sensor."""

LARGEST = 10  # no reflectance comes near: numbers above are not in 0 to 1


def channels_of(names: Sequence[str]) -> dict[str, int]:
    """Return the channel of each Sentinel-2 band, from their names or those that STAC gives."""
    channels = {_band(name): channel for channel, name in enumerate(names)}
    lower = [str(name).lower() for name in names]
    if "nir08" in lower:
        channels.setdefault("B8", lower.index("nir08"))  # Landsat's only near infrared
    return channels


def bands_of(index: str) -> list[str]:
    """Return the Sentinel-2 bands of an index, or raise an error where it is not known."""
    return list(INDICES[index] if index in INDICES else _of_spyndex(index)[0].values())


def compute(index: str, bands: Sequence[np.ndarray]) -> np.ndarray:
    """Return an index from its bands; a negative value, which no surface reflects, counts as 0."""
    bands = [np.maximum(band, 0) for band in bands]
    if index in INDICES:
        return _normalized_difference(*bands)
    codes, constants, depends_on_units = _of_spyndex(index)
    largest = max(np.nanmax(band, initial=0) for band in bands)
    if depends_on_units and largest > LARGEST:
        raise ValueError(
            f"{index} depends on the units: it is of reflectances from 0 to 1, but its bands have "
            f"values up to {largest:g}. Divide them first, by 10000 for Sentinel-2, but no mask: "
            'stack.where(stack.band == "SCL", stack / 10000).'
        )
    return _evaluate(index, dict(zip(codes, bands, strict=True)) | constants)


@cache
def _of_spyndex(index: str) -> tuple[dict[str, str], dict[str, float], bool]:
    """Return the bands and constants of an index by spyndex's codes, and if units matter to it."""
    unknown = f"indices has {index!r}, which is not one of {sorted(INDICES)}"
    try:
        import spyndex
    except ImportError:
        raise ValueError(
            f"{unknown}. The extra indices knows more than 200 others: "
            "pip install 'sklearn-gkd[indices]'."
        ) from None
    if index not in spyndex.indices:
        raise ValueError(f"{unknown}, nor of those of spyndex. Take a name in spyndex.indices.")
    codes, constants = {}, {}
    for code in spyndex.indices[index].bands:
        if hasattr(spyndex.bands.get(code), "sentinel2a"):
            codes[code] = spyndex.bands[code].sentinel2a.band
        elif getattr(spyndex.constants.get(code), "default", None) is not None:
            constants[code] = spyndex.constants[code].default
        else:
            raise ValueError(
                f"{index} needs {code}, which is neither a band of Sentinel-2 nor a constant that "
                "spyndex knows. Compute it yourself (spyndex.computeIndex), as a band of its own."
            )
    values = {code: np.array([0.1 + 0.07 * number]) for number, code in enumerate(codes)}
    tenfold = {code: 10 * value for code, value in values.items()}
    one, other = (_evaluate(index, of_bands | constants) for of_bands in (values, tenfold))
    return codes, constants, not np.allclose(one, other, rtol=1e-9)


def _evaluate(index: str, values: dict[str, Any]) -> Any:
    import spyndex

    with np.errstate(all="ignore"):
        found = spyndex.computeIndex(index, values)
    return np.where(np.isfinite(found), found, np.nan).astype(np.result_type(found))


def _normalized_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = a + b
    return np.divide(a - b, total, out=np.zeros_like(total), where=total != 0)


def _band(name: str) -> str:
    """Return the Sentinel-2 band of a name: B4 of B04, of B4 and of red."""
    name = COMMON_NAMES.get(str(name).lower(), name)
    return f"B{name[2:]}" if name.startswith("B0") else name
