import ctypes
from glob import glob
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="needs the extra geo")
from rasterio.windows import Window  # noqa: E402

from sklearn_gkd.eo.raster._geotiff import write_classes, write_numbers  # noqa: E402
from sklearn_gkd.eo.raster._legend import legend_of  # noqa: E402


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
    legend = legend_of(np.array([f"<class> {number}" for number in range(n_classes)]))
    blocks = [(window, block[:1] % (n_classes + 1)) for window, block in blocks]
    write_classes(tmp_path / "map.tif", stack, blocks, legend)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata, file.descriptions) == ((dtype,), 0, ("class",))
        assert file.tags(1)[str(n_classes)] == f"<class> {n_classes - 1}"
        np.testing.assert_array_equal(file.read(1)[:16], blocks[0][1][0])
        assert file.colormap(1)[n_classes] == (*legend.colors[-1], 255)


def test_codes_are_the_values_of_the_map(stack, blocks, tmp_path, gdal):
    legend = legend_of(np.array([211, 311]), {211: "arable & other", 311: "<forest>"}, CODES)
    blocks = [(window, block[:1] % 3) for window, block in blocks]
    write_classes(tmp_path / "map.tif", stack, blocks, legend)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata) == (("uint16",), 0)
        assert file.tags(1)["311"] == "<forest>"
        assert [file.colormap(1)[code] for code in CODES] == [(250, 230, 0, 255), (0, 128, 1, 255)]
        values = file.read(1)
    numbers = np.concatenate([block[0] for _, block in blocks])
    np.testing.assert_array_equal(values, np.select([numbers == 1, numbers == 2], [211, 311]))
    categories, table = gdal(tmp_path / "map.tif")
    assert {i: name for i, name in enumerate(categories) if name} == {
        0: "no data",
        211: "arable & other",
        311: "<forest>",
    }
    assert table == [
        ["211", "arable & other", "250", "230", "0"],
        ["311", "<forest>", "0", "128", "1"],
    ]


CODES = {211: "#fae600", 311: (0, 128, 1)}


@pytest.fixture
def gdal():
    """Return a function that has GDAL read the category names and the attribute table of a file."""
    libraries = glob(f"{Path(rasterio.__file__).parents[1]}/rasterio.libs/libgdal*")
    if not libraries:
        pytest.skip("needs the GDAL of rasterio's wheels")
    library = ctypes.CDLL(libraries[0])
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p

    def call(name, result, *arguments):
        function = getattr(library, name)
        function.restype = result
        return function(*arguments)

    def read(path):
        call("GDALAllRegister", None)
        file = pointer(call("GDALOpen", pointer, text(str(path).encode()), integer(0)))
        band = pointer(call("GDALGetRasterBand", pointer, file, integer(1)))
        table = pointer(call("GDALGetDefaultRAT", pointer, band))
        # GDAL looks for the names after the table alone.
        names = call("GDALGetRasterCategoryNames", ctypes.POINTER(text), band)
        n_rows = call("GDALRATGetRowCount", integer, table)
        cells = [
            [
                call("GDALRATGetValueAsString", text, table, integer(row), integer(column)).decode()
                for column in range(5)
            ]
            for row in range(n_rows)
        ]
        counted = (names[i] for i in count())
        found = [name.decode() for name in takewhile(lambda name: name is not None, counted)]
        call("GDALClose", None, file)
        return found, cells

    return read


@pytest.mark.parametrize("writer", ["numbers", "classes"])
def test_a_file_that_fails_leaves_the_one_before(stack, blocks, tmp_path, writer):
    def write(blocks, names):
        if writer == "numbers":
            write_numbers(tmp_path / "out.tif", stack, blocks, names)
        else:
            of_classes = ((window, block[:1]) for window, block in blocks)
            write_classes(tmp_path / "out.tif", stack, of_classes, legend_of(np.array(names * 150)))

    def interrupted():
        yield blocks[0]
        raise KeyboardInterrupt

    write(blocks, ["a", "b"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        write(interrupted(), ["c", "d"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("writer", ["numbers", "classes"])
def test_nothing_beside_a_file_outlives_it(stack, blocks, tmp_path, writer):
    path = tmp_path / "out.tif"
    of_classes = [(window, block[:1] % 3) for window, block in blocks]
    write_classes(path, stack, of_classes, legend_of(np.array([1, 2])))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    for ending in (".msk", ".msk.ovr", ".vat.dbf"):
        Path(f"{path}{ending}").touch()
    assert Path(f"{path}.ovr").exists()
    if writer == "classes":
        write_classes(path, stack, of_classes, legend_of(np.array([7, 9])))
        assert "<Category>9<" in Path(f"{path}.aux.xml").read_text()
        left = {"out.tif", "out.tif.aux.xml"}
    else:
        write_numbers(path, stack, blocks, ["low", "high"])
        left = {"out.tif"}
    assert {file.name for file in tmp_path.glob("out*")} == left
    with rasterio.open(path) as file:
        zoomed_out, whole = file.read(1, out_shape=(25, 20)), file.read(1)
    assert set(zoomed_out.ravel()) <= set(whole.ravel())
