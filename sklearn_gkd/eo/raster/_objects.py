"""Objects: their mean series, and what a classifier is fitted on."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_gkd._common.compat import Interval, StrOptions, validate_params
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._coverage import coverage_of, means_of
from sklearn_gkd.eo.raster._pixels import PixelValues, masked_and_shifted
from sklearn_gkd.eo.raster._stacks import TOLERANCE, align, check_stack, column_names, order_of
from sklearn_gkd.eo.raster._vectors import Polygons, check_match, warn_of

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas
    import xarray


@validate_params(
    {
        "stack": "no_validation",
        "polygons": [geopandas.GeoDataFrame, geopandas.GeoSeries],
        "size": [Interval(Integral, 1, None, closed="left")],
        "indices": ["array-like"],
        "offset": "no_validation",
        "mask": [str, None],
        "mask_values": ["array-like", None],
        "mask_bits": ["array-like", None],
        "average": [StrOptions({"power", "db"})],
        "like": "no_validation",
        "tolerance": "no_validation",
    },
    prefer_skip_nested_validation=True,
)
def object_series(
    stack: xarray.DataArray,
    polygons: Polygons,
    *,
    indices: Sequence[str] = (),
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
    average: str = "power",
    size: int = 1,
    like: Any = None,
    tolerance: float = TOLERANCE,
) -> pd.DataFrame:
    """Average each band and date of an image stack over each polygon, or take it at points.

    Every pixel counts by the share of it that the polygon covers; pixels without data do not
    count. A point stands for the pixel that it lies in, or for a window around that; several
    points for all of their pixels. Of a collection, the polygons count, or else the points.
    Spectral indices are computed in each pixel, before averaging, as in the paper. Where a
    `dask.distributed.Client` is active, its workers read a stack in dask chunks, and send sums.

    Parameters
    ----------
    stack : DataArray with dimensions time, band, y and x
        For instance by `open_stack`. Ascending and descending orbits are bands of their own
        (`join_orbits`), or stacks.
    polygons : GeoDataFrame or GeoSeries
        Polygons or points. Its index names the objects. It is reprojected to the stack's CRS.
    indices : sequence of str, default=()
        Names in `eo.INDICES`, appended to the bands of each date; more with the extra ``indices``:
        see `eo.SpectralIndices`.
    offset : float or sequence of T floats, default=0
        Added to the bands before all else: -1000 for Sentinel-2 products of processing baseline
        04.00 or later that still hold that shift. One for each date of the stack where a season
        has both (the shift began on 25 January 2022). -7272.7 (-0.2 / 0.0000275) for the digital
        numbers of Landsat's Collection 2.
    mask : str, default=None
        A band, such as SCL, that marks pixels that are not used. They are left out before
        averaging, as are those where the mask itself has no data; the mask gets no column.
    mask_values : sequence of numbers, default=None
        Values of the mask at which a pixel is not used. None, and no `mask_bits`: for SCL,
        ``(0, 1, 3, 8, 9, 10)``: no data, defects, shadow, clouds and cirrus.
    mask_bits : sequence of int, default=None
        Numbers of bits, from 0, of which none may be set in the mask. None, and no `mask_values`:
        for QA_PIXEL (Landsat), ``(0, 1, 2, 3, 4)``; for QA60 (Sentinel-2), ``(10, 11)``.
    average : {"power", "db"}, default="power"
        How bands of a polarisation (VV, vh, VV_asc), which are in dB, are averaged: in linear
        power and then in dB again, or as they are, as the paper does. Other bands are averaged as
        they are.
    size : int, default=1
        Pixels along a side of the window around a point: 1 for its pixel alone, 3 for it and its
        eight neighbours. Odd.
    like : DataFrame or sequence of str, default=None
        An earlier table, or its column names (``clf.feature_names_in_``), whose columns are
        wanted: so a model that is fitted already takes another year's stack.
    tolerance : float, default=6
        Days by which an acquisition may lie off the day of a column of `like`. Where dates differ
        by more, `resample_stack` puts a stack on the days of the columns.

    Returns
    -------
    DataFrame of shape (n_polygons, T * C)
        Indexed as the polygons are. Columns are time-major, as the estimators take them with
        ``n_channels=C``, and named ``VV_d012``: band, and day from 1 January of the first date's
        year, so that a model also takes next year's. ``attrs["dates"]`` has the dates. NaN where a
        polygon has no data.

    Raises
    ------
    ValueError
        If stack or polygons lack a CRS, if an object's name is not unique, if an object is a line,
        if a band other than the mask holds classes, or if the stack has no acquisition near a day
        of `like`.

    Warns
    -----
    UserWarning
        Names the polygons that are empty, invalid or outside of the stack: their rows are NaN.

    References
    ----------
    Ienco et al. (2020), section 2: 8,597 polygons, 31 x 2 + 23 x 5 variables.

    Examples
    --------
    >>> import numpy as np, geopandas, xarray
    >>> from shapely.geometry import box
    >>> from sklearn_gkd.eo.raster import object_series
    >>> stack = xarray.DataArray(
    ...     np.array([[[[-10.0, -20.0], [-15.0, -15.0]]]]),
    ...     coords={"time": np.array(["2016-01-13"], "M8[ns]"), "band": ["VV"]},
    ...     dims=["time", "band", "y", "x"],
    ... )
    >>> stack = stack.assign_coords(x=[5, 15], y=[15, 5]).rio.write_crs(32631)
    >>> fields = geopandas.GeoDataFrame(geometry=[box(5, 10, 15, 20)], index=["a"], crs=32631)
    >>> object_series(stack, fields, average="db")
       VV_d012
    a    -15.0
    """
    if size % 2 == 0:
        raise ValueError(f"size is {size}. Give an odd number, for the pixel lies in the middle.")
    stack = masked_and_shifted(check_stack(stack), mask, mask_values, mask_bits, offset)
    if like is not None:
        like = list(getattr(like, "columns", like))
        stack = align(stack, like, tolerance, indices)
        order = order_of(stack, like, indices)
    pixels = PixelValues(stack, indices, average)
    coverage = coverage_of(stack, polygons, size)
    means = means_of(stack, coverage, pixels, len(polygons))
    names = column_names(stack, indices)
    table = pd.DataFrame(
        means.reshape(len(polygons), len(names)), index=polygons.index, columns=names
    )
    if like is not None:
        table = table.iloc[:, order].set_axis(like, axis=1)
    table.attrs["dates"] = np.datetime_as_string(stack["time"].to_numpy(), unit="D").tolist()
    return table


def training_set(
    polygons: pd.DataFrame,
    radar: pd.DataFrame,
    optical: pd.DataFrame | None = None,
    *,
    y: str,
    groups: str | None = None,
) -> Bunch:
    """Join the classes and the series of objects to what an estimator is fitted on.

    Parameters
    ----------
    polygons : GeoDataFrame
        Its index names the objects, as in the tables. Those without a class (outlines that nobody
        has surveyed, with a missing value in column `y`) are pairs without a label.
    radar, optical : DataFrame
        By `object_series`. Rows are matched by index.
    y : str
        Column of the classes.
    groups : str, default=None
        Column of the groups that a split keeps together, such as blocks of the region.

    Returns
    -------
    Bunch
        As ``fit`` takes it: ``clf.fit(**data)``.

        X : DataFrame
            The rows of `radar` that have data and a class.
        X_priv : DataFrame or None
            Those of `optical`, NaN throughout where there is none.
        y : ndarray of shape (n,)
            Their classes.
        groups : ndarray of shape (n,) or None
            Their groups, where there is such a column.
        X_unlabeled, X_priv_unlabeled : DataFrame or None
            Rows of both without a class. None if there are none.

    Warns
    -----
    UserWarning
        Names the polygons that are left out: without radar, or with neither a class nor optical.

    See Also
    --------
    sample_pairs : More rows without a class, from anywhere in the images.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gkd.eo.raster import training_set
    >>> fields = pd.DataFrame({"crop": ["oats", "rye"]}, index=["a", "b"])
    >>> radar = pd.DataFrame({"VV_d012": [-11.0, -12.0]}, index=["b", "a"])
    >>> training_set(fields, radar, y="crop").X
       VV_d012
    a    -12.0
    b    -11.0
    """
    for table, name in ((radar, "radar"), (optical, "optical")):
        if table is not None:
            check_match(table, polygons, name)
    X = radar.reindex(polygons.index)
    X_priv = None if optical is None else optical.reindex(polygons.index)
    has_class = polygons[y].notna()
    has_radar = X.notna().any(axis=1)
    labeled = has_radar & has_class
    unlabeled = has_radar & ~has_class & (X_priv is not None and X_priv.notna().any(axis=1))
    left_out = polygons.index[~(labeled | unlabeled)]
    warn_of("without radar, or with neither a class nor optical, and left out", left_out)
    return Bunch(
        X=X[labeled],
        X_priv=None if X_priv is None else X_priv[labeled],
        y=_classes_of(polygons[y], labeled),
        groups=None if groups is None else polygons.loc[labeled, groups].to_numpy(),
        X_unlabeled=X[unlabeled] if unlabeled.any() else None,
        X_priv_unlabeled=X_priv[unlabeled] if X_priv is not None and unlabeled.any() else None,
    )


def _classes_of(column: pd.Series, which: pd.Series) -> np.ndarray:
    """Return the classes of these rows, of the dtype that they had before gaps changed it."""
    classes = column[which].infer_objects()
    kind = getattr(classes.dtype, "kind", "O")
    whole = kind == "f" and (classes % 1 == 0).all()
    if whole:
        return classes.to_numpy(dtype=np.int64)
    nullable = kind in "iub" and not isinstance(classes.dtype, np.dtype)
    return classes.to_numpy(dtype=classes.dtype.numpy_dtype if nullable else None)
