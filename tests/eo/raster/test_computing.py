"""Blocks computed at home, and on a real cluster of two processes."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
distributed = pytest.importorskip("distributed", reason="needs the extra dask")
import dask.array  # noqa: E402

from sklearn_gkd.eo.raster import _computing as computing  # noqa: E402
from sklearn_gkd.eo.raster import _coverage as coverage  # noqa: E402
from sklearn_gkd.eo.raster import _maps as maps  # noqa: E402
from sklearn_gkd.eo.raster import object_patches, object_series, predict_map  # noqa: E402

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", 1)
    monkeypatch.setattr(coverage, "CHUNK", {"x": 16, "y": 16})


@pytest.fixture
def dies_once(tmp_path):
    """A function that kills the first process which calls it, unless that is this one."""
    home, marker = os.getpid(), str(tmp_path / "killed")

    def dies_once():
        if os.getpid() != home:
            try:
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    yield dies_once
    assert os.path.exists(marker)


@pytest.fixture
def deadly(dies_once):
    """A classifier that kills the first worker which it predicts in."""

    class Deadly(ClassifierMixin, BaseEstimator):
        classes_ = np.array([1, 2])

        def __sklearn_is_fitted__(self):
            return True

        def fit(self, X, y):
            return self

        def predict(self, X):
            return self.predict_proba(X).argmax(axis=1) + 1

        def predict_proba(self, X):
            dies_once()
            share = np.clip(X[:, :1] / -30, 0, 1)
            return np.hstack([share, 1 - share])

    return Deadly()


def processes(client):
    return set(client.run(os.getpid).values())


def test_a_map_by_a_cluster(cluster, stack, clf, tmp_path):
    names = ("confidence", "probabilities", "entropy", "margin")
    files = {}
    for place, images in (("home", stack.compute()), ("threads", stack), ("cluster", stack)):
        folder = tmp_path / place
        paths = {name: folder / f"{name}.tif" for name in names}
        with cluster.as_current() if place == "cluster" else open(os.devnull):
            predict_map(clf, images, folder / "map.tif", progress=False, **paths)
        files[place] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(files["home"]) == 6
    assert files["home"] == files["threads"] == files["cluster"]
    executed = cluster.run(lambda dask_worker: dask_worker.state.executed_count)
    assert min(executed.values()) > 0


def test_a_map_when_a_worker_dies(cluster, stack, deadly, tmp_path):
    home = predict_map(
        deadly, stack, tmp_path / "a.tif", margin=tmp_path / "a_margin.tif", progress=False
    )
    before = processes(cluster)
    with cluster.as_current():
        out = predict_map(
            deadly, stack, tmp_path / "b.tif", margin=tmp_path / "b_margin.tif", progress=False
        )
    assert out.read_bytes() == home.read_bytes()
    assert (tmp_path / "b_margin.tif").read_bytes() == (tmp_path / "a_margin.tif").read_bytes()
    cluster.wait_for_workers(2, timeout=60)
    assert len(before & processes(cluster)) == 1
    assert not list(tmp_path.glob(".*"))


def test_objects_when_a_worker_dies(cluster, stack, fields, dies_once):
    def read(block):
        dies_once()
        return block

    images = stack.chunk(x=16, y=16)
    images.data = images.data.map_blocks(read, dtype=stack.dtype, meta=stack.data._meta)
    expected = object_series(images, fields)
    pd.testing.assert_frame_equal(expected, object_series(stack.compute(), fields), rtol=1e-12)
    cluster.wait_for_workers(2, timeout=60)
    before = processes(cluster)
    with cluster.as_current():
        found = object_series(images, fields)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    cluster.wait_for_workers(2, timeout=60)
    assert len(before & processes(cluster)) == 1


def test_patches_by_a_cluster(cluster, stack, fields):
    inside = fields.drop("partly outside")
    with cluster.as_current():
        found = object_patches(stack, inside, 20)
    pd.testing.assert_frame_equal(found, object_patches(stack.compute(), inside, 20))


def test_what_travels(cluster, stack, fields, tmp_path, monkeypatch):
    received = []
    pickled, home = tmp_path / "pickled", os.getpid()  # the class itself travels as a copy

    class Counted(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(20)

        def __sklearn_is_fitted__(self):
            return True

        def __getstate__(self):
            if os.getpid() == home:
                with pickled.open("a") as file:
                    file.write("x")
            return super().__getstate__()

        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.zeros(len(X), dtype=int)

        def predict_proba(self, X):
            return np.full((len(X), 20), 0.05)

    result = distributed.Future.result

    def noted(future):
        received.append(result(future))
        return received[-1]

    monkeypatch.setattr(distributed.Future, "result", noted)
    with cluster.as_current():
        object_series(stack, fields)
        assert sum(array.nbytes for array in received) < stack.nbytes / 20
        times = {}
        for name, of_pixel in (("confidence", 2), ("entropy", 2), ("probabilities", 21)):
            for block, n_blocks in ((1, 4), (2**20, 1)):
                received.clear()
                pickled.write_text("")
                monkeypatch.setattr(maps, "BLOCK", block)
                path = tmp_path / "of.tif"
                predict_map(Counted(), stack, tmp_path / "map.tif", progress=False, **{name: path})
                times[n_blocks] = len(pickled.read_text())
                assert len(received) == n_blocks
                assert sum(array.nbytes for array in received) == 50 * 40 * 4 * of_pixel
            assert times[4] == times[1] > 0


def test_arrays_come_in_their_order_and_one_by_one():
    computed = []

    def array(number):
        block = dask.array.ones((2, 3), chunks=1) * number
        return block.map_blocks(lambda values: (computed.append(number), values)[1], dtype=float)

    arrays = (array(number) for number in range(4))
    found = computing.computed(arrays)
    for number in range(4):
        np.testing.assert_array_equal(next(found), np.full((2, 3), number))
        assert set(computed) <= set(range(number + 1))
    assert list(found) == []
