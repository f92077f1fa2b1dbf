"""The README's and the site's Python runs as it stands, page by page, on small data."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import sklearn_gkd
from sklearn_gkd import GKDClassifier, GKDRegressor
from sklearn_gkd.datasets import make_sits

ROOT = Path(sklearn_gkd.__file__).parents[1]
SNIPPETS = {
    path.relative_to(ROOT).as_posix(): snippets
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    if (snippets := re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.M))
}
TESTED_BELOW = {"README.md", "docs/guide/help.md", "docs/guide/map.md", "docs/guide/shell.md"}

mpl.use("agg")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def short_fits(monkeypatch):
    """One pass in place of the default's, so that a page takes seconds."""
    for estimator in (GKDClassifier, GKDRegressor):
        monkeypatch.setitem(estimator.__init__.__kwdefaults__, "max_epochs", 1)


def run(page, **names):
    """Run the snippets of a page, one after the other, and return what they made."""
    names["__name__"] = "__main__"
    for number, snippet in enumerate(SNIPPETS[page], start=1):
        exec(compile(snippet, f"{page}, snippet {number}", "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore::sklearn_gkd.exceptions.PrivilegedInformationWarning")
def test_readme(capsys, short_fits):
    run("README.md")
    printed = capsys.readouterr()
    assert 0 < float(printed.out) < 1
    assert "teacher: 100%" in printed.err
    assert "student: 100%" in printed.err


@pytest.mark.long
def test_readme_at_its_length(capsys):
    names = run("README.md")
    assert names["clf"].distillation_.used
    assert 0.6 < float(capsys.readouterr().out) < 1


@pytest.mark.filterwarnings("ignore::sklearn_gkd.exceptions.PrivilegedInformationWarning")
@pytest.mark.parametrize("page", sorted(SNIPPETS.keys() - TESTED_BELOW))
def test_page(page, npz, short_fits):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("distributed", reason="needs the extra dask")
    npz.rename("fields.npz")
    run(page)


def test_from_the_shell(npz, monkeypatch, short_fits):
    monkeypatch.setattr("sys.argv", ["learn.py", str(npz), "radar.safetensors"])
    run("docs/guide/shell.md")
    assert Path("radar.safetensors").stat().st_size > 0


@pytest.mark.long
def test_does_it_help(capsys):
    sits = make_sits(80, n_unlabeled=20, random_state=0)
    run(
        "docs/guide/help.md",
        X=sits.X_s1,
        y=sits.y,
        X_priv=sits.X_s2,
        groups=sits.groups,
        pairs={name: sits[name] for name in ("X_unlabeled", "X_priv_unlabeled")},
    )
    assert "student alone" in capsys.readouterr().out
    assert Path("gain.png").stat().st_size > 0


def test_from_images_to_a_map(short_fits):
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
            "docs/guide/map.md",
            s1_paths=[write(f"s1_{i}.tif", 2, -12) for i in range(3)],
            s1_dates=["2023-01-05", "2023-02-05", "2023-03-05"],
            s2_paths=[write(f"s2_{i}.tif", 4, 2000) for i in range(2)],
            s2_dates=["2023-01-10", "2023-02-20"],
        )
    assert names["data"].X.shape == (27, 6)
    assert names["data"].X_unlabeled.shape == (9, 6)
    assert names["pairs"].X_priv_unlabeled.shape == (20, 10)
    assert len(geopandas.read_file("crops.gpkg")) == 36
    for path in ("crops.tif", "confidence.tif"):
        with rasterio.open(path) as file:
            assert file.shape == (size, size)
