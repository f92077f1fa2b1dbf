"""The README's Python runs as it stands, snippet by snippet, on small data."""

import ast
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import sklearn_gkd
from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

README = Path(sklearn_gkd.__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)

mpl.use("agg")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(start, **names):
    """Run the snippet that has this line, after the imports of those before it."""
    [number] = [i for i, snippet in enumerate(SNIPPETS) if start in snippet]
    for earlier in SNIPPETS[:number]:
        for node in ast.parse(earlier).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(ast.unparse(node), names)
    exec(compile(SNIPPETS[number], f"README.md, snippet {number + 1}", "exec"), names)
    return names


@pytest.fixture
def small_fit():
    sits = make_sits(60, random_state=0)
    net = SeriesNet("mlp", module__width=8, max_epochs=1)
    clf = GKDClassifier(net, net, random_state=0).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
    return {"clf": clf, "X_s1": sits.X_s1}


def test_first_snippet(capsys):
    names = run("sits = make_sits(3100, n_unlabeled=1000, random_state=0)")
    assert names["clf"].distillation_.used
    printed = capsys.readouterr()
    assert 0.6 < float(printed.out) < 1
    assert "teacher: 100%" in printed.err
    assert "student: 100%" in printed.err


def test_own_data(npz):
    npz.rename("fields.npz")
    names = run('load_sits("fields.npz")')
    predicted = names["clf"].predict(names["sits"].X_s1)
    assert set(predicted) <= {"crops", "forest", "water"}


def test_keeping_a_model(small_fit):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    run('save_model(clf, "radar.safetensors")', **small_fit)
    assert Path("radar.safetensors").stat().st_size > 0
    assert Path("radar.onnx").stat().st_size > 0


@pytest.mark.long
def test_does_it_help(capsys):
    sits = make_sits(80, n_unlabeled=20, random_state=0)
    run(
        "results = privileged_gain(",
        X=sits.X_s1,
        y=sits.y,
        X_priv=sits.X_s2,
        groups=sits.groups,
        pairs={name: sits[name] for name in ("X_unlabeled", "X_priv_unlabeled")},
    )
    assert "student alone" in capsys.readouterr().out
    assert Path("gain.png").stat().st_size > 0


def test_from_images_to_a_map(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    rng = np.random.RandomState(0)
    size, field = 60, 10  # pixels of 10 m
    grid = rasterio.transform.from_origin(500_000, 4_900_000, 10, 10)
    corners = [(500_000 + x, 4_900_000 - y) for x in range(0, 600, 100) for y in range(0, 600, 100)]
    boxes = [shapely.box(x, y - 10 * field, x + 10 * field, y) for x, y in corners]
    crops = np.resize(["wheat", "grass", "wheat", None], len(boxes))
    fields = geopandas.GeoDataFrame({"crop": crops}, geometry=boxes, crs=32631)
    fields.to_file("fields.gpkg")

    def write(name, n_bands, mean):
        values = mean + rng.normal(size=(n_bands, size, size)).astype("float32")
        profile = {"count": n_bands, "height": size, "width": size, "dtype": "float32"}
        with rasterio.open(name, "w", "GTiff", crs=32631, transform=grid, **profile) as file:
            file.write(values)
        return name

    with pytest.warns(UserWarning, match="Pixels are noisier"):
        names = run(
            'geopandas.read_file("fields.gpkg")',
            s1_paths=[write(f"s1_{i}.tif", 2, -12) for i in range(3)],
            s1_dates=["2023-01-05", "2023-02-05", "2023-03-05"],
            s2_paths=[write(f"s2_{i}.tif", 4, 2000) for i in range(2)],
            s2_dates=["2023-01-10", "2023-02-20"],
        )
    assert names["data"].X.shape == (27, 6)
    assert names["data"].X_unlabeled.shape == (9, 6)
    assert len(geopandas.read_file("crops.gpkg")) == 36
    for path in ("crops.tif", "confidence.tif"):
        with rasterio.open(path) as file:
            assert file.shape == (size, size)


def test_every_snippet_is_run():
    tests = Path(__file__).read_text()
    starts = re.findall(r"""run\(\s*(['"])(.+?)\1[,)]""", tests)
    assert len(SNIPPETS) == 5
    for snippet in SNIPPETS:
        assert sum(start in snippet for _, start in starts) == 1
