"""Predictions of objects, written with their polygons to a vector file; checks of polygons."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from sklearn_gkd._common.checks import counted, warn
from sklearn_gkd._common.files import missing_extra
from sklearn_gkd.eo.raster._predicting import (
    names_of_numbers,
    numbers_per_row,
    predict_numbers,
    predict_probabilities,
    predict_quantity,
    refuse_options_of_classes,
    refuse_options_of_probabilities,
)

with missing_extra("geo", "sklearn_gkd.eo.raster"):
    import geopandas

Polygons = geopandas.GeoDataFrame | geopandas.GeoSeries

DRIVERS = {
    ".gpkg": "GPKG",
    ".shp": "ESRI Shapefile",
    ".geojson": "GeoJSON",
    ".fgb": "FlatGeobuf",
    ".parquet": None,
    ".geoparquet": None,
}

OF_CASE = (".geojson", ".parquet", ".geoparquet")  # these tell `Predicted` from `predicted`

SPATIAL_INDEX = (".qix", ".sbn", ".sbx")  # of a shapefile that was there before


def predict_objects(
    estimator: Any,
    series: pd.DataFrame,
    polygons: geopandas.GeoDataFrame,
    out: str | os.PathLike[str],
    *,
    probabilities: bool = False,
) -> geopandas.GeoDataFrame:
    """Predict the class, or the quantity, of objects, and write it with their polygons to a file.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted.
    series : DataFrame
        By `object_series`, with the columns that fit saw.
    polygons : GeoDataFrame
        Indexed as `series` is. Columns of an earlier prediction are overwritten.
    out : str or path-like
        GeoPackage (``.gpkg``), shapefile (``.shp``), GeoJSON (``.geojson``), GeoParquet
        (``.parquet``, ``.geoparquet``) or FlatGeobuf (``.fgb``), by its ending. If writing fails,
        an earlier file stays as it was.
    probabilities : bool, default=False
        Whether to add a column ``p_<class>`` for each class, of a classifier's ``predict_proba``.

    Returns
    -------
    GeoDataFrame
        `polygons` with the columns ``predicted``, of the classes' dtype (or pandas' nullable one,
        where some are missing), and ``confidence``, the highest of the probabilities, which is
        that of the predicted class unless ``predict`` has a threshold of its own; both are missing
        where the series has no data, or gaps that the estimator does not take. A classifier
        without probabilities has no confidence, nor has a regressor, whose quantity is
        ``predicted`` or, of several numbers, ``predicted_1`` and so on.

    Raises
    ------
    ValueError
        If no polygon has a row in `series`, if a name repeats, if `out` has another ending, if the
        file cannot tell two columns' names apart, or if `probabilities` are wanted of an estimator
        that has none.

    Warns
    -----
    UserWarning
        Names the polygons that have no row in `series`.

    Examples
    --------
    >>> from sklearn_gkd.eo.raster import object_series, predict_objects
    >>> series = object_series(stack, fields)  # doctest: +SKIP
    >>> predict_objects(clf, series, fields, "fields.gpkg").predicted  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    out = _check_ending(out)
    missing = check_match(series, polygons, "series")
    warn_of("without a row in series, and not classified", missing)
    if is_regressor(estimator):
        refuse_options_of_classes(probabilities=probabilities or None)
        added = columns = names_of_numbers(numbers_per_row(estimator, series.shape[1]))
    else:
        refuse_options_of_probabilities(estimator, probabilities=probabilities or None)
        added = ["predicted", "confidence", *(f"p_{name}" for name in estimator.classes_)]
        n_columns = 1 + hasattr(estimator, "predict_proba")
        columns = added if probabilities else added[:n_columns]
    objects = _without_earlier(polygons, added)
    written_index = _index_to_write(objects)
    _check_names([*written_index, *objects.columns, *columns], out)

    series = series.reindex(polygons.index)
    names = None if getattr(estimator, "feature_names_in_", None) is None else series.columns
    table = series.to_numpy(np.float64)
    if is_regressor(estimator):
        found = tuple(predict_quantity(estimator, table, len(columns), names).T)
    else:
        found = _classes_and_probabilities(estimator, table, names, objects.index)
    for name, values in zip(columns, found, strict=False):
        objects[name] = values
    _write(objects.reset_index(names=written_index) if written_index else objects, out)
    return objects


def check_index(table: pd.DataFrame | pd.Series, name: str = "polygons") -> None:
    """Raise an error that names the first object that has several rows."""
    repeated = table.index[table.index.duplicated()].tolist()
    if repeated:
        raise ValueError(
            f"{name} has several rows named {repeated[0]!r}. Give each a name of its own, for "
            f"instance by {name}.reset_index()."
        )


def check_match(table: pd.DataFrame, polygons: pd.DataFrame, name: str) -> pd.Index:
    """Return the polygons that have no row in a table, or raise an error if none has."""
    check_index(polygons)
    check_index(table, name)
    missing = polygons.index[~polygons.index.isin(table.index)]
    if len(polygons) and len(missing) == len(polygons):
        first, of_table = missing.tolist()[0], [*table.index.tolist(), "nothing"][0]
        raise ValueError(
            f"polygons and {name} have no name in common: polygons has {first!r}, {name} "
            f"{of_table!r}. Index both alike, for instance by polygons.set_index(...)."
        )
    return missing


def warn_of(what: str, names: pd.Index) -> None:
    """Warn about the polygons of these names, if any: what they are."""
    if len(names):
        shown = ", ".join(str(name) for name in names[:20])
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        are = "is" if len(names) == 1 else "are"
        warn(f"{counted(len(names), 'polygon')} {are} {what}: {shown}{more}.")


def _check_ending(out: str | os.PathLike[str]) -> Path:
    out = Path(out)
    if out.suffix.lower() not in DRIVERS:
        raise ValueError(
            f"out is {out.name!r}, whose ending names no vector format. Give one of "
            f"{', '.join(DRIVERS)}."
        )
    return out


def _classes_and_probabilities(
    estimator: Any, table: np.ndarray, names: Any, index: pd.Index
) -> tuple[pd.Series | np.ndarray, ...]:
    """Return the class of each row and, where there are any, the highest and all probabilities."""
    predicted = _classes_of(predict_numbers(estimator, table, names), estimator.classes_, index)
    if not hasattr(estimator, "predict_proba"):
        return (predicted,)
    of_classes = predict_probabilities(estimator, table, names).astype(np.float64)
    return predicted, of_classes.max(axis=1), *of_classes.T


def _without_earlier(
    polygons: geopandas.GeoDataFrame, added: Iterable[str]
) -> geopandas.GeoDataFrame:
    """Return a copy without the columns that an earlier prediction added."""
    names = polygons.columns.tolist()
    earlier = {"predicted", "confidence", *added}
    if {"predicted", "confidence"} <= set(names):  # of other classes, perhaps
        for name in names[names.index("confidence") + 1 :]:
            if not (str(name).startswith("p_") and polygons[name].dtype.kind == "f"):
                break
            earlier.add(name)
    return polygons.drop(columns=[name for name in names if name in earlier])


def _index_to_write(objects: geopandas.GeoDataFrame) -> list[Any]:
    """Return the names of the index's columns in the file."""
    names = [name or "index" for name in objects.index.names]
    if objects.index.names == [None] and "index" in objects.columns:
        return []  # as in what was read from such a file
    return names


def _check_names(names: Iterable[Any], out: Path) -> None:
    seen: dict[str, str] = {}
    ending = out.suffix.lower()
    for name in names:
        if not isinstance(name, str):
            raise ValueError(
                f"polygons has the column {name!r}, and a file's columns have text for names. "
                f"Rename it: polygons.rename(columns={{{name!r}: {str(name)!r}}})."
            )
        key = name if ending in OF_CASE else name.lower()
        key = key.encode()[:10].decode(errors="ignore") if ending == ".shp" else key
        if key in seen:
            raise ValueError(
                f"polygons would have the columns {seen[key]!r} and {name!r}, which {out.name} "
                "cannot tell apart (a shapefile keeps 10 characters of a name). Rename one: "
                "polygons.rename(columns=...)."
            )
        seen[key] = name


def _classes_of(numbers: np.ndarray, classes: np.ndarray, index: pd.Index) -> pd.Series:
    """Return the classes of these numbers, from 1, in their own dtype; missing where 0."""
    known = numbers > 0
    values = pd.Series(classes[np.maximum(numbers, 1) - 1], index=index)
    if known.all():
        return values
    if classes.dtype.kind in "iub":
        values = values.convert_dtypes()
    return values.where(known, None)


def _write(objects: geopandas.GeoDataFrame, out: Path) -> None:
    """Write a file beside `out`, and put it there when it is complete."""
    driver = DRIVERS[out.suffix.lower()]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(".partial", f".{out.stem}.", dir=out.parent) as folder:
        path = Path(folder, out.name)
        if driver is None:
            objects.to_parquet(path, index=False)
        else:
            objects.to_file(
                path, driver=driver, layer=out.stem, index=False, **_options(objects, driver)
            )
        if driver == "ESRI Shapefile":
            for ending in SPATIAL_INDEX:
                out.with_suffix(ending).unlink(missing_ok=True)
        for part in sorted(Path(folder).iterdir(), key=lambda part: part.name == out.name):
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, out.with_name(part.name))


def _options(objects: geopandas.GeoDataFrame, driver: str) -> dict[str, str]:
    """Return names for what a GeoPackage adds of its own, other than the columns' names."""
    if driver != "GPKG":
        return {}
    taken = {str(name).lower() for name in objects.columns.drop(objects.geometry.name)}
    ids = next(name for name in ("fid", "ogc_fid", "gpkg_fid") if name not in taken)
    geometry = next(name for name in ("geom", "geometry", "shape") if name not in taken)
    return {"FID": ids, "GEOMETRY_NAME": geometry}
