import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_gkd import GKDClassifier, IgnorePrivileged
from sklearn_gkd.eo import GapFiller

pytest.importorskip("geopandas", reason="needs the extra geo")
dask = pytest.importorskip("dask", reason="needs the extra geo")
pytest.importorskip("dask.array", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin  # noqa: E402

from sklearn_gkd.eo.raster import _maps as maps  # noqa: E402
from sklearn_gkd.eo.raster import object_series, open_stack, predict_map, training_set  # noqa: E402


@pytest.fixture(autouse=True)
def blocks_of_16_rows(monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", 1)


def test_a_map_is_what_the_classifier_predicts(stack, clf, pixels, tmp_path, scene):
    paths = {name: tmp_path / f"{name}.tif" for name in ("probabilities", "confidence")}
    out = predict_map(clf, stack, tmp_path / "map.tif", progress=False, **paths)
    complete = np.isfinite(pixels).all(axis=(1, 2))
    expected = clf.predict_proba(pixels[complete])
    with rasterio.open(out) as file:
        assert (file.crs.to_epsg(), file.transform, file.nodata) == (32631, scene.grid, 0)
        assert (file.dtypes, file.shape) == (("uint8",), scene.classes.shape)
        assert file.profile["tiled"]
        assert file.compression.value == "DEFLATE"
        assert file.tags(1)["1"] == "grass"
        assert file.tags(1)["2"] == "wheat"
        colors = file.colormap(1)
        assert len({colors[0], colors[1], colors[2]}) == 3
        codes = file.read(1).ravel()
    assert (codes == 0).tolist() == (~complete).tolist()
    np.testing.assert_array_equal(codes[complete], expected.argmax(axis=1) + 1)
    assert (
        "<Category>no data</Category><Category>grass</Category>"
        in (tmp_path / "map.tif.aux.xml").read_text()
    )
    with rasterio.open(paths["probabilities"]) as file:
        assert file.descriptions == ("grass", "wheat")
        of_classes = file.read().reshape(2, -1).T
    np.testing.assert_allclose(of_classes[complete], expected, atol=1e-6)
    assert np.isnan(of_classes[~complete]).all()
    with rasterio.open(paths["confidence"]) as file:
        np.testing.assert_allclose(file.read(1).ravel()[complete], expected.max(axis=1), atol=1e-6)
    names = {path.name for path in tmp_path.iterdir()} - {f"{date}.tif" for date in scene.dates}
    assert names == {"map.tif", "map.tif.aux.xml", "probabilities.tif", "confidence.tif"}


def test_classes_alone_and_colours(stack, clf, tmp_path):
    colors = {"grass": (10, 200, 30), "wheat": (220, 200, 0)}
    both = predict_map(
        clf, stack, tmp_path / "a.tif", confidence=tmp_path / "c.tif", progress=False
    )
    alone = predict_map(clf, stack.compute(), tmp_path / "b.tif", colors=colors, progress=False)
    with rasterio.open(both) as one, rasterio.open(alone) as other:
        np.testing.assert_array_equal(one.read(), other.read())
        assert other.colormap(1)[2] == (220, 200, 0, 255)
    with pytest.raises(ValueError, match="colors has no colour for 'wheat'"):
        predict_map(clf, stack, tmp_path / "d.tif", colors={"grass": (0, 0, 0)}, progress=False)
    assert not list(tmp_path.glob("*d.tif*"))  # before any block is predicted


def test_codes_of_the_users_own(stack, pixels, tmp_path, scene):
    complete = np.isfinite(pixels).all(axis=(1, 2))
    codes = np.where(scene.classes == "wheat", 211, 311).ravel()
    clf = LogisticRegression().fit(pixels[complete].reshape(-1, 8), codes[complete])
    names = {211: "arable", 311: "forest"}
    with rasterio.open(
        predict_map(clf, stack, tmp_path / "map.tif", names=names, progress=False)
    ) as file:
        assert file.tags(1)["211"] == "arable"
        values = file.read(1).ravel()
    np.testing.assert_array_equal(values[complete], clf.predict(pixels[complete].reshape(-1, 8)))
    assert (values[~complete] == 0).all()


def test_how_undecided_a_classifier_is(stack, clf, pixels, tmp_path):
    paths = {name: tmp_path / f"{name}.tif" for name in ("entropy", "margin")}
    predict_map(clf, stack, tmp_path / "map.tif", progress=False, **paths)
    complete = np.isfinite(pixels).all(axis=(1, 2))
    one, other = clf.predict_proba(pixels[complete]).astype(float).T
    for name, expected in {
        "entropy": -(one * np.log(one) + other * np.log(other)),
        "margin": abs(one - other),
    }.items():
        with rasterio.open(paths[name]) as file:
            assert file.descriptions == (name,)
            found = file.read(1).ravel()
        np.testing.assert_allclose(found[complete], expected, atol=1e-5)
        assert np.isnan(found[~complete]).all()


def test_measures_of_a_classifier_without_probabilities(stack, tmp_path):
    with pytest.raises(ValueError, match="margin was given, but Threshold has no predict_proba"):
        predict_map(Threshold(), stack, tmp_path / "map.tif", margin=tmp_path / "margin.tif")
    assert not list(tmp_path.glob("*map*"))


class Threshold(ClassifierMixin, BaseEstimator):
    """Predicts whether the first value is above 0."""

    classes_ = np.array([10, 20])

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return np.where(X[:, 0] > 0, 20, 10)


def test_patches_smaller_than_the_minimum_mapping_unit(stack, tmp_path):
    image = np.full(stack.shape[2:], -1.0, dtype="float32")
    image[10:12, 10:12] = 1  # of 4 pixels
    image[15:18, 30] = 1  # of 3 pixels, over a border of blocks
    image[40, 20] = image[41, 21] = 1  # two of 1 pixel, which share no side
    image[0, :3] = np.nan
    image[1, 0] = 1  # of 1 pixel, beside no data
    values = stack.copy(data=np.broadcast_to(image, stack.shape))
    with rasterio.open(
        predict_map(Threshold(), values, tmp_path / "map.tif", sieve=4, progress=False)
    ) as file:
        found = file.read(1)
    expected = np.full(image.shape, 10)
    expected[10:12, 10:12] = 20
    expected[0, :3] = 0
    np.testing.assert_array_equal(found, expected)
    for size in (0, 2.5, True):
        with pytest.raises(ValueError, match=f"sieve is {size}. Give a number of pixels"):
            predict_map(Threshold(), values, tmp_path / "map.tif", sieve=size)


@pytest.mark.parametrize("name", ["out", "probabilities", "confidence", "entropy", "margin"])
def test_no_output_overwrites_what_is_read_or_written(stack, paths, clf, tmp_path, name):
    before = paths[1].read_bytes()
    others = {"out": tmp_path / "map.tif", "margin": tmp_path / "margin.tif"}
    (tmp_path / "link.tif").symlink_to(paths[1])
    (tmp_path / "hard.tif").hardlink_to(paths[1])
    for path in (paths[1], tmp_path / "x" / ".." / paths[1].name, tmp_path / "link.tif",
                 tmp_path / "hard.tif"):  # fmt: skip
        for images in (stack, 2 * stack):
            with pytest.raises(ValueError, match=rf"{name} is .*, which the stack is read from\."):
                predict_map(clf, images, **(others | {name: path}))
    other = "margin" if name == "out" else "out"
    with pytest.raises(ValueError, match="which out is as well"):
        predict_map(clf, stack, **(others | {name: others[other]}))
    with pytest.raises(ValueError, match=f"{name} is .*, a folder"):
        predict_map(clf, stack, **(others | {name: tmp_path}))
    assert paths[1].read_bytes() == before
    assert not list(tmp_path.glob("*map*")) + list(tmp_path.glob(".*"))


def test_a_map_of_a_part_of_a_stack_lies_where_it_did(stack, clf, tmp_path):
    part = stack.isel(x=slice(20, None), y=slice(2, 49))
    with rasterio.open(predict_map(clf, part, tmp_path / "part.tif", progress=False)) as file:
        assert file.transform == from_origin(500_200, 4_899_980, 10, 10)


def test_an_estimator_that_fills_gaps_needs_one_observation(stack, small, pixels, tmp_path, scene):
    y = scene.classes.astype(str).ravel()
    seen = np.isfinite(pixels).any(axis=(1, 2))
    clf = make_pipeline(GapFiller(), IgnorePrivileged(RandomForestClassifier(5, random_state=0)))
    clf.fit(pixels[seen], y[seen])
    out = predict_map(clf, stack, tmp_path / "map.tif", progress=False)
    with rasterio.open(out) as file:
        codes = file.read(1).ravel()
    assert (codes == 0).tolist() == (~seen).tolist()
    np.testing.assert_array_equal(codes[seen] == 2, clf.predict(pixels[seen]) == "wheat")


class StoppedError(Exception):
    pass


class Log:
    """Notes tables, and after how many to stop; it is no part of what it is pickled with."""

    def __init__(self):
        self.tables, self.n_tables = [], np.inf

    def __reduce__(self):
        return Log, ()


class Stopping(ClassifierMixin, BaseEstimator):
    """Predicts as a fitted classifier does, notes each table, and stops after so many."""

    log = Log()

    def __init__(self, clf):
        self.clf = clf
        self.classes_ = clf.classes_

    def fit(self, X, y):
        return self

    def predict(self, X):
        if len(self.log.tables) == self.log.n_tables:
            raise StoppedError
        predicted = self.clf.predict(X)
        self.log.tables.append(X)
        return predicted


@pytest.fixture
def tables(monkeypatch):
    """The tables that `Stopping` is given."""
    monkeypatch.setattr(Stopping, "log", Log())
    return Stopping.log.tables


@pytest.fixture
def interrupted(monkeypatch, tables):
    """Return a function that begins a map and stops after 2 of its 4 blocks."""

    def begin(estimator, stack, out):
        monkeypatch.setattr(Stopping.log, "n_tables", 2)
        with pytest.raises(StoppedError):
            predict_map(estimator, stack, out, progress=False)
        monkeypatch.setattr(Stopping.log, "n_tables", np.inf)
        assert not out.exists()
        assert not list(out.parent.glob(f"{out.name}*"))
        return [len(list(path.iterdir())) for path in out.parent.glob(f".{out.name}.*.partial")]

    return begin


def test_an_interrupted_map_goes_on(stack, clf, tmp_path, interrupted, tables):
    expected = predict_map(clf, stack, tmp_path / "expected.tif", progress=False).read_bytes()
    out = tmp_path / "map.tif"
    assert interrupted(Stopping(clf), stack, out) == [2]
    predict_map(Stopping(clf), stack, out, progress=False)
    assert out.read_bytes() == expected
    assert not list(tmp_path.glob(".*"))
    assert len(tables) == 4
    complete = stack.to_numpy().transpose(2, 3, 0, 1).reshape(-1, 8)
    complete = complete[np.isfinite(complete).all(axis=1)]
    np.testing.assert_array_equal(np.concatenate(tables), complete)


@pytest.mark.parametrize("kind", ["in memory", "in files", "in files, multiplied"])
def test_a_map_of_other_pixels_starts_anew(scene, write, clf, tmp_path, interrupted, tables, kind):
    def opened(images):
        paths = [write(f"{date}.tif", image) for date, image in zip(scene.dates, images)]  # noqa: B905
        stack = open_stack(paths, scene.dates, ["VV", "VH"])
        return {"in memory": stack.compute(), "in files": stack}.get(kind, stack * 1)

    out = tmp_path / "map.tif"
    other = scene.images.copy()
    other[0, 0, -1, -1] += 1e-4
    assert interrupted(Stopping(clf), opened(other), out) == [2]
    predict_map(Stopping(clf), opened(scene.images), out, progress=False)
    assert len(tables) == 2 + 4


def test_a_map_by_another_model_starts_anew(stack, pixels, tmp_path, scene, interrupted, tables):
    complete = np.isfinite(pixels).all(axis=(1, 2))
    X, y = pixels[complete].reshape(-1, 8), scene.classes.astype(str).ravel()[complete]
    model = LogisticRegression().fit(X, y)
    near = LogisticRegression().fit(X, y)
    near.intercept_ = np.nextafter(near.intercept_, 1)
    out = tmp_path / "map.tif"
    assert interrupted(Stopping(model), stack, out) == [2]
    predict_map(Stopping(near), stack, out, progress=False)
    assert len(tables) == 2 + 4


def test_a_map_whose_pixels_cannot_be_told_starts_anew(stack, clf, tmp_path, interrupted, tables):
    values = stack.to_numpy()
    read = dask.delayed(lambda: values, pure=True)()
    unknown = stack.copy(data=dask.array.from_delayed(read, stack.shape, stack.dtype))
    out = tmp_path / "map.tif"
    assert interrupted(Stopping(clf), unknown, out) == []
    predict_map(Stopping(clf), unknown, out, progress=False)
    assert len(tables) == 2 + 4
    assert not list(tmp_path.glob(".*"))


def test_a_model_of_named_columns_finds_its_dates(stack, fields, small, tmp_path, later):
    fields = fields.assign(crop=["a", "a", "b", "b", "a", "b"])
    data = training_set(fields, object_series(stack, fields), y="crop")
    clf = GKDClassifier(small, small, n_channels=2, validation_fraction=0, random_state=0)
    clf.fit(data.X, data.y, X_priv=data.X)
    with pytest.warns(UserWarning, match="predict_objects is the better use") as warned:
        one = predict_map(clf, stack, tmp_path / "a.tif", progress=False)
    with pytest.warns(UserWarning, match="predict_objects is the better use"):
        other = predict_map(clf, later, tmp_path / "b.tif", progress=False)
    assert one.read_bytes() == other.read_bytes()
    places = [entry.filename for entry in warned if "predict_objects" in str(entry.message)]
    assert places == [__file__]
    with pytest.raises(ValueError, match="no acquisition of its own"):
        predict_map(clf, later.isel(time=[0, 1]), tmp_path / "c.tif", progress=False)


def test_another_number_of_dates_is_an_error(stack, clf, tmp_path):
    with pytest.raises(ValueError, match=r"6 columns, 3 dates of 2 bands .* fitted on 8 columns"):
        predict_map(clf, stack.isel(time=[0, 1, 2]), tmp_path / "map.tif")


@pytest.mark.parametrize("n_numbers", [1, 2])
def test_a_map_of_a_quantity_has_numbers_and_no_legend(stack, pixels, tmp_path, n_numbers):
    complete = np.isfinite(pixels).all(axis=(1, 2))
    table = pixels.reshape(len(pixels), -1)
    y = table[complete][:, 0] if n_numbers == 1 else table[complete][:, :2]
    reg = LinearRegression().fit(table[complete], y)
    out = predict_map(reg, stack, tmp_path / "moisture.tif", progress=False)
    names = {1: ("predicted",), 2: ("predicted_1", "predicted_2")}
    with rasterio.open(out) as file:
        assert (file.count, set(file.dtypes), np.isnan(file.nodata)) == (n_numbers, {"float32"}, 1)
        assert file.descriptions == names[n_numbers]
        numbers = file.read().reshape(n_numbers, -1).T
    assert np.isnan(numbers[~complete]).all()
    np.testing.assert_allclose(numbers[complete], table[complete][:, :n_numbers], rtol=1e-4)
    assert [path.name for path in tmp_path.glob("*moisture*")] == ["moisture.tif"]


@pytest.mark.parametrize(
    "option",
    [
        *({name: "other.tif"} for name in ("probabilities", "confidence", "entropy", "margin")),
        {"names": {}},
        {"colors": {}},
        {"sieve": 2},
    ],
)
def test_a_quantity_has_no_options_of_classes(stack, tmp_path, option):
    reg = LinearRegression().fit(np.zeros((2, 8)), [0, 1])
    [name] = option
    with pytest.raises(ValueError, match=f"{name} was given, but the estimator is a regressor"):
        predict_map(reg, stack, tmp_path / "new" / "map.tif", **option)
    assert not (tmp_path / "new").exists()
