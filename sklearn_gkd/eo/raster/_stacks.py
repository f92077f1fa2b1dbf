"""Image stacks: opened, checked, and their dates and bands matched with names of columns.

A stack is an `xarray.DataArray` with dimensions time, band, y and x, dates as ``time``, names as
``band``, and a CRS (``stack.rio.write_crs``).
"""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._dates import as_dates

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rasterio
    import rioxarray
    import xarray
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT


CHUNK = {"x": 1024, "y": 256}

TOLERANCE = 6  # days: half of Sentinel-1's repeat cycle


def open_stack(paths, dates, bands: Sequence[str], *, like=None) -> xarray.DataArray:
    """Open image files as a stack, without reading them yet.

    Parameters
    ----------
    paths : sequence of T paths, or of T sequences of C paths
        A file for each date, with all bands, or a file for each date and band.
    dates : array-like of shape (T,)
        When each was acquired, in order: ``"2016-01-12"`` or datetime64.
    bands : sequence of str
        Names of the bands, in the files' order.
    like : DataArray, default=None
        A stack, or any raster with a CRS, to whose grid files of another CRS or grid are warped
        (bilinear).

    Returns
    -------
    DataArray of shape (T, C, height, width), float32
        In dask chunks; NaN where the files have no data.

    Raises
    ------
    ValueError
        If there are not as many files as dates and bands, if the dates are not in order, if a
        file has no CRS, or if the files lie on different grids and `like` is not given.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import open_stack
    >>> paths = ["S1_20160104.tif", "S1_20160116.tif"]
    >>> stack = open_stack(paths, ["2016-01-04", "2016-01-16"], ["VV", "VH"])  # doctest: +SKIP
    """
    paths = list(paths)
    if len(paths) != len(dates) or not paths:
        raise ValueError(
            f"paths has {len(paths)} entries, but dates has {len(dates)}. Give one for each date."
        )
    images = [_open_date(path, bands, like) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if _grid(image) != _grid(images[0]):
            raise ValueError(
                f"{path} lies on another grid than {paths[0]}: {_grid(image)} instead of "
                f"{_grid(images[0])}. Give like=, a raster to whose grid all are warped."
            )
    # Two files' coordinates may differ by rounding, where their grids do not.
    images = [image.assign_coords(x=images[0].x, y=images[0].y) for image in images]
    stack = xarray.concat(images, "time").assign_coords(
        time=as_dates(dates, "dates"), band=list(bands)
    )
    return check_stack(stack)


def _open_date(path, bands: Sequence[str], like) -> xarray.DataArray:
    if isinstance(path, str | os.PathLike):
        image = _open_file(path, like)
    else:
        images = [_open_file(band, like) for band in path]
        image = xarray.concat(images, "band", join="override")
    if image.sizes["band"] != len(bands):
        raise ValueError(
            f"{path} has {image.sizes['band']} bands, but bands names {len(bands)}: {list(bands)}. "
            "Name each band of the files."
        )
    return image.drop_attrs(deep=False).astype(np.float32)


def _open_file(path, like) -> xarray.DataArray:
    source = path
    if like is not None:
        grid = {
            "crs": like.rio.crs,
            "transform": like.rio.transform(recalc=True),
            "height": like.rio.height,
            "width": like.rio.width,
        }
        with rasterio.open(path) as file:
            source = WarpedVRT(file, resampling=Resampling.bilinear, nodata=file.nodata, **grid)
    image: Any = rioxarray.open_rasterio(source, chunks=CHUNK, masked=True)
    if image.rio.crs is None:
        raise ValueError(f"{path} has no CRS: write one into it (rio edit-info --crs).")
    return image.drop_vars([name for name in image.coords if name not in ("x", "y", "spatial_ref")])


def _grid(image: xarray.DataArray) -> tuple:
    transform = tuple(round(value, 6) for value in image.rio.transform()[:6])
    return str(image.rio.crs), transform, image.rio.height, image.rio.width


def check_stack(stack: Any) -> xarray.DataArray:
    """Return a stack with its dimensions in order, or raise an error that says what it lacks."""
    if not isinstance(stack, xarray.DataArray) or set(stack.dims) != {"time", "band", "y", "x"}:
        what = getattr(stack, "dims", type(stack).__name__)
        raise ValueError(
            f"stack is {what}. Give an xarray.DataArray of dimensions time, band, y and x, for "
            "instance by open_stack."
        )
    if stack.rio.crs is None:
        raise ValueError("stack has no CRS. Give it one: stack.rio.write_crs(32630).")
    stack = stack.transpose("time", "band", "y", "x")
    as_dates(stack["time"].to_numpy(), "the stack's dates")
    # A selection of pixels still carries the transform of the whole image.
    transform = stack.rio.transform(recalc=True)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise ValueError("stack is not north up. Warp it first: stack.rio.reproject(...).")
    return stack.rio.write_transform(transform)


def column_names(stack: xarray.DataArray, indices: Sequence[str] = ()) -> list[str]:
    """Return a name for each date and band: ``VV_d012`` on day 12 from 1 January of the first year.

    The year is left out, so that a model that is fitted on one season takes the next.
    """
    bands = [*stack["band"].to_numpy().tolist(), *indices]
    return [f"{band}_d{day:03d}" for day in _season_days(stack) for band in bands]


def align(
    stack: xarray.DataArray, names: Sequence[str], tolerance: float, indices: Sequence[str] = ()
) -> xarray.DataArray:
    """Return the dates and bands of a stack that columns of these names stand for.

    Raises
    ------
    ValueError
        If a day has no acquisition within `tolerance` days, or if a band is missing.
    """
    parts = [re.fullmatch(r"(.+)_d(\d+)", name) for name in names]
    if None in parts:
        wrong = next(name for name, part in zip(names, parts, strict=True) if part is None)
        raise ValueError(
            f"{wrong!r} is not the name of a band and a day, such as VV_d012. Give columns as "
            "object_series names them."
        )
    bands = list(dict.fromkeys(part[1] for part in parts if part))
    days = list(dict.fromkeys(int(part[2]) for part in parts if part))
    missing = set(bands) - set(stack["band"].to_numpy()) - set(indices)
    if missing:
        raise ValueError(
            f"stack has no band {sorted(missing)[0]}, which the columns have. Add it to the stack."
        )
    of_stack = _season_days(stack)
    steps = [int(np.abs(of_stack - day).argmin()) for day in days]
    gaps = [abs(int(of_stack[step]) - day) for step, day in zip(steps, days, strict=True)]
    if max(gaps) > tolerance or len(set(steps)) < len(steps):
        day = days[int(np.argmax(gaps))]
        raise ValueError(
            f"stack has no acquisition of its own within {tolerance} days of day {day:03d} "
            f"(counted from 1 January); it has days {of_stack.tolist()}. Bring both to common "
            "dates (eo.Resample), or give a greater tolerance."
        )
    return stack.isel(time=steps).sel(band=[band for band in bands if band not in indices])


def _season_days(stack: xarray.DataArray) -> np.ndarray:
    dates = stack["time"].to_numpy().astype("datetime64[D]")
    return (dates - dates[0].astype("datetime64[Y]")).astype(int)
