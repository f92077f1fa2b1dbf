"""Image stacks: checked, and their dates and bands matched with names of columns.

A stack is an `xarray.DataArray` with dimensions time, band, y and x, dates as ``time``, names as
``band``, and a CRS (``stack.rio.write_crs``).
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo._dates import as_dates, as_text
from sklearn_gkd.eo.raster._grids import Grid
from sklearn_gkd.eo.raster._names import zero_is_valid

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import xarray

CHUNK = {"x": 1024, "y": 256}

# attributes that name values
NODATA = ("_FillValue", "missing_value", "fill_value", "nodata", "nodatavals")

SCALING = ("scale_factor", "add_offset")

INTENSITY = (
    "Give its calibrated intensity in dB, of a GRD product or multilooked: 10 log10(abs(z)**2)."
)

BAND_AND_DAY = re.compile(r"(.+)_d(\d+)")  # the name of a column: VV_d012

TOLERANCE = 6  # days: half of Sentinel-1's repeat cycle


def check_stack(stack: Any) -> xarray.DataArray:
    """Return a stack with its dimensions in order, or raise an error that says what it lacks.

    Rows go from north to south, columns from west to east, dates are datetime64 in UTC, bands have
    names, and what is no data is NaN.
    """
    if not isinstance(stack, xarray.DataArray) or set(stack.dims) != {"time", "band", "y", "x"}:
        what = getattr(stack, "dims", type(stack).__name__)
        raise ValueError(
            f"stack is {what}. Give an xarray.DataArray of dimensions time, band, y and x, for "
            "instance by open_stack, or by as_stack of what odc-stac, stackstac or openEO gave."
        )
    if stack.dtype.kind == "c":
        raise ValueError(f"stack is complex, as single-look (SLC) radar is. {INTENSITY}")
    if stack.dtype.kind not in "biuf":
        raise ValueError(f"stack is of {stack.dtype}. Give numbers.")
    stack = stack.transpose("time", "band", "y", "x")
    stack = with_names(stack.assign_coords(time=_dates_of(stack)))
    bands = stack["band"].to_numpy().tolist()
    for band in (band for band in bands if bands.count(band) > 1):
        raise ValueError(f"stack has several bands called {band}: {bands}. Give each its own name.")
    stack = _centred(stack)
    grid = Grid.of_array(stack, "stack")
    if grid.transform.e > 0:
        stack = stack.isel(y=slice(None, None, -1))
    if grid.transform.a < 0:
        stack = stack.isel(x=slice(None, None, -1))
    # A selection of pixels still carries the transform of the whole image.
    stack = known_values(stack).rio.write_crs(grid.crs)
    return stack.rio.write_transform(grid.north_up().transform)


def _dates_of(stack: xarray.DataArray) -> np.ndarray:
    """Return the dates as datetime64, or raise an error where two fall on one day."""
    # An old xarray makes numbers of the index where it has a time zone.
    dates = as_dates(stack.get_index("time"), "the stack's dates")
    days = dates.astype("datetime64[D]")
    for step in np.flatnonzero(days[1:] == days[:-1])[:1]:
        raise ValueError(
            f"stack has two acquisitions on {days[step]}: {as_text(dates[step : step + 2])}. "
            "Columns are named by day: make two stacks, one for each orbit (join_orbits makes "
            "bands of them), or one image of both (a mosaic, or stack.resample(time='1D').mean())."
        )
    return dates


def with_names(stack: xarray.DataArray) -> xarray.DataArray:
    """Return a stack with text for its bands: those of rioxarray, from 1, as ``long_name`` says."""
    said = stack.attrs.get("long_name", ())
    said = [said] if isinstance(said, str) else list(said)
    bands = stack["band"].to_numpy().tolist()
    numbers = range(1, len(said) + 1)
    names = dict(zip(numbers, said, strict=True)) if set(bands) <= set(numbers) else {}
    return stack.assign_coords(band=[str(names.get(band) or band) for band in bands])


def _centred(stack: xarray.DataArray) -> xarray.DataArray:
    """Return a stack with coordinates of its pixels' centres, where stackstac gave corners."""
    noted = stack.attrs.get("transform", ())
    if len(noted) < 6 or "x" not in stack.coords or "y" not in stack.coords:
        return stack
    across, _, left, _, down, top, *_ = noted
    columns, rows = (stack["x"] - left) / across, (stack["y"] - top) / down
    corners = all((abs(steps - steps.round()) < 0.1).all() for steps in (columns, rows))
    same_size = all((abs(steps.diff(steps.dims[0]) - 1) < 0.1).all() for steps in (columns, rows))
    if not same_size and _is_thinned(stack["x"], across):
        raise ValueError(
            "stack has an attribute transform of other pixels than its x: whether x and y are of "
            "corners or of centres cannot be told. Call as_stack before coarsen or a step in isel; "
            "or, where they are centres, leave the attribute out: del stack.attrs['transform']."
        )
    if not (corners and same_size):
        return stack
    return stack.assign_coords(x=stack["x"] + across / 2, y=stack["y"] + down / 2)


def _is_thinned(x: xarray.DataArray, width: float) -> bool:
    """Return whether pixels are several times as wide as a width."""
    times = x.diff(x.dims[0]).to_numpy() / width
    return len(times) > 0 and bool((times > 1.5).all() and (abs(times - times.round()) < 0.1).all())


def known_values(stack: xarray.DataArray) -> xarray.DataArray:
    """Return floats, NaN where a stack, or what its attributes say, has no data.

    Whole numbers are taken as they were stored: ``scale_factor`` and ``add_offset`` are applied.
    """
    stored = stack.dtype.kind != "f"
    scale, offset = (stack.attrs.get(name, 1 - n) for n, name in enumerate(SCALING))
    scales, offsets = stack.attrs.get("scales", 1), stack.attrs.get("offsets", 0)
    of_bands = (np.asarray(scales) != 1).any() or (np.asarray(offsets) != 0).any()
    if of_bands or (not stored and (scale, offset) != (1, 0)):
        raise ValueError(
            f"stack has attributes of scale and offset, {scale, offset} and {scales, offsets}, and "
            f"is of {stack.dtype}: it cannot be told whether they were applied. Apply them if not "
            "(mask_and_scale=True), and leave them out: stack.drop_attrs(deep=False)."
        )
    valid, known = _where_zero_is_valid(stack), np.isfinite(stack)
    for nodata in _nodata_of(stack, stored):
        known &= (stack != nodata) | (valid & (nodata == 0))
    dtype = np.result_type(stack.dtype, np.float32)
    values = stack.astype(dtype).where(known)
    if not stored and any(stack.encoding.get(name) == 0 for name in NODATA):
        values = values.where(known | ~valid, 0)  # what decoding made NaN
    if (scale, offset) != (1, 0):
        values = (values.astype(np.float64) * scale + offset).astype(dtype)
    return values.drop_attrs(deep=False)


def _nodata_of(stack: xarray.DataArray, stored: bool) -> set[float]:
    """Return the values that mean no data, as they are noted and as float32 holds them."""
    noted = [stack.attrs, stack.encoding if stored else {}]
    given = [of[name] for of in noted for name in NODATA if of.get(name) is not None]
    values = np.concatenate([[], *map(np.ravel, given)]).astype(np.float64)
    with np.errstate(over="ignore"):
        return {*values, *values.astype(np.float32).astype(np.float64)}


def _where_zero_is_valid(stack: xarray.DataArray) -> xarray.DataArray:
    """Return in which bands, or whether in a variable, 0 is not "no data"."""
    if "band" not in stack.dims:
        return xarray.DataArray(zero_is_valid(str(stack.name)))
    valid = [zero_is_valid(name) for name in stack["band"].to_numpy()]
    return xarray.DataArray(valid, dims="band")


def column_names(stack: xarray.DataArray, indices: Sequence[str] = ()) -> list[str]:
    """Return a name for each date and band: ``VV_d012`` on day 12 from 1 January of the first year.

    The year is left out, so that a model that is fitted on one season takes the next.
    """
    bands = [*stack["band"].to_numpy().tolist(), *indices]
    return [f"{band}_d{day:03d}" for day in _season_days(stack) for band in bands]


def days_of_names(names: Sequence[Any]) -> list[int] | None:
    """Return the days in names of columns, each once; None where one is not such a name."""
    parts = [BAND_AND_DAY.fullmatch(str(name)) for name in names]
    return None if None in parts else list(dict.fromkeys(int(part[2]) for part in parts if part))


def align(
    stack: xarray.DataArray, names: Sequence[str], tolerance: float, indices: Sequence[str] = ()
) -> xarray.DataArray:
    """Return the dates and bands of a stack that columns of these names stand for.

    All bands are left where there are indices, which may be computed from any of them.

    Raises
    ------
    ValueError
        If a day has no acquisition within `tolerance` days, or if a band is missing.
    """
    bands, days = (
        list(dict.fromkeys(parts)) for parts in zip(*_bands_and_days(names), strict=True)
    )
    of_stack = stack["band"].to_numpy().tolist()
    missing = set(bands) - set(of_stack) - set(indices)
    if missing:
        raise ValueError(
            f"stack has no band {sorted(missing)[0]}, which the columns have. Add it to the stack "
            "or, where it is a spectral index, to indices=."
        )
    steps = _steps_near(stack, np.array(days), tolerance)
    others = [band for band in of_stack if band not in bands and len(indices)]
    return stack.isel(time=steps).sel(band=[band for band in bands if band not in indices] + others)


def order_of(
    stack: xarray.DataArray, names: Sequence[str], indices: Sequence[str] = ()
) -> list[int]:
    """Return which column of the table of a stack, by `align`, stands for each of these names."""
    parts = _bands_and_days(names)
    unused = [index for index in indices if index not in {band for band, _ in parts}]
    if unused:
        raise ValueError(
            f"indices has {unused[0]!r}, which the columns have not: {list(names)[:20]}. Leave it "
            "out."
        )
    bands = [*stack["band"].to_numpy().tolist(), *indices]
    days = dict.fromkeys(day for _, day in parts)
    columns = [(band, day) for day in days for band in bands]
    return [columns.index(part) for part in parts]


def _bands_and_days(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return the band and the day of each column of these names."""
    parts = []
    for name in names:
        part = BAND_AND_DAY.fullmatch(name)
        if part is None:
            raise ValueError(
                f"{name!r} is not the name of a band and a day, such as VV_d012. Give columns as "
                "object_series names them."
            )
        parts.append((part[1], int(part[2])))
    return parts


def _steps_near(stack: xarray.DataArray, days: np.ndarray, tolerance: float) -> list[int]:
    """Return the date nearest to each day, by the first year of the stack or one beside it.

    A season over New Year is counted from the year in which it begins, and the table may have begun
    a few days earlier or later than the stack, on the other side of 1 January.
    """
    for years in (0, 1, -1):
        distances = np.abs(_season_days(stack, years) - days[:, None])
        steps, gaps = distances.argmin(axis=1), distances.min(axis=1)
        if gaps.max() <= tolerance and len(set(steps)) == len(steps):
            return steps.tolist()
    of_stack = _season_days(stack)
    day = days[np.abs(of_stack - days[:, None]).min(axis=1).argmax()]
    raise ValueError(
        f"stack has no acquisition of its own within {tolerance} days of day {day:03d} (counted "
        f"from 1 January); it has days {of_stack.tolist()}. Interpolate it at the "
        "days of the columns (resample_stack), or give a greater tolerance."
    )


def _season_days(stack: xarray.DataArray, years: int = 0) -> np.ndarray:
    """Return days from 1 January of the first date's year, or of one so many years later."""
    dates = stack["time"].to_numpy().astype("datetime64[D]")
    return (dates - (dates[0].astype("datetime64[Y]") + years).astype("datetime64[D]")).astype(int)
