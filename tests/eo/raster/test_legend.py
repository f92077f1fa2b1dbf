from collections import UserDict
from xml.etree import ElementTree

import numpy as np
import pytest

from sklearn_gkd.eo.raster._legend import legend_of

CLASSES = np.array(["grass", "wheat"])


def test_colours_are_those_given_or_all_different():
    classes = np.array(["grass", "wheat", "oats"])
    colors = {"wheat": [1, 2, 3], "grass": np.array([4, 5, 6], "uint8"), "else": "?"}
    assert legend_of(CLASSES, colors=UserDict(colors)).colors == [(4, 5, 6), (1, 2, 3)]
    assert len(set(legend_of(classes).colors)) == 3
    with pytest.raises(ValueError, match=r"colors has no colour for 'oats'\. Give one for each of"):
        legend_of(classes, colors=colors)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("#1a80E6", (26, 128, 230)),
        ((0.1, 0.5, 0.9), (26, 128, 230)),
        ((1.0, 0, 0), (255, 0, 0)),
        ((1, 0, 0), (1, 0, 0)),
        ([255, 255, 255], (255, 255, 255)),
        (np.array([0.1, 0.5, 0.9, 1.0]), (26, 128, 230)),
        ((26, 128, 230, 255), (26, 128, 230)),
    ],
)
def test_colours_in_other_forms(color, expected):
    assert legend_of(CLASSES, colors={"grass": color, "wheat": "#000000"}).colors[0] == expected


@pytest.mark.parametrize(
    "color",
    ["red", "#123", "#12345g", "112233", (1, 2), (1, 2, 3, 4, 5), (1, 2, 256), (-1, 2, 3), 7, None,
     (0.1, 0.5, 1.1), (255.0, 128.0, 0.0), (0.1, 0.5, np.nan), ("1", "2", "3"),
     (0.1, 0.2, 0.3, 0.5), (True, False, True), (1, 2, 3, 0), {}, (1, None, 2)],
)  # fmt: skip
def test_colours_that_are_none(color):
    with pytest.raises(ValueError, match=r"colors has .* for 'wheat'\. Give '#rrggbb'"):
        legend_of(CLASSES, colors={"grass": (0, 0, 0), "wheat": color})


def test_what_is_no_mapping():
    with pytest.raises(ValueError, match=r"colors is \['red'\]\. Give a mapping"):
        legend_of(CLASSES, colors=["red"])
    with pytest.raises(ValueError, match=r"names has no name for 'wheat'"):
        legend_of(CLASSES, {"grass": "Gras"})


@pytest.mark.parametrize(
    ("classes", "values", "dtype", "nodata"),
    [
        ([211, 311], [211, 311], "uint16", 0),
        ([3, 99], [3, 99], "uint8", 0),
        ([0, 1], [0, 1], "uint8", 255),
        ([0, 255], [0, 255], "uint16", 65535),
        ([0, 65535], [1, 2], "uint8", 0),
        ([-1, 1], [1, 2], "uint8", 0),
        ([1, 70_000], [1, 2], "uint8", 0),
        ([False, True], [1, 2], "uint8", 0),
        ([1.0, 5.0], [1, 2], "uint8", 0),
        (["a", "b"], [1, 2], "uint8", 0),
        (np.array([7, 9], "uint8"), [7, 9], "uint8", 0),
    ],
)
def test_integers_are_the_values(classes, values, dtype, nodata):
    legend = legend_of(np.array(classes))
    assert legend.values.tolist() == values
    assert (legend.dtype, legend.nodata) == (dtype, nodata)
    assert legend.names == [str(name) for name in classes]
    found = legend.values_of(np.array([[0, 1], [2, 2]], "float32"))
    assert found.dtype == dtype
    assert found.tolist() == [[nodata, values[0]], [values[1], values[1]]]


def test_the_xml_has_a_row_for_each_class():
    legend = legend_of(np.array([0, 2]), {0: "a", 2: "b & c"}, {0: (1, 2, 3), 2: (4, 5, 6)})
    band = ElementTree.fromstring(legend.to_xml()).find("PAMRasterBand")
    assert [node.text for node in band.find("CategoryNames")] == ["a", None, "b & c"]
    table = band.find("GDALRasterAttributeTable")
    assert [[cell.text for cell in row] for row in table.findall("Row")] == [
        ["0", "a", "1", "2", "3"],
        ["2", "b & c", "4", "5", "6"],
    ]
    assert [field.find("Name").text for field in table.findall("FieldDefn")] == [
        "Value", "Class", "Red", "Green", "Blue"]  # fmt: skip
