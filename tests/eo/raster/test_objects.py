import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_gkd import GKDClassifier, IgnorePrivileged
from sklearn_gkd.eo import GapFiller

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin  # noqa: E402
from rasterio.warp import Resampling, reproject  # noqa: E402
from shapely.geometry import Point, Polygon, box  # noqa: E402

from sklearn_gkd.eo.raster import _maps as maps  # noqa: E402
from sklearn_gkd.eo.raster import (  # noqa: E402
    object_series,
    open_stack,
    predict_map,
    predict_objects,
    training_set,
)

DATES = ["2016-01-04", "2016-01-16", "2016-02-20", "2016-05-01"]
GRID = from_origin(500_000, 4_900_000, 10, 10)
HEIGHT, WIDTH = 50, 40


def write(path, image, transform=GRID, crs=32631, nodata=-9999):
    image = np.where(np.isnan(image), nodata, image)
    profile = {"count": len(image), "height": image.shape[1], "width": image.shape[2]}
    with rasterio.open(
        path, "w", "GTiff", dtype="float32", crs=crs, transform=transform, nodata=nodata, **profile
    ) as file:
        file.write(image.astype("float32"))
    return path


def values(n_bands=2, seed=0):
    """Images (T, C, height, width) in dB, with holes; class 1 rises in the east."""
    rng = np.random.default_rng(seed)
    rise = np.linspace(0, 6, 4)[:, None, None, None] * (np.arange(WIDTH) >= 20)
    images = -15 + rise + rng.normal(size=(4, n_bands, HEIGHT, WIDTH))
    images[:, :, 3:6, 4:9] = np.nan
    images[1, 0, 30, :10] = np.nan
    return images.astype("float32")


@pytest.fixture
def paths(tmp_path):
    return [
        write(tmp_path / f"{date}.tif", image) for date, image in zip(DATES, values(), strict=True)
    ]


@pytest.fixture
def stack(paths):
    return open_stack(paths, DATES, ["VV", "VH"])


@pytest.fixture
def fields():
    left, top = 500_000, 4_900_000
    shapes = {
        "aligned": box(left + 100, top - 200, left + 150, top - 150),
        "askew": Polygon([(left + 33, top - 52), (left + 171, top - 20), (left + 90, top - 233)]),
        "with a hole in the data": box(left + 32, top - 75, left + 118, top - 4),
        "partly outside": box(left - 300, top - 411, left + 57, top - 333),
        "smaller than a pixel": box(left + 212, top - 308, left + 215, top - 305),
        "east": box(left + 255, top - 444, left + 366, top - 22),
    }
    return geopandas.GeoDataFrame(
        {"crop": ["oats", "oats", "rye", "rye", "oats", "rye"]},
        geometry=list(shapes.values()),
        index=pd.Index(shapes, name="parcel"),
        crs=32631,
    )


def mean_of_pixels(image, shape):
    """Average an image (height, width) over a polygon, pixel by pixel."""
    total = weight = 0.0
    for row in range(HEIGHT):
        for column in range(WIDTH):
            x, y = GRID @ (column, row)
            share = box(x, y - 10, x + 10, y).intersection(shape).area
            if share and np.isfinite(image[row, column]):
                total, weight = total + share * image[row, column], weight + share
    return total / weight


# --- Stacks -------------------------------------------------------------------------------------


def test_a_stack_is_what_the_files_hold(stack, paths, tmp_path):
    np.testing.assert_array_equal(stack.to_numpy(), values())
    assert stack.chunks is not None
    assert stack.rio.crs.to_epsg() == 32631
    assert stack.rio.transform() == GRID
    bands = [
        [write(tmp_path / f"{date}_{i}.tif", image[i : i + 1]) for i in range(2)]
        for date, image in zip(DATES, values(), strict=True)
    ]
    np.testing.assert_array_equal(open_stack(bands, DATES, ["VV", "VH"]), stack)


def test_files_on_another_grid(paths, stack, tmp_path):
    image = np.cumsum(np.ones((2, 40, 40)), axis=2)
    shifted = from_origin(500_003, 4_900_010, 20, 20)
    other = write(tmp_path / "other.tif", image, shifted)
    with pytest.raises(ValueError, match=r"other.tif lies on another grid .*20.0.* Give like="):
        open_stack([*paths[:3], other], DATES, ["VV", "VH"])
    warped = open_stack([*paths[:3], other], DATES, ["VV", "VH"], like=stack)
    np.testing.assert_array_equal(warped[:3], stack[:3])
    expected = np.full((2, HEIGHT, WIDTH), -9999.0, dtype="float32")
    reproject(
        image.astype("float32"),
        expected,
        src_transform=shifted,
        src_crs=32631,
        dst_transform=GRID,
        dst_crs=32631,
        src_nodata=-9999,
        dst_nodata=-9999,
        resampling=Resampling.bilinear,
    )
    np.testing.assert_allclose(warped[3], np.where(expected == -9999, np.nan, expected), rtol=1e-5)
    in_degrees = write(tmp_path / "degrees.tif", image, from_origin(2.9, 44.3, 1e-4, 1e-4), 4326)
    with pytest.raises(ValueError, match=r"degrees.tif lies on another grid .*EPSG:4326"):
        open_stack([*paths[:3], in_degrees], DATES, ["VV", "VH"])
    warped = open_stack([*paths[:3], in_degrees], DATES, ["VV", "VH"], like=stack)
    assert warped.rio.crs == stack.rio.crs
    assert warped.shape == stack.shape


def test_errors_of_stacks(paths, stack, tmp_path, fields):
    with pytest.raises(ValueError, match="paths has 4 dates, and dates 3"):
        open_stack(paths, DATES[:3], ["VV", "VH"])
    with pytest.raises(ValueError, match="has 2 bands, and bands names 1"):
        open_stack(paths, DATES, ["VV"])
    with pytest.raises(ValueError, match="dates are not in order"):
        open_stack(paths, DATES[::-1], ["VV", "VH"])
    with pytest.raises(ValueError, match="Give dates such as 2016-01-12"):
        open_stack(paths, ["a", "b", "c", "d"], ["VV", "VH"])
    nowhere = write(tmp_path / "nowhere.tif", values()[0], crs=None)
    with pytest.raises(ValueError, match=r"nowhere.tif has no CRS"):
        open_stack([nowhere, *paths[1:]], DATES, ["VV", "VH"])
    with pytest.raises(ValueError, match=r"stack is ndarray. Give an xarray.DataArray"):
        object_series(stack.to_numpy(), fields)
    with pytest.raises(ValueError, match="stack has no CRS"):
        object_series(stack.drop_vars("spatial_ref"), fields)
    with pytest.raises(ValueError, match="stack is not north up"):
        object_series(stack.isel(y=slice(None, None, -1)), fields)


# --- Objects ------------------------------------------------------------------------------------


def test_a_part_of_a_stack_lies_where_it_did(stack, fields, clf, tmp_path):
    part = stack.isel(x=slice(20, None), y=slice(2, 49))
    east = fields.loc[["east"]]
    pd.testing.assert_frame_equal(object_series(part, east), object_series(stack, east))
    with rasterio.open(predict_map(clf, part, tmp_path / "part.tif", progress=False)) as file:
        assert file.transform == from_origin(500_200, 4_899_980, 10, 10)


@pytest.mark.parametrize("average", ["power", "db"])
def test_objects_are_means_of_pixels_by_their_share(stack, fields, average):
    table = object_series(stack, fields, average=average)
    assert list(table)[:3] == ["VV_d003", "VH_d003", "VV_d015"]
    assert table.attrs["dates"] == DATES
    assert table.index.equals(fields.index)
    images = values().reshape(8, HEIGHT, WIDTH).astype(float)
    for parcel, shape in fields.geometry.items():
        for name, image in zip(table, images, strict=True):
            if average == "power":
                expected = 10 * np.log10(mean_of_pixels(10 ** (image / 10), shape))
            else:
                expected = mean_of_pixels(image, shape)
            assert table.loc[parcel, name] == pytest.approx(expected, abs=1e-5)


def test_strips_polygons_of_another_crs_and_stacks_in_memory_make_no_difference(
    stack, fields, monkeypatch
):
    table = object_series(stack, fields)
    monkeypatch.setattr("sklearn_gkd.eo.raster._objects.ROWS", 7)
    pd.testing.assert_frame_equal(object_series(stack.compute(), fields), table)
    in_degrees = object_series(stack, fields.to_crs(4326))
    np.testing.assert_allclose(in_degrees, table, atol=1e-3)


def test_indices_are_computed_in_each_pixel(paths, fields):
    stack = open_stack(paths, DATES, ["B04", "B08"])
    stack = 3000 + 100 * stack
    table = object_series(stack, fields, indices=["NDVI"], offset=-1000)
    red, nir = np.moveaxis(2000 + 100 * values().astype(float), 1, 0)
    assert list(table)[:4] == ["B04_d003", "B08_d003", "NDVI_d003", "B04_d015"]
    for parcel in ("askew", "with a hole in the data"):
        shape = fields.geometry[parcel]
        assert table.loc[parcel, "B08_d050"] == pytest.approx(
            mean_of_pixels(nir[2], shape), rel=1e-5
        )
        expected = mean_of_pixels((nir[2] - red[2]) / (nir[2] + red[2]), shape)
        assert table.loc[parcel, "NDVI_d050"] == pytest.approx(expected, rel=1e-4)


def test_polygons_without_pixels_are_reported_and_kept(stack, fields):
    left, top = 500_000, 4_900_000
    bowtie = Polygon([(left, top), (left + 50, top - 50), (left + 50, top), (left, top - 50)])
    shapes = [Polygon(), bowtie, Point(0, 0).buffer(50), None, fields.geometry.iloc[0]]
    polygons = geopandas.GeoDataFrame(
        geometry=shapes, index=["hollow", "bowtie", "far", "lost", "good"], crs=32631
    )
    with pytest.warns(UserWarning, match="polygons are") as warned:
        table = object_series(stack, polygons)
    messages = [str(warning.message) for warning in warned]
    assert any("2 polygons are empty: hollow, lost." in message for message in messages)
    assert any("1 polygons are invalid" in message and "bowtie" in message for message in messages)
    assert any("1 polygons are outside of the stack: far." in message for message in messages)
    assert table.index.tolist() == ["hollow", "bowtie", "far", "lost", "good"]
    assert table.isna().all(axis=1).tolist() == [True, True, True, True, False]
    np.testing.assert_allclose(table.loc["good"], object_series(stack, fields).iloc[0])


def test_errors_of_polygons(stack, fields):
    with pytest.raises(ValueError, match="polygons have no CRS"):
        object_series(stack, fields.set_crs(None, allow_override=True))
    with pytest.raises(ValueError, match="several rows named 'east'"):
        object_series(stack, fields.iloc[[5, 5]])
    with pytest.raises(ValueError, match="'polygons' parameter"):
        object_series(stack, pd.DataFrame(fields))


def test_next_year_takes_the_columns_of_this_one(stack, fields):
    first = object_series(stack, fields)
    later = stack.assign_coords(
        time=pd.to_datetime(["2017-01-07", "2017-01-14", "2017-02-20", "2017-04-29"])
    )
    assert list(object_series(later, fields)) != list(first)
    second = object_series(later, fields, like=first)
    np.testing.assert_array_equal(second, first)
    assert list(second) == list(first)
    assert second.attrs["dates"][0] == "2017-01-07"
    only_vh = [name for name in first if name.startswith("VH")]
    np.testing.assert_array_equal(object_series(later, fields, like=only_vh), first[only_vh])
    with pytest.raises(ValueError, match=r"no acquisition of its own within 2 days of day 003"):
        object_series(later, fields, like=first, tolerance=2)
    with pytest.raises(ValueError, match="no band HH"):
        object_series(later, fields, like=["HH_d003"])
    with pytest.raises(ValueError, match="'x0' is no name of a band and a day"):
        object_series(later, fields, like=["x0"])


def test_what_an_estimator_is_fitted_on(stack, fields):
    radar = object_series(stack, fields)
    optical = object_series(stack, fields).iloc[[5, 0, 2]]
    radar.loc["askew"] = np.nan
    fields.loc["east", "crop"] = None
    with pytest.warns(UserWarning, match=r"2 polygons are without radar .*: askew, east\."):
        data = training_set(fields.assign(block=range(6)), radar, optical, y="crop", groups="block")
    names = ["aligned", "with a hole in the data", "partly outside", "smaller than a pixel"]
    assert data.X.index.tolist() == data.X_priv.index.tolist() == names
    assert data.y.tolist() == ["oats", "rye", "rye", "oats"]
    assert data.groups.tolist() == [0, 2, 3, 4]
    assert data.X_priv.isna().all(axis=1).tolist() == [False, False, True, True]
    whole = training_set(fields.assign(crop="oats"), object_series(stack, fields), y="crop")
    assert whole.groups is whole.X_priv is None


# --- Maps ---------------------------------------------------------------------------------------


@pytest.fixture
def truth():
    return np.where(np.arange(WIDTH) >= 20, "wheat", "grass") * np.ones((HEIGHT, 1), dtype=object)


@pytest.fixture
def pixels():
    """The scene's pixels (height * width, T, C)."""
    return values().transpose(2, 3, 0, 1).reshape(-1, 4, 2)


@pytest.fixture
def clf(small, pixels, truth):
    complete = np.isfinite(pixels).all(axis=(1, 2))
    clf = GKDClassifier(small, small, random_state=0)
    y = truth.astype(str).ravel()[complete][::5]
    return clf.fit(pixels[complete][::5], y, X_priv=pixels[complete][::5])


@pytest.fixture(autouse=True)
def blocks_of_16_rows(monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", 1)


def test_a_map_is_what_the_classifier_predicts(stack, clf, pixels, tmp_path):
    paths = {name: tmp_path / f"{name}.tif" for name in ("probabilities", "confidence")}
    out = predict_map(clf, stack, tmp_path / "map.tif", progress=False, **paths)
    complete = np.isfinite(pixels).all(axis=(1, 2))
    expected = clf.predict_proba(pixels[complete])
    with rasterio.open(out) as file:
        assert (file.crs.to_epsg(), file.transform, file.nodata) == (32631, GRID, 0)
        assert (file.dtypes, file.shape) == (("uint8",), (HEIGHT, WIDTH))
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
    names = {path.name for path in tmp_path.iterdir()} - {f"{date}.tif" for date in DATES}
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
    with pytest.raises(ValueError, match="colors has none for 'wheat'"):
        predict_map(clf, stack, tmp_path / "d.tif", colors={"grass": (0, 0, 0)}, progress=False)


def test_an_estimator_that_fills_gaps_needs_one_observation(stack, small, pixels, truth, tmp_path):
    y = truth.astype(str).ravel()
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


def test_an_interrupted_map_goes_on(stack, clf, tmp_path, monkeypatch):
    expected = predict_map(clf, stack, tmp_path / "expected.tif", progress=False).read_bytes()
    predict_block, done = maps._predict_block, []

    def count(*args):
        if len(done) == 2:
            raise StoppedError
        done.append(args[-1].y.to_numpy()[0])
        return predict_block(*args)

    monkeypatch.setattr(maps, "_predict_block", count)
    out = tmp_path / "map.tif"
    with pytest.raises(StoppedError):
        predict_map(clf, stack, out, progress=False)
    assert not out.exists()
    assert not list(tmp_path.glob("map.tif*"))
    first = list(done)
    done[:] = [None, None, None]  # what is left is counted from here, without an end
    predict_map(clf, stack, out, progress=False)
    assert len(done) - 3 == 4 - 2  # of 50 rows, 16 at a time
    assert not set(first) & set(done[3:])
    assert out.read_bytes() == expected
    assert not list(tmp_path.glob(".*"))


def test_a_map_by_another_model_starts_anew(stack, clf, pixels, truth, tmp_path, monkeypatch):
    def fail(*args):
        raise StoppedError

    monkeypatch.setattr(maps, "_write", fail)
    with pytest.raises(StoppedError):
        predict_map(clf, stack, tmp_path / "map.tif", progress=False)
    complete = np.isfinite(pixels).all(axis=(1, 2))
    other = IgnorePrivileged(RandomForestClassifier(5, random_state=0))
    other.fit(pixels[complete], truth.astype(str).ravel()[complete])
    with pytest.raises(StoppedError):
        predict_map(other, stack, tmp_path / "map.tif", progress=False)
    assert len(list(tmp_path.glob(".map.tif.*.partial"))) == 2


def test_a_model_of_named_columns_finds_its_dates(stack, fields, small, tmp_path):
    fields = fields.assign(crop=["a", "a", "b", "b", "a", "b"])
    data = training_set(fields, object_series(stack, fields), y="crop")
    clf = GKDClassifier(small, small, n_channels=2, validation_fraction=0, random_state=0)
    clf.fit(data.X, data.y, X_priv=data.X)
    later = stack.assign_coords(
        time=pd.to_datetime(["2017-01-07", "2017-01-14", "2017-02-20", "2017-04-29"])
    )
    with pytest.warns(UserWarning, match="predict_objects is the better use"):
        one = predict_map(clf, stack, tmp_path / "a.tif", progress=False)
    with pytest.warns(UserWarning, match="predict_objects is the better use"):
        other = predict_map(clf, later, tmp_path / "b.tif", progress=False)
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(ValueError, match="no acquisition of its own"):
        predict_map(clf, later.isel(time=[0, 1]), tmp_path / "c.tif", progress=False)


def test_another_number_of_dates_is_an_error(stack, clf, tmp_path):
    with pytest.raises(ValueError, match=r"stack has 3 dates of 2 bands, .* fitted on 8 columns"):
        predict_map(clf, stack.isel(time=[0, 1, 2]), tmp_path / "map.tif")


def test_blocks_go_to_the_cluster(stack, clf, tmp_path):
    distributed = pytest.importorskip("distributed")
    expected = predict_map(clf, stack.compute(), tmp_path / "a.tif", progress=False)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        out = predict_map(clf, stack, tmp_path / "b.tif", progress=False)
        pids = client.run(lambda: __import__("os").getpid())
        logs = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(set(pids.values())) == 2
    assert sum(logs.values()) > 0
    assert out.read_bytes() == expected.read_bytes()


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


# --- Without the extra --------------------------------------------------------------------------


def test_the_package_does_not_need_the_extra():
    code = (
        "import sys; sys.modules.update(rasterio=None, geopandas=None, xarray=None, pooch=None)\n"
        "import sklearn_gkd, sklearn_gkd.datasets, sklearn_gkd.eo, sklearn_gkd.persistence\n"
        "from sklearn_gkd.eo.raster import open_stack"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "sklearn_gkd.eo.raster needs rasterio: pip install 'sklearn-gkd[geo]'." in last
