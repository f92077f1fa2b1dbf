"""Objects: their mean series, what a classifier is fitted on, and the classes it predicts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csc_array
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.compat import StrOptions, validate_params
from sklearn_gkd._common.files import missing_extra, replacing
from sklearn_gkd.eo.raster._pixels import PixelValues, masked_and_shifted
from sklearn_gkd.eo.raster._predicting import most_probable, predict_probabilities
from sklearn_gkd.eo.raster._stacks import TOLERANCE, align, check_stack, column_names

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas
    import xarray
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource
    from shapely import is_valid

ROWS = 512  # of the image, read at a time


@validate_params(
    {
        "stack": "no_validation",
        "polygons": [geopandas.GeoDataFrame],
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
    stack,
    polygons,
    *,
    indices: Sequence[str] = (),
    offset: float | Sequence[float] = 0,
    mask: str | None = None,
    mask_values: Sequence[float] | None = None,
    mask_bits: Sequence[int] | None = None,
    average: str = "power",
    like=None,
    tolerance: float = TOLERANCE,
) -> pd.DataFrame:
    """Average each band and date of an image stack over each polygon.

    Every pixel counts by the share of it that the polygon covers; pixels without data do not
    count. Spectral indices are computed in each pixel, before averaging, as in the paper.

    Parameters
    ----------
    stack : DataArray with dimensions time, band, y and x
        For instance by `open_stack`. Keep ascending and descending orbits apart.
    polygons : GeoDataFrame
        Its index names the objects. It is reprojected to the stack's CRS.
    indices : sequence of str, default=()
        Names in `eo.INDICES`, appended to the bands of each date.
    offset : float or sequence of T floats, default=0
        Added to the bands before all else: -1000 for Sentinel-2 products of processing baseline
        04.00 or later that still hold that shift. One for each date of the stack where a season
        has both (the shift began on 25 January 2022).
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
    like : DataFrame or sequence of str, default=None
        An earlier table, or its column names (``clf.feature_names_in_``), whose columns are
        wanted: so a model that is fitted already takes another year's stack.
    tolerance : float, default=6
        Days by which an acquisition may lie off the day of a column of `like`.

    Returns
    -------
    DataFrame of shape (n_polygons, T * C)
        Indexed as the polygons are. Columns are time-major, as the estimators take them with
        ``n_channels=C``, and named ``VV_d012``: band, and day from 1 January of the first date's
        year, so that a model also takes next year's. ``attrs["dates"]`` has the dates. NaN where a
        polygon has no data.

    Warns
    -----
    UserWarning
        Names the polygons that are empty, invalid or outside of the stack: their rows are NaN.

    Raises
    ------
    ValueError
        If stack or polygons lack a CRS, if an object's name is not unique, if a band other than
        the mask holds classes, or if the stack has no acquisition near a day of `like`.

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
    stack = masked_and_shifted(check_stack(stack), mask, mask_values, mask_bits, offset)
    if like is not None:
        like = list(getattr(like, "columns", like))
        stack = align(stack, like, tolerance, indices)
    names = like or column_names(stack, indices)
    pixels = PixelValues(stack, indices, average)
    means = _means(stack, _coverage(stack, polygons), pixels)
    table = pd.DataFrame(
        means.reshape(len(polygons), len(names)), index=polygons.index, columns=names
    )
    table.attrs["dates"] = np.datetime_as_string(stack["time"].to_numpy(), unit="D").tolist()
    return table


def training_set(polygons, radar, optical=None, *, y: str, groups: str | None = None) -> Bunch:
    """Join the classes and the series of objects to what an estimator is fitted on.

    Parameters
    ----------
    polygons : GeoDataFrame
        Its index names the objects, as in the tables.
    radar, optical : DataFrame
        By `object_series`. Rows are matched by index.
    y : str
        Column of the classes.
    groups : str, default=None
        Column of the groups that a split keeps together, such as blocks of the region.

    Returns
    -------
    Bunch
        X : DataFrame
            The rows of `radar` that have data.
        X_priv : DataFrame or None
            Those of `optical`, NaN throughout where there is none.
        y : ndarray of shape (n,)
        groups : ndarray of shape (n,) or None

    Warns
    -----
    UserWarning
        Names the polygons without radar or without a class, which are left out.

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
    _check_index(polygons)
    X = radar.reindex(polygons.index)
    usable = X.notna().any(axis=1) & polygons[y].notna()
    _warn_of("without radar or without a class, and left out", polygons.index[~usable])
    rows = polygons[usable]
    return Bunch(
        X=X[usable],
        X_priv=None if optical is None else optical.reindex(rows.index),
        y=rows[y].to_numpy(),
        groups=None if groups is None else rows[groups].to_numpy(),
    )


def predict_objects(estimator, series: pd.DataFrame, polygons, out, *, probabilities=False):
    """Classify objects, and write their polygons with the classes to a GeoPackage.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    series : DataFrame
        By `object_series`, with the columns that fit saw.
    polygons : GeoDataFrame
        Indexed as `series` is.
    out : str or path-like
        GeoPackage (``.gpkg``). If writing fails, an earlier file stays as it was.
    probabilities : bool, default=False
        Whether to add a column ``p_<class>`` for each class.

    Returns
    -------
    GeoDataFrame
        `polygons` with the columns ``predicted`` and ``confidence``, the probability of the
        class that is predicted; both are missing where the series has no data, or gaps that the
        estimator does not take.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import object_series, predict_objects
    >>> series = object_series(stack, fields)  # doctest: +SKIP
    >>> predict_objects(clf, series, fields, "fields.gpkg").predicted  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    series = series.reindex(polygons.index)
    names = None if getattr(estimator, "feature_names_in_", None) is None else series.columns
    of_classes = predict_probabilities(estimator, series.to_numpy(np.float64), names)
    of_classes = of_classes.astype(np.float64)
    class_names = np.array([None, *map(str, estimator.classes_)], dtype=object)
    objects = polygons.copy()
    predicted = class_names[most_probable(of_classes)]
    objects["predicted"] = pd.Series(predicted, index=objects.index, dtype=object)
    objects["confidence"] = of_classes.max(axis=1)
    if probabilities:
        for name, values in zip(estimator.classes_, of_classes.T, strict=True):
            objects[f"p_{name}"] = values
    with replacing(out) as partial_path:
        objects.to_file(partial_path, driver="GPKG", layer=Path(out).stem, index=True)
    return objects


def _coverage(stack: xarray.DataArray, polygons) -> csc_array:
    """Return the share of each pixel that each polygon covers, (n_polygons, height * width)."""
    if polygons.crs is None:
        raise ValueError("polygons have no CRS. Give them one: polygons.set_crs(32630).")
    _check_index(polygons)
    polygons = polygons.to_crs(stack.rio.crs)
    shapes = polygons.geometry
    empty = (shapes.isna() | shapes.is_empty).to_numpy()
    invalid = ~empty & ~is_valid(shapes.to_numpy())
    usable = np.flatnonzero(~(empty | invalid))
    height, width = stack.sizes["y"], stack.sizes["x"]
    left, bottom, right, top = stack.rio.bounds()
    grid = NumPyRasterSource(
        np.broadcast_to(np.float32(0), (height, width)),
        *(left, bottom, right, top),
        srs_wkt=polygons.crs.to_wkt(),
    )
    features = geopandas.GeoDataFrame(geometry=shapes.iloc[usable])
    cells, shares = [], []
    if len(features):
        found = exact_extract(grid, features, ["cell_id", "coverage"], output="pandas")
        cells, shares = found["cell_id"].to_numpy(), found["coverage"].to_numpy()
    counts = np.array([len(of_polygon) for of_polygon in cells], dtype=int)
    _warn_of("empty", polygons.index[empty])
    _warn_of("invalid (mend them by polygons.make_valid())", polygons.index[invalid])
    _warn_of("outside of the stack", polygons.index[usable[counts == 0]])
    columns = np.concatenate([np.empty(0, dtype=np.int64), *cells]).astype(np.int64)
    values = np.concatenate([np.empty(0), *shares])
    rows = np.repeat(usable, counts)
    return csc_array((values, (rows, columns)), shape=(len(polygons), height * width))


def _means(stack: xarray.DataArray, coverage: csc_array, pixels: PixelValues) -> np.ndarray:
    """Return the means (n_polygons, T, C), strip by strip and date by date."""
    n_steps, _, height, width = stack.shape
    sums = np.zeros((n_steps, len(pixels.in_power), coverage.shape[0]))
    weights = np.zeros_like(sums)
    for top in range(0, height, ROWS):
        strip = slice(top, min(top + ROWS, height))
        shares = coverage[:, strip.start * width : strip.stop * width]
        cells = np.flatnonzero(np.diff(shares.indptr))
        if len(cells) == 0:
            continue
        shares = shares[:, cells].tocsr()
        for step in range(n_steps):
            image = stack.isel(time=step, y=strip).to_numpy()
            values = pixels(image.reshape(len(image), -1)[:, cells])
            known = np.isfinite(values)
            sums[step] += (shares @ np.where(known, values, 0).T).T
            weights[step] += (shares @ known.T.astype(np.float64)).T
    means = np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)
    return pixels.back(means.transpose(2, 0, 1))


def _check_index(polygons) -> None:
    repeated = polygons.index[polygons.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"polygons has several rows named {repeated[0]!r}. Give each a name of its own, for "
            "instance by polygons.reset_index()."
        )


def _warn_of(what: str, names: pd.Index) -> None:
    if len(names):
        shown = ", ".join(str(name) for name in names[:20])
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        warn(f"{len(names)} polygons are {what}: {shown}{more}.")
