"""Orbits of a radar as bands of one stack."""

from collections.abc import Mapping
from typing import Any

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._grids import Grid
from sklearn_gkd.eo.raster._names import is_radar
from sklearn_gkd.eo.raster._resample import resample_stack
from sklearn_gkd.eo.raster._stacks import check_stack

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import xarray


REPEAT_CYCLE = 12  # days of one Sentinel-1


def join_orbits(
    stacks: Any, dates: Any = None, *, tolerance: float = REPEAT_CYCLE
) -> xarray.DataArray:
    """Join the stacks of several orbits to one whose bands tell them apart: VV_asc, VV_desc.

    Orbits see the ground from other sides and on other days: they are never averaged, and each is
    interpolated at common dates (`resample_stack`). What is fitted on the series of such a stack
    takes another year's orbits at the same days.

    Parameters
    ----------
    stacks : mapping of str to DataArray
        The stack of each orbit, by the name that is appended to its bands, such as ``asc`` and
        ``desc`` or ``orbit44``, all on one grid (`open_stack`, ``like=``).
    dates : array-like of shape (T',), or DataFrame, default=None
        Common dates, as in `resample_stack`. None: those of the first stack.
    tolerance : float, default=12
        As in `resample_stack`: Sentinel-1 passes every twelve days, so that the season of one orbit
        may begin or end by so much before that of another.

    Returns
    -------
    DataArray of shape (T', sum of the C, height, width)
        As `resample_stack` gives it.

    Raises
    ------
    ValueError
        If the stacks lie on different grids, if a name makes a band of decibels one that
        `object_series` would not know as such, or as in `resample_stack`.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import join_orbits, object_series, open_stack
    >>> asc = open_stack("S1_{date}_asc_{band}.tif", bands=["VV", "VH"])  # doctest: +SKIP
    >>> desc = open_stack(  # doctest: +SKIP
    ...     "S1_{date}_desc_{band}.tif", bands=["VV", "VH"], like=asc
    ... )
    >>> radar = join_orbits({"asc": asc, "desc": desc})  # doctest: +SKIP
    >>> object_series(radar, fields).columns[:4]  # doctest: +SKIP
    Index(['VV_asc_d003', 'VH_asc_d003', 'VV_desc_d003', 'VH_desc_d003'])
    """
    if not isinstance(stacks, Mapping) or not stacks:
        raise ValueError('stacks is no mapping. Give {"asc": stack, "desc": another}.')
    checked = {name: check_stack(stack) for name, stack in stacks.items()}
    first_name, first = next(iter(checked.items()))
    grid = Grid.of_array(first, first_name)
    orbits = []
    for name, stack in checked.items():
        found = Grid.of_array(stack, name)
        if not found.equals(grid):
            raise ValueError(
                f"stacks has {name!r} on another grid than {first_name!r}: {found} instead of "
                f"{grid}. Open it with like=, the stack of {first_name!r}."
            )
        orbit = resample_stack(
            stack, first["time"] if dates is None else dates, tolerance=tolerance
        )
        bands = [_name_of(band, name) for band in stack["band"].to_numpy().tolist()]
        orbits.append(orbit.assign_coords(band=bands, y=first["y"], x=first["x"]))
    for name, orbit in zip(checked, orbits, strict=True):
        if not orbit["time"].equals(orbits[0]["time"]):
            raise ValueError(
                f"stacks has {name!r} in another year than {first_name!r}, by dates. Give the "
                "dates themselves, of one year."
            )
    return xarray.concat(orbits, "band", coords="minimal", compat="override", join="override")


def _name_of(band: str, orbit: str) -> str:
    name = f"{band}_{orbit}"
    if is_radar(band) and not is_radar(name):
        raise ValueError(
            f"stacks has the name {orbit!r}, by which {name} would not be known as decibels. Call "
            'it "asc" or "desc", or by the number of the orbit: "orbit44".'
        )
    return name
