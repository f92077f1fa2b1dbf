"""The example's map, on a small scene, as a GIS opens it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.features import rasterize  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "plot_map.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("plot_map", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long  # building the site runs the example
def test_the_map_of_the_example(example, tmp_path, capsys):
    objects = example.main(tmp_path, n_side=14)
    fields = geopandas.read_file(tmp_path / "cover.gpkg")
    with rasterio.open(tmp_path / "cover.tif") as file:
        assert file.crs.to_epsg() == 32631
        assert file.shape == (168, 168)
        assert file.res == (10, 10)
        names = {int(code): name for code, name in file.tags(1).items() if code.isdigit()}
        assert sorted(names.values()) == sorted(set(fields.cover))
        assert file.colormap(1)[1] == (*example.COLORS[names[1]], 255)
        codes = file.read(1)
        number_of = {name: code for code, name in names.items()}
        shapes = [(field.geometry, number_of[field.cover]) for field in fields.itertuples()]
        truth = rasterize(shapes, file.shape, transform=file.transform)
    image, extent, legend = example.open_map(tmp_path / "cover.tif")
    assert extent == (500_000, 501_680, 4_978_320, 4_980_000)
    for code, name in names.items():
        np.testing.assert_allclose(legend[name] * 255, example.COLORS[name])
        assert (image[codes == code] == legend[name]).all()
    assert (codes > 0).all()
    most_frequent = np.bincount(truth.ravel()).max() / truth.size
    assert (codes == truth).mean() > most_frequent + 0.05
    unseen = fields[~fields.surveyed]
    assert (unseen.predicted == unseen.cover).mean() > most_frequent + 0.1
    assert unseen.confidence.between(0, 1).all()
    assert objects.predicted.tolist() == fields.predicted.tolist()
    assert "of the other fields are right" in capsys.readouterr().out
