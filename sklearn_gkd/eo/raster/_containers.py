"""Containers: what odc-stac, stackstac, openEO or a netCDF file holds, as a stack."""

import os
import re
from collections.abc import Sequence
from typing import Any

from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._stacks import check_stack, known_values, with_names

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import rioxarray  # noqa: F401, the accessor rio
    import xarray
    from rasterio.crs import CRS

DIMENSIONS = {
    "time": ("time", "t", "date", "datetime", "valid_time"),
    "band": ("band", "bands", "variable", "channel"),
    "y": ("y", "latitude", "lat", "northing"),
    "x": ("x", "longitude", "lon", "easting"),
}

CODES = ("epsg", "proj:epsg", "proj:code")  # coordinates by which STAC tells the CRS


def as_stack(data: Any, *, bands: Sequence[str] | None = None) -> xarray.DataArray:
    """Return what another library loaded as a stack.

    Parameters
    ----------
    data : DataArray, Dataset or path
        As odc-stac, stackstac or openEO give it, or the path of a netCDF file or zarr store that
        xarray can open. Dimensions may be called ``t``, ``bands``, ``latitude`` and ``longitude``;
        the variables of a Dataset are bands. Without a dimension of time, it has a coordinate
        ``time``. The bands of rioxarray are called by its attribute ``long_name``.
    bands : sequence of str, default=None
        Bands that are wanted, in this order. None: all, in the order of `data`; a Dataset in a zarr
        store has none.

    Returns
    -------
    DataArray of shape (T, C, height, width)
        As `open_stack` gives it: floats, NaN where the attributes of `data` say that there is no
        data, scale and offset applied, rows from north to south; as lazy as `data` is.

    Raises
    ------
    ValueError
        If there is no CRS, no date, or no such band, if the order of the bands is not known, if
        two dates fall on one day, or if x and y are not evenly spaced.

    See Also
    --------
    open_stack : Opens GeoTIFFs.

    Examples
    --------
    >>> import odc.stac  # doctest: +SKIP
    >>> data = odc.stac.load(items, ["B04", "B08", "SCL"], groupby="solar_day")  # doctest: +SKIP
    >>> table = object_series(as_stack(data), fields, mask="SCL")  # doctest: +SKIP
    """
    if isinstance(data, str | os.PathLike):
        data = xarray.open_dataset(data, chunks="auto", decode_coords="all")
    if not isinstance(data, xarray.DataArray | xarray.Dataset):
        raise ValueError(f"data is {type(data).__name__}. Give a DataArray, a Dataset or a path.")
    crs = _crs_of(data)
    data = _renamed(data)
    if isinstance(data, xarray.Dataset):
        data = _of_variables(data, bands)
    elif "band" not in data.dims:
        data = _of_one_band(data, bands)
    if "time" not in data.dims:
        if "time" not in data.coords:
            raise ValueError("data has no time. Give it one: data.expand_dims(time=[...]).")
        data = data.expand_dims("time")
    data = with_names(data)
    if bands is not None:
        data = data.sel(band=_known(bands, data["band"].to_numpy().tolist()))
    others = [name for name in data.dims if name not in DIMENSIONS and data.sizes[name] == 1]
    data = data.squeeze(others)
    return check_stack(data if crs is None else data.rio.write_crs(crs))


def _renamed(data: Any) -> Any:
    """Return data with its dimensions called time, band, y and x."""
    names = {}
    for wanted, known in DIMENSIONS.items():
        found = [name for name in data.dims if str(name).lower() in known]
        if len(found) > 1:
            raise ValueError(f"data has the dimensions {found}, which are all {wanted}.")
        coordinates = [name for name in data.coords if str(name).lower() in known]
        for name in found or coordinates[:1]:
            if name != wanted:
                names[name] = wanted
    return data.rename(names)


def _of_variables(data: xarray.Dataset, bands: Sequence[str] | None) -> xarray.DataArray:
    """Return the variables that are images, as bands."""
    images = {name: of for name, of in data.data_vars.items() if {"y", "x"} <= set(of.dims)}
    said = [_said_of(name, image) for name, image in images.items()]
    if len(set(said)) == len(said) and (bands is None or not set(bands) <= set(images)):
        images = dict(zip(said, images.values(), strict=True))
    names = list(images) if bands is None else _known(bands, list(images))
    if not names:
        raise ValueError("data has no variable with dimensions x and y.")
    if bands is None and len(names) > 1 and any(map(_is_of_zarr, images.values())):
        raise ValueError(
            "data is read from a zarr store, which does not keep the order of its variables. Give "
            f"bands= in the order that you want: {sorted(map(str, names))}."
        )
    dimensions = set(images[names[0]].dims)
    for name in names:
        if "band" in images[name].dims or set(images[name].dims) != dimensions:
            raise ValueError(
                f"data has {name!r} of dimensions {images[name].dims}, beside {names[0]!r} of "
                f"{images[names[0]].dims}. Give bands= of the same dimensions, or one variable."
            )
    known = [known_values(images[name]) for name in names]
    joined = xarray.concat(known, "band", coords="minimal", compat="override", join="exact")
    return joined.assign_coords(band=[str(name) for name in names])


def _said_of(name: Any, image: xarray.DataArray) -> Any:
    """Return the name of a variable or, where rioxarray only numbered it, what it says it is."""
    numbered = re.fullmatch(r"band_\d+", str(name))
    return (numbered and image.attrs.get("long_name")) or name


def _is_of_zarr(variable: xarray.DataArray) -> bool:
    return not {"compressor", "compressors"}.isdisjoint(variable.encoding)


def _of_one_band(data: xarray.DataArray, bands: Sequence[str] | None) -> xarray.DataArray:
    if "band" in data.coords:
        return data.expand_dims("band")
    name = bands[0] if bands is not None and len(bands) == 1 else data.name
    if name is None:
        raise ValueError("data has one band, which has no name. Name it: data.rename('B04').")
    return data.expand_dims(band=[str(name)])


def _known(bands: Sequence[str], known: list[Any]) -> list[str]:
    missing = [band for band in bands if band not in known]
    if missing:
        raise ValueError(f"bands has {missing[0]!r}, which is not in data: {known}.")
    return list(bands)


def _crs_of(data: Any) -> Any:
    """Return the CRS, by rioxarray's rules, by a variable that holds it, or by STAC's code."""
    if data.rio.crs is not None:
        return data.rio.crs
    variables = data.variables if isinstance(data, xarray.Dataset) else data.coords
    for variable in variables.values():
        text = variable.attrs.get("crs_wkt") or variable.attrs.get("spatial_ref")
        if text:
            return CRS.from_user_input(text)
    for name in CODES:
        codes = (
            {str(code) for code in data.coords[name].to_numpy().ravel()}
            if name in data.coords
            else ()
        )
        if len(codes) == 1:
            (code,) = codes
            return CRS.from_user_input(int(code) if code.isdecimal() else code)
    return None
