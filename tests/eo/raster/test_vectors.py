import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
from shapely.geometry import box  # noqa: E402

from sklearn_gkd.eo.raster import object_series, predict_objects  # noqa: E402


def test_objects_in_a_geopackage(stack, fields, clf, tmp_path):
    table = object_series(stack, fields)
    table.loc["askew", "VV_d015"] = np.nan
    out = tmp_path / "fields.gpkg"
    objects = predict_objects(clf, table, fields, out, probabilities=True)
    read = geopandas.read_file(out).set_index("parcel")
    assert read.crs.to_epsg() == 32631
    assert read.index.tolist() == fields.index.tolist()
    expected = clf.predict(table.drop(index="askew").to_numpy())
    assert read["predicted"].drop("askew").tolist() == expected.tolist()
    assert read.loc["askew", ["predicted", "confidence"]].isna().all()
    np.testing.assert_allclose(read["p_wheat"] + read["p_grass"], [1, np.nan, 1, 1, 1, 1])
    np.testing.assert_allclose(read["confidence"], read[["p_wheat", "p_grass"]].max(axis=1))
    assert objects["crop"].tolist() == read["crop"].tolist()
    assert [path.name for path in tmp_path.glob("*.gpkg")] == ["fields.gpkg"]


def test_objects_that_are_predicted_again_keep_nothing_of_before(stack, fields, clf, tmp_path):
    table = object_series(stack, fields)
    out = tmp_path / "fields.gpkg"
    before = predict_objects(clf, table, fields, out, probabilities=True)
    assert before["confidence"].notna().all()
    after = predict_objects(clf, table * np.nan, before, out, probabilities=True)
    assert after[["predicted", "confidence", "p_grass", "p_wheat"]].isna().all(axis=None)
    assert geopandas.read_file(out)["confidence"].isna().all()


def test_objects_that_cannot_be_written_leave_the_file_before(stack, fields, clf, tmp_path):
    out = tmp_path / "fields.gpkg"
    predict_objects(clf, object_series(stack, fields), fields, out)
    before = out.read_bytes()
    unwritable = fields.assign(center=fields.centroid)
    with pytest.raises(ValueError, match="multiple geometry columns"):
        predict_objects(clf, object_series(stack, fields), unwritable, out)
    assert out.read_bytes() == before
    assert [path for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.fixture
def squares():
    shapes = [box(10 * i, 0, 10 * i + 10, 10) for i in range(4)]
    return geopandas.GeoDataFrame({"code": [311, 211, 211, 311]}, geometry=shapes, crs=32631)


@pytest.fixture
def levels():
    """The series of the squares: the last has no data."""
    return pd.DataFrame({"VV_d003": [-20.0, -10.0, -10.0, np.nan]})


def tree(classes):
    return DecisionTreeClassifier().fit([[-10.0], [-20.0]], classes)


def read(path):
    of_parquet = path.suffix in (".parquet", ".geoparquet")
    return geopandas.read_parquet(path) if of_parquet else geopandas.read_file(path)


@pytest.mark.parametrize(
    ("classes", "dtype", "nullable"),
    [
        ([211, 311], "int64", "Int64"),
        (np.array([211, 311], "uint16"), "uint16", "UInt16"),
        ([1.0, 2.0], "float64", "float64"),
        ([True, False], "bool", "boolean"),
        (["oats", "rye"], None, None),
    ],
)
def test_classes_keep_their_dtype(squares, levels, tmp_path, classes, dtype, nullable):
    model, out = tree(classes), tmp_path / "out.gpkg"
    partly = predict_objects(model, levels, squares, out).predicted
    assert partly[:3].tolist() == [classes[1], classes[0], classes[0]]
    assert partly.isna().tolist() == [False, False, False, True]
    whole = predict_objects(model, levels[:3], squares[:3], out).predicted
    assert whole.tolist() == [classes[1], classes[0], classes[0]]
    if dtype is not None:
        assert (whole.dtype, partly.dtype) == (dtype, nullable)
        assert (read(out).predicted == whole).all()


def test_the_class_is_what_predict_says(squares, levels, tmp_path):
    X, y = pd.DataFrame({"VV_d003": [-20.0, -10.0] * 5}), ["dry", "flood"] * 5
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.0, pos_label="flood")
    objects = predict_objects(model.fit(X, y), levels, squares, tmp_path / "out.gpkg")
    assert objects.predicted.tolist()[:3] == ["flood"] * 3
    assert (objects.confidence[:3] > 0.9).all()


def test_a_classifier_without_probabilities(squares, levels, tmp_path):
    model, out = (
        LinearSVC().fit(pd.DataFrame({"VV_d003": [-20.0, -10.0]}), [0, 1]),
        tmp_path / "o.gpkg",
    )
    objects = predict_objects(model, levels, squares.assign(predicted=1, confidence=0.5), out)
    assert objects.columns.tolist() == ["code", "geometry", "predicted"]
    expected = model.predict(levels[:3])
    assert objects.predicted.tolist()[:3] == expected.tolist()
    with pytest.raises(ValueError, match="probabilities was given, but LinearSVC has no predict_"):
        predict_objects(model, levels, squares, out, probabilities=True)


@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".geojson", ".parquet", ".geoparquet", ".fgb"])
def test_the_format_follows_the_ending(squares, levels, tmp_path, ending):
    squares.index = pd.Index(["a", "b", "c", "d"], name="name")
    out = tmp_path / f"out{ending}"
    for classes in ([0, 1], [211, 311]):  # the second replaces the first
        predict_objects(tree(classes), levels.set_index(squares.index), squares, out)
    found = read(out).set_index("name").loc[squares.index]
    assert found.predicted.tolist()[:3] == [311, 211, 211]
    assert pd.isna(found.predicted["d"])
    assert found.crs.to_epsg() == 32631
    assert found.geometry.geom_equals(squares.geometry).all()
    start = {".gpkg": b"SQLite", ".shp": b"\0\0\x27\x0a", ".fgb": b"fgb", ".geojson": b"{"}
    assert out.read_bytes().startswith(start.get(ending, b"PAR1"))
    assert not list(tmp_path.glob("*partial*")) + list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["out.tif", "out", "out.gpkg.zip", "out.txt"])
def test_other_endings_are_refused(squares, levels, tmp_path, name):
    with pytest.raises(ValueError, match=rf"out is '{name}', .* Give one of \.gpkg, \.shp"):
        predict_objects(tree([0, 1]), levels, squares, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_shapefile_loses_the_index_of_the_one_before(squares, levels, tmp_path):
    (tmp_path / "out.qix").write_bytes(b"of other polygons")
    predict_objects(tree([0, 1]), levels, squares, tmp_path / "out.shp")
    names = {path.suffix for path in tmp_path.iterdir()}
    assert names == {".shp", ".shx", ".dbf", ".prj", ".cpg"}


def test_columns_of_an_earlier_prediction_are_overwritten(squares, levels, tmp_path):
    out = tmp_path / "out.gpkg"
    predict_objects(tree([7, 8]), levels, squares.assign(p_north=1.5), out, probabilities=True)
    for _ in range(3):
        before = geopandas.read_file(out)
        after = predict_objects(tree(["a", "b"]), levels, before, out, probabilities=True)
    assert list(after) == ["index", "code", "p_north", "geometry", "predicted", "confidence",
                           "p_a", "p_b"]  # fmt: skip
    assert after.predicted.tolist()[:3] == ["b", "a", "a"]
    assert after["p_b"].tolist()[:3] == [1, 0, 0]
    without = predict_objects(tree(["a", "b"]), levels, after, out)
    assert [name for name in without if name.startswith("p_")] == ["p_north"]


def test_names_that_do_not_match(squares, levels, tmp_path):
    model, out = tree([0, 1]), tmp_path / "out.gpkg"
    with pytest.raises(ValueError, match=r"no name in common: polygons has '0', series 0\. Index"):
        predict_objects(model, levels, squares.set_index(pd.Index(list("0123"))), out)
    with pytest.raises(ValueError, match="series has several rows named 1"):
        predict_objects(model, levels.iloc[[0, 1, 1]], squares, out)
    with pytest.raises(ValueError, match="polygons has several rows named 2"):
        predict_objects(model, levels, squares.iloc[[2, 2]], out)
    assert not out.exists()
    with pytest.warns(UserWarning, match=r"2 polygons are without a row in series.*: 0, 3\."):
        objects = predict_objects(model, levels.iloc[[2, 1]], squares, out)
    assert objects.predicted.isna().tolist() == [True, False, False, True]
    assert len(predict_objects(model, levels, squares[:0], out)) == 0


@pytest.mark.parametrize("values", [["a", "b", "c", "d"], [5, 5, 7, -1], [3, 2, 1, 0]])
def test_columns_that_a_geopackage_has_of_its_own(squares, levels, tmp_path, values):
    out = tmp_path / "out.gpkg"
    columns = {"fid": values, "geom": list("wxyz")}
    objects = predict_objects(tree([0, 1]), levels, squares.assign(**columns), out)
    assert objects["fid"].tolist() == values
    found = geopandas.read_file(out)
    assert found[["fid", "geom"]].to_dict("list") == columns
    if values[0] != 5:
        named = pd.Index(values, name="FID")
        predict_objects(tree([0, 1]), levels.set_index(named), squares.set_index(named), out)
        assert geopandas.read_file(out)["FID"].tolist() == values


def test_columns_that_a_geopackage_cannot_tell_apart(squares, levels, tmp_path):
    out = tmp_path / "out.gpkg"
    for name in ("Predicted", "CONFIDENCE", "Code"):
        with pytest.raises(ValueError, match=rf"'{name}'.* out.gpkg cannot tell apart .* Rename"):
            predict_objects(tree([0, 1]), levels, squares.assign(**{name: 1}), out)
    with pytest.raises(ValueError, match="'p_A' and 'p_a'"):
        predict_objects(tree(["A", "a"]), levels, squares, out, probabilities=True)
    with pytest.raises(ValueError, match=r"'p_meadows_dry' and 'p_meadows_wet'.* keeps 10"):
        predict_objects(
            tree(["meadows_dry", "meadows_wet"]), levels, squares, tmp_path / "out.shp",
            probabilities=True,
        )  # fmt: skip
    numbered = squares.assign(a=1).rename(columns={"a": 5})
    with pytest.raises(ValueError, match=r"column 5, .*rename\(columns=\{5: '5'\}\)"):
        predict_objects(tree([0, 1]), levels, numbered, out)
    assert not any(tmp_path.iterdir())
    kept = squares.assign(Predicted=[1, 2, 3, 4])
    predict_objects(tree([0, 1]), levels, kept, tmp_path / "new" / "out.geojson")
    found = geopandas.read_file(tmp_path / "new" / "out.geojson")
    assert found[["Predicted", "predicted"]][:3].to_numpy().tolist() == [[1, 1], [2, 0], [3, 0]]


@pytest.mark.parametrize("n_numbers", [1, 2])
def test_a_quantity_of_objects(squares, levels, tmp_path, n_numbers):
    y = [[1.0], [2.0]] if n_numbers == 1 else [[1.0, -1.0], [2.0, -2.0]]
    reg = DecisionTreeRegressor().fit(pd.DataFrame({"VV_d003": [-10.0, -20.0]}), y)
    before = squares.assign(predicted="rye", confidence=0.9, predicted_1=3)
    before = before if n_numbers == 2 else before.drop(columns="predicted_1")
    objects = predict_objects(reg, levels, before, tmp_path / "moisture.gpkg")
    columns = ["predicted"] if n_numbers == 1 else ["predicted_1", "predicted_2"]
    assert objects.columns.tolist() == ["code", "geometry", *columns]
    expected = [[2.0, -2.0], [1.0, -1.0], [1.0, -1.0], [np.nan, np.nan]]
    for found in (objects, read(tmp_path / "moisture.gpkg")):
        np.testing.assert_array_equal(found[columns], np.array(expected)[:, :n_numbers])
    with pytest.raises(ValueError, match="probabilities was given, but the estimator is a regr"):
        predict_objects(reg, levels, squares, tmp_path / "moisture.gpkg", probabilities=True)
