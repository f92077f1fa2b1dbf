"""Values of pixels before they are averaged or classified: masked, shifted, with indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_gkd._common.checks import as_numbers, naming
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._optical import SpectralIndices
from sklearn_gkd.eo._radar import from_decibel, to_decibel
from sklearn_gkd.eo.raster._names import clouds_of, is_categorical, is_radar

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import xarray


def masked_and_shifted(
    stack: xarray.DataArray,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
    offset: float | Sequence[float] = 0,
) -> xarray.DataArray:
    """Return a stack with gaps where a mask marks pixels, without the mask, and with an offset.

    Parameters
    ----------
    stack : DataArray
        By `check_stack`.
    mask, mask_values, mask_bits, offset
        As in `object_series`.
    """
    if mask is None and (mask_values is not None or mask_bits is not None):
        raise ValueError("mask is None, but mask_values or mask_bits is given. Name its band.")
    return _shifted(stack if mask is None else _masked(stack, mask, mask_values, mask_bits), offset)


def _masked(stack: xarray.DataArray, mask: str, values: Any, bits: Any) -> xarray.DataArray:
    bands = stack["band"].to_numpy().tolist()
    if mask not in bands or len(bands) < 2:
        raise ValueError(f"mask={mask!r} is to be a band of the stack beside others: {bands}.")
    values = None if values is None else as_numbers(values, "mask_values")
    bits = None if bits is None else _bit_numbers(bits)
    if values is None and bits is None:
        values, bits = clouds_of(mask)
        if not (values or bits):
            raise ValueError(
                f"mask={mask!r} is not a mask that is known. Give mask_values=, the values at "
                "which a pixel is not used, or mask_bits=, the numbers of such bits, from 0."
            )
    values, bits = (() if given is None else given for given in (values, bits))
    layer = stack.sel(band=mask, drop=True)
    flags = layer.fillna(0).astype(np.int64) & sum(1 << bit for bit in set(bits))
    unused = np.isnan(layer) | layer.isin(list(values)) | (flags != 0)
    if not np.mod(list(values), 1).any():
        unused |= layer % 1 != 0  # interpolated, between what is used and what is not
    return stack.drop_sel(band=mask).where(~unused)


def _bit_numbers(bits: Any) -> list[int]:
    numbers = as_numbers(bits, "mask_bits")
    if not ((numbers >= 0) & (numbers < 63) & (numbers % 1 == 0)).all():
        raise ValueError(f"mask_bits is {bits!r}. Give whole numbers, 0 for the lowest bit.")
    return [int(number) for number in numbers]


def _shifted(stack: xarray.DataArray, offset: float | Sequence[float]) -> xarray.DataArray:
    n_dates = stack.sizes["time"]
    with naming("offset"):
        offsets = np.asarray(offset, dtype=stack.dtype)
    if offsets.shape not in ((), (n_dates,)) or not np.isfinite(offsets).all():
        raise ValueError(
            f"offset is {offset}. Give a number, or {n_dates} numbers, one for each date."
        )
    if not offsets.any():
        return stack
    return stack + xarray.DataArray(np.broadcast_to(offsets, n_dates), dims="time")


def refuse_classes(bands: Sequence[str]) -> None:
    """Raise an error that names the first band that holds classes or flags."""
    for band in filter(is_categorical, bands):
        raise ValueError(
            f"{band} holds classes or flags, not quantities. Give mask={band!r} to leave pixels "
            f"out by it, or the stack without it: stack.drop_sel(band={band!r})."
        )


def indices_of(stack: xarray.DataArray, indices: Sequence[str]) -> SpectralIndices | None:
    """Return what appends spectral indices to pixels (n, 1, C), None where there are none."""
    if len(indices) == 0:
        return None
    bands = stack["band"].to_numpy().tolist()
    known = [*bands, *indices]
    twice = [name for name in known if known.count(name) > 1]
    if twice:
        raise ValueError(
            f"indices names {twice[0]!r} twice, or it is a band of the stack already: {bands}. "
            "Leave one of them out."
        )
    return SpectralIndices(indices, bands=bands).fit(np.zeros((1, 1, len(bands))))


class PixelValues:
    """The values of pixels that are averaged: bands, in power where they are in dB, and indices."""

    def __init__(self, stack: xarray.DataArray, indices: Sequence[str], average: str):
        self.bands = stack["band"].to_numpy().tolist()
        refuse_classes(self.bands)
        in_power = [average == "power" and is_radar(band) for band in self.bands]
        self.in_power = np.array(in_power + [False] * len(indices))
        self.indices = indices_of(stack, indices)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return float64 (C + n_indices, n) of an image's (C, n)."""
        image = image.astype(np.float64)
        if self.indices is not None:
            image = self.indices.transform(image.T[:, None])[:, 0].T
        for band in np.flatnonzero(self.in_power):
            with naming(f"band {self.bands[band]} of the stack"):
                image[band] = from_decibel(image[band])
        return image

    def back(self, means: np.ndarray) -> np.ndarray:
        """Return means (..., C + n_indices) in the units of the stack."""
        means[..., self.in_power] = to_decibel(means[..., self.in_power])
        return means
