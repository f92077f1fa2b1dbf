import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="needs the extra geo")
xarray = pytest.importorskip("xarray", reason="needs the extra geo")
import torch  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402

from sklearn_gkd.eo.raster import open_stack  # noqa: E402
from sklearn_gkd.eo.raster._identity import (  # noqa: E402
    fingerprint,
    fingerprint_of_pixels,
    source_files,
)
from sklearn_gkd.eo.raster._pixels import masked_and_shifted  # noqa: E402

MODELS = """
import sys
import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn_gkd import GKDClassifier, IgnorePrivileged
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.eo.raster import open_stack
from sklearn_gkd.eo.raster._identity import fingerprint, fingerprint_of_pixels
from sklearn_gkd.networks import SeriesNet

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X = rng.normal(3000, 100, size=(60, 8)).astype("float32")
y = np.where(X[:, 0] > 3000, "oats", "rye")
net = SeriesNet("mlp", module__width=8, max_epochs=2)
clf = GKDClassifier(net, net, n_channels=2, validation_fraction=0.3, random_state=0)
models = [
    clf.fit(X, y, X_priv=X),
    make_pipeline(GapFiller(n_channels=2), clf).fit(X, y, gkdclassifier__X_priv=X),
    RandomForestClassifier(5, random_state=0).fit(X, y),
    IgnorePrivileged(HistGradientBoostingClassifier(max_iter=3, random_state=0)).fit(X, y),
]
before = [fingerprint(model) for model in models]
for model in models:
    model.predict(X)
assert [fingerprint(model) for model in models] == before
stack = open_stack(sys.argv[1:], ["2016-01-04", "2016-01-16"], ["VV", "VH"])
print(*before, *(fingerprint_of_pixels(s, 16) for s in (stack, 2 * stack, stack.compute())))
"""


def test_another_process_tells_the_same(paths):
    found = [
        subprocess.run(
            [sys.executable, "-c", MODELS, *paths[:2]],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert len(set(found[0])) == 7
    assert "None" not in found[0]


def test_a_model_is_told_by_each_of_its_parameters(clf):
    first = fingerprint(clf)
    assert fingerprint(pickle.loads(pickle.dumps(clf))) == first
    weights = next(clf.student_.module_.parameters())
    with torch.no_grad():
        weights.view(-1)[-1].nextafter_(torch.tensor(torch.inf))
    assert fingerprint(clf) != first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        ("1", b"1"),
        ([1, [2]], [[1], 2]),
        ({"a": 1}, {"a": 2}),
        (np.arange(3), np.arange(3.0)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.array(["a", None], object), np.array(["a", "b"], object)),
        (np.array([(1, 2.0)], "i4,f8"), np.array([(1, 3.0)], "i4,f8")),
        (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
        (torch.tensor([1.0]).bfloat16(), torch.tensor([2.0]).bfloat16()),
        (np.datetime64("2016-01-01"), np.datetime64("2016-01-02")),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (FunctionTransformer(lambda x: 2 * x), FunctionTransformer(lambda x: 3 * x)),
        (RandomForestClassifier(5), RandomForestClassifier(6)),
    ],
)
def test_other_content_is_told_apart(one, other):
    assert fingerprint(one) not in (None, fingerprint(other))
    assert fingerprint(one) == fingerprint(one)


def test_what_contains_itself_or_cannot_be_told():
    one, other = [1], [2]
    one.append(one)
    other.append(other)
    assert fingerprint(one) not in (None, fingerprint(other))
    assert fingerprint([iter([1]), (n for n in [1])]) is None
    padded = np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True))
    same = padded.copy()
    same.view("u1")[1] = 7  # between the fields
    assert fingerprint(padded) == fingerprint(same)


def test_files_are_told_by_size_and_time(paths, scene, write):
    def told(**like):
        stack = open_stack(paths, scene.dates, ["VV", "VH"], **like)
        assert source_files(stack) == set(paths)
        return fingerprint_of_pixels(stack, 16)

    first = told()
    assert told() == first
    before = paths[1].stat()
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    second = told()
    assert second != first
    shifted = open_stack(paths, scene.dates, ["VV", "VH"]).assign_coords(
        x=lambda image: image.x + 5
    )
    assert told(like=shifted) != second
    with paths[1].open("ab") as file:
        file.write(b"more")
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    assert told() != second


def test_a_mask_and_an_offset_are_told(paths, scene):
    def told(**given):
        stack = open_stack(paths, scene.dates, ["VV", "SCL"])
        return fingerprint_of_pixels(masked_and_shifted(stack, **given), 16)

    given = [{}, {"mask": "SCL"}, {"mask": "SCL", "mask_values": [3]}, {"offset": 1}]
    first = [told(**arguments) for arguments in given]
    assert None not in first
    assert len(set(first)) == len(given)
    assert [told(**arguments) for arguments in given] == first


def test_the_files_that_a_virtual_raster_shows(paths, scene, tmp_path):
    from rasterio.shutil import copy

    virtual = [tmp_path / f"{date}.vrt" for date in scene.dates]
    for path, target in zip(paths, virtual, strict=True):
        copy(path, target, driver="VRT")
    stack = open_stack(virtual, scene.dates, ["VV", "VH"])
    assert source_files(stack) == {*paths, *virtual}
    first = fingerprint_of_pixels(stack, 16)
    os.utime(paths[2], ns=(0, 0))
    assert fingerprint_of_pixels(stack, 16) not in (None, first)


def test_pixels_in_memory_are_told_by_their_values(stack):
    values = stack.compute()
    first = fingerprint_of_pixels(values, 16)
    assert first == fingerprint_of_pixels(values.copy(), 16)
    assert source_files(values) == set()
    other = values.copy()
    other[-1, -1, -1, -1] += 1e-5
    assert fingerprint_of_pixels(other, 16) != first
    chunked = [fingerprint_of_pixels(v.chunk(x=10), 16) for v in (values, values.copy(), other)]
    assert chunked[0] == chunked[1] != chunked[2]
    moved = values.assign_coords(x=values.x + 10)
    assert (
        fingerprint_of_pixels(moved.rio.write_transform(moved.rio.transform(recalc=True)), 16)
        != first
    )


def test_pixels_in_a_netcdf(stack, tmp_path):
    path = tmp_path / "stack.nc"
    values = stack.compute().drop_vars("spatial_ref").rename("values")
    values.encoding = {}
    values.to_netcdf(path, engine="scipy")
    with xarray.open_dataset(path, engine="scipy", chunks={"y": 16}) as file:
        lazy = file["values"].rio.write_crs(32631)
        first = fingerprint_of_pixels(lazy, 16)
        assert source_files(lazy) == {path}
        assert first is not None
        os.utime(path, ns=(0, 0))
        assert fingerprint_of_pixels(lazy, 16) != first


def test_each_tile_tells_a_mosaic(scene, write):
    import os

    from rasterio import Affine

    east = scene.grid @ Affine.translation(40, 0)
    tiles = [write("west.tif", scene.images[0]), write("east.tif", scene.images[0], east)]

    def opened(tiles):
        return open_stack([tiles], scene.dates[:1], ["VV", "VH"])

    assert source_files(opened(tiles)) == {path.resolve() for path in tiles}
    first = fingerprint_of_pixels(opened(tiles), 16)
    assert fingerprint_of_pixels(opened(tiles), 16) == first
    assert fingerprint_of_pixels(opened(tiles[::-1]), 16) != first
    for path in tiles:
        os.utime(path, (1, 1))
        changed = fingerprint_of_pixels(opened(tiles), 16)
        assert changed != first
        first = changed
