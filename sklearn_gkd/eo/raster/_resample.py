"""Image stacks interpolated at other dates, pixel by pixel, as `eo.Resample` does with tables."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._dates import are_days, as_dates, as_days
from sklearn_gkd.eo._time import interpolated
from sklearn_gkd.eo.raster._names import is_categorical
from sklearn_gkd.eo.raster._pixels import masked_and_shifted
from sklearn_gkd.eo.raster._stacks import CHUNK, TOLERANCE, check_stack, days_of_names

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import xarray

VALUES = 2**22  # of a stack, interpolated at a time


def resample_stack(
    stack: xarray.DataArray,
    dates: Any,
    *,
    tolerance: float = TOLERANCE,
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
) -> xarray.DataArray:
    """Interpolate an image stack at other dates, linearly in days, without reading it yet.

    So a model of one year's dates takes the stack of another year. Each pixel is treated as a row
    of a table is by `eo.Resample`: gaps (NaN) are passed over, before the first observation and
    after the last the nearest one holds, and a pixel without any stays NaN.

    Parameters
    ----------
    stack : DataArray with dimensions time, band, y and x
        For instance by `open_stack`.
    dates : array-like of shape (T',), or DataFrame
        The dates that are wanted, in order. For another year, days of the season as columns are
        named by, from 1 January: numbers, or the columns themselves: a table of `object_series`, or
        names such as ``VV_d012`` (``clf.feature_names_in_``). They are of the first year of the
        stack, or of the year before or after where that is what the stack covers.
    tolerance : float, default=6
        Days by which a date may lie before the first acquisition or after the last.
    offset, mask, mask_values, mask_bits : object
        As in `object_series`, for the dates of the stack: pixels that the mask marks are gaps. Do
        not give them again to what uses the result, which has no mask.

    Returns
    -------
    DataArray of shape (T', C, height, width)
        In dask chunks, in the units and on the grid of the stack.

    Raises
    ------
    ValueError
        If the dates lie further outside of the stack's, are not in order, or are not whole days, if
        a band holds classes, which cannot be interpolated, or if the stack is not one.

    See Also
    --------
    join_orbits : Makes bands of the orbits of a radar.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import predict_map, resample_stack
    >>> of_2017 = resample_stack(stack_2017, clf.feature_names_in_)  # doctest: +SKIP
    >>> predict_map(clf, of_2017, "crops_2017.tif")  # doctest: +SKIP
    """
    stack = check_stack(stack)
    crs = stack.rio.crs
    stack = masked_and_shifted(stack, mask, mask_values, mask_bits, offset)
    for band in stack["band"].to_numpy().tolist():
        if is_categorical(band):
            raise ValueError(
                f"{band} holds classes or flags, which cannot be interpolated. Give mask={band!r} "
                f"to leave pixels out by it, or the stack without it: stack.drop_sel(band={band!r})"
            )
    days = stack["time"].to_numpy().astype("datetime64[D]")
    to_days = _wanted_days(dates, days, tolerance)
    n_steps = max(len(days), len(to_days))
    n_rows = max(1, VALUES // (n_steps * stack.sizes["band"] * CHUNK["x"]))
    resampled = xarray.apply_ufunc(
        partial(_interpolated, days=days, to_days=to_days),
        stack.chunk({"time": -1, "y": n_rows, "x": CHUNK["x"]}),
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        exclude_dims={"time"},
        dask="parallelized",
        output_dtypes=[stack.dtype],
        dask_gufunc_kwargs={"output_sizes": {"time": len(to_days)}},
    )
    in_order = resampled.transpose("time", "band", "y", "x")
    dated = in_order.assign_coords(time=to_days.astype("datetime64[ns]"))
    return dated.rio.write_crs(crs)  # older versions of xarray lose it


def _interpolated(pixels: np.ndarray, days: np.ndarray, to_days: np.ndarray) -> np.ndarray:
    """Return pixels (..., T') from (..., T)."""
    series = pixels.reshape(-1, len(days), 1)
    found = interpolated(series, days.astype(np.float64), to_days.astype(np.float64))
    return found.reshape(*pixels.shape[:-1], -1)


def _wanted_days(dates: Any, days: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the dates that are wanted, of which none lies too far outside of those of a stack."""
    first, last = days[[0, -1]]
    candidates = _candidates(dates, first)
    outside = [np.maximum(first - wanted, wanted - last).astype(int) for wanted in candidates]
    for wanted, n_days in zip(candidates, outside, strict=True):
        if n_days.max() <= tolerance:
            return wanted
    nearest = int(np.argmin([n_days.max() for n_days in outside]))
    farthest = outside[nearest].argmax()
    raise ValueError(
        f"stack has acquisitions from {first} to {last}, and {candidates[nearest][farthest]} is "
        f"{outside[nearest][farthest]} days outside. Give a stack that covers the dates (for "
        "another year, give days of the season or names of columns), or a greater tolerance."
    )


def _candidates(dates: Any, first: np.datetime64) -> list[np.ndarray]:
    """Return the dates that may be meant: days of the season are of any of three years."""
    values = np.asarray(getattr(dates, "columns", dates))
    of_names = days_of_names(values.ravel().tolist())
    if of_names is None and not are_days(values):
        times = as_dates(values, "dates").astype("datetime64[D]")
        return [as_dates(times, "dates").astype("datetime64[D]")]
    of_season = as_days(values if of_names is None else of_names, "dates")
    if (of_season % 1).any():
        raise ValueError(f"dates has {of_season[of_season % 1 > 0][0]:g}. Give whole days.")
    year = first.astype("datetime64[Y]")
    return [(year + years).astype("datetime64[D]") + of_season.astype(int) for years in (0, 1, -1)]
