"""Legend of a map: the value, the name and the colour of each class."""

import colorsys
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

RED_GREEN_BLUE = (6, 7, 8)  # usages of an attribute table's columns; 5 is the value, 2 the name


@dataclass(frozen=True)
class Legend:
    """What a map's pixels hold for each class, from the first to the last.

    Attributes
    ----------
    values : ndarray of int
        In the map.
    names : list of str
    colors : list of (int, int, int)
        Red, green and blue, 0 to 255.
    dtype : str
        Of the map.
    nodata : int
        A value that no class has.
    """

    values: np.ndarray
    names: list[str]
    colors: list[tuple[int, int, int]]
    dtype: str
    nodata: int

    def values_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the values of classes numbered from 1, and no data where the number is 0."""
        return np.append(self.nodata, self.values).astype(self.dtype)[numbers.astype(int)]

    def to_xml(self) -> str:
        """Return the names and colours as GDAL, and so QGIS, reads them beside a GeoTIFF."""
        of_value = dict(zip(self.values.tolist(), self.names, strict=True))
        of_value[self.nodata] = "no data"
        last = max(self.values.tolist())
        categories = [
            f"<Category>{escape(of_value.get(i, ''))}</Category>" for i in range(last + 1)
        ]
        columns = [("Value", 0, 5), ("Class", 2, 2)]
        columns += zip(("Red", "Green", "Blue"), (0, 0, 0), RED_GREEN_BLUE, strict=True)
        fields = [
            f'<FieldDefn index="{i}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage>'
            "</FieldDefn>"
            for i, (name, kind, usage) in enumerate(columns)
        ]
        cells = zip(self.values.tolist(), self.names, self.colors, strict=True)
        rows = [
            f'<Row index="{i}">'
            + "".join(f"<F>{escape(str(cell))}</F>" for cell in (value, name, *color))
            + "</Row>"
            for i, (value, name, color) in enumerate(cells)
        ]
        return (
            '<PAMDataset><PAMRasterBand band="1">'
            f"<CategoryNames>{''.join(categories)}</CategoryNames>"
            f'<GDALRasterAttributeTable tableType="thematic">{"".join(fields + rows)}'
            "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>\n"
        )


def legend_of(
    classes: np.ndarray,
    names: Mapping[Any, str] | None = None,
    colors: Mapping[Any, Any] | None = None,
) -> Legend:
    """Return the legend of a map of these classes, or raise an error that names what is wrong.

    Integers from 0 to 65,535 are the map's values; other classes are numbered from 1.
    """
    values = np.arange(1, len(classes) + 1)
    if classes.dtype.kind in "iu" and _layout(classes) is not None:
        values = classes.astype(int)
    layout = _layout(values)
    if layout is None:
        raise ValueError(f"The estimator has {len(classes)} classes; a map holds 65,535 at most.")
    texts = classes.tolist() if names is None else _each(names, classes, "names", "name")
    if colors is None:
        hues = [colorsys.hsv_to_rgb(i / len(classes), 0.65, 0.9) for i in range(len(classes))]
        colors = dict(zip(classes.tolist(), hues, strict=True))
    parts = _each(colors, classes, "colors", "colour")
    of_classes = [
        _as_color(color, name) for color, name in zip(parts, classes.tolist(), strict=True)
    ]
    return Legend(values, [str(text) for text in texts], of_classes, *layout)


def _layout(values: np.ndarray) -> tuple[str, int] | None:
    """Return the smallest dtype that holds the values and one more, no data, and that one."""
    for dtype in ("uint8", "uint16"):
        last = int(np.iinfo(dtype).max)
        free = [value for value in (0, last) if value not in values]
        if values.min() >= 0 and values.max() <= last and free:
            return dtype, free[0]
    return None


def _each(of_class: Mapping[Any, Any], classes: np.ndarray, name: str, what: str) -> list[Any]:
    """Return what a mapping has for each class."""
    if not isinstance(of_class, Mapping):
        raise ValueError(f"{name} is {of_class!r}. Give a mapping: {{class: {what}}}.")
    missing = [value for value in classes.tolist() if value not in of_class]
    if missing:
        raise ValueError(
            f"{name} has no {what} for {missing[0]!r}. Give one for each of {classes.tolist()}."
        )
    return [of_class[value] for value in classes.tolist()]


def _as_color(color: Any, name: Any) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of "#rrggbb", floats from 0 to 1, or such integers."""
    if isinstance(color, str):
        digits = re.fullmatch("#[0-9a-fA-F]{6}", color)
        parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)] if digits else []
    else:
        parts = list(color) if np.ndim(color) == 1 else []
    last = 255 if all(isinstance(part, Integral) for part in parts) else 1
    numbers = all(isinstance(part, Real) and not isinstance(part, bool) for part in parts)
    opaque = parts[3:] in ([], [last])
    if len(parts) < 3 or not opaque or not numbers or not all(0 <= part <= last for part in parts):
        raise ValueError(
            f"colors has {color!r} for {name!r}. Give '#rrggbb', or red, green and blue as "
            "integers from 0 to 255 or as floats from 0 to 1."
        )
    red, green, blue = (round(float(part) * 255 / last) for part in parts[:3])
    return red, green, blue
