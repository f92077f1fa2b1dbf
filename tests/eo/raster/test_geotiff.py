import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="needs the extra geo")
from rasterio.windows import Window  # noqa: E402

from sklearn_gkd.eo.raster._geotiff import palette_of, write_classes, write_numbers  # noqa: E402


@pytest.fixture
def blocks(scene):
    """Two windows of two layers of the scene's size."""
    height, width = scene.classes.shape
    layers = np.arange(2 * height * width, dtype="float32").reshape(2, height, width) % 300
    windows = [Window(0, 0, width, 16), Window(0, 16, width, height - 16)]
    return [(window, layers[:, window.row_off :][:, : window.height]) for window in windows]


def test_numbers_lie_on_the_grid_of_the_stack(stack, blocks, scene, tmp_path):
    write_numbers(tmp_path / "numbers.tif", stack, blocks, ["low", "high"])
    with rasterio.open(tmp_path / "numbers.tif") as file:
        assert (file.crs.to_epsg(), file.transform) == (32631, scene.grid)
        assert file.descriptions == ("low", "high")
        assert np.isnan(file.nodata)
        expected = np.concatenate([block for _, block in blocks], axis=1)
        np.testing.assert_array_equal(file.read(), expected)


@pytest.mark.parametrize(("n_classes", "dtype"), [(255, "uint8"), (256, "uint16")])
def test_numbers_of_many_classes(stack, blocks, tmp_path, n_classes, dtype):
    names = np.array([f"<class> {number}" for number in range(n_classes)])
    blocks = [(window, block[:1] % (n_classes + 1)) for window, block in blocks]
    palette = palette_of(names, None)
    write_classes(tmp_path / "map.tif", stack, blocks, names.tolist(), palette)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata, file.descriptions) == ((dtype,), 0, ("class",))
        assert file.tags(1)[str(n_classes)] == f"<class> {n_classes - 1}"
        np.testing.assert_array_equal(file.read(1)[:16], blocks[0][1][0])
        if palette is not None:
            assert file.colormap(1)[n_classes] == (*palette[n_classes], 255)
    assert "&lt;class&gt; 0" in (tmp_path / "map.tif.aux.xml").read_text()


@pytest.mark.parametrize("writer", ["numbers", "classes"])
def test_a_file_that_fails_leaves_the_one_before(stack, blocks, tmp_path, writer):
    def write(blocks, names):
        if writer == "numbers":
            write_numbers(tmp_path / "out.tif", stack, blocks, names)
        else:
            of_classes = ((window, block[:1]) for window, block in blocks)
            write_classes(tmp_path / "out.tif", stack, of_classes, names, None)

    def interrupted():
        yield blocks[0]
        raise KeyboardInterrupt

    write(blocks, ["a", "b"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        write(interrupted(), ["c", "d"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_colours_are_those_given_or_all_different():
    classes = np.array(["grass", "wheat", "oats"])
    assert palette_of(classes[:2], {"wheat": [1, 2, 3], "grass": [4, 5, 6]}) == {
        1: (4, 5, 6),
        2: (1, 2, 3),
    }
    assert len(set(palette_of(classes, None).values())) == 3
    with pytest.raises(ValueError, match=r"colors has no colour for 'oats'. Give one for each of"):
        palette_of(classes, {"wheat": [1, 2, 3], "grass": [4, 5, 6]})
