import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from sklearn_gkd.eo.raster import object_series, open_stack


def test_a_stack_is_what_the_files_hold(stack, paths, scene, write):
    np.testing.assert_array_equal(stack.to_numpy(), scene.images)
    assert stack.chunks is not None
    assert stack.rio.crs.to_epsg() == 32631
    assert stack.rio.transform() == scene.grid
    bands = [
        [write(f"{date}_{i}.tif", image[i : i + 1]) for i in range(2)]
        for date, image in zip(scene.dates, scene.images, strict=True)
    ]
    np.testing.assert_array_equal(open_stack(bands, scene.dates, ["VV", "VH"]), stack)


def test_files_on_another_grid(paths, stack, scene, write):
    image = np.cumsum(np.ones((2, 40, 40)), axis=2)
    shifted = from_origin(500_003, 4_900_010, 20, 20)
    other = write("other.tif", image, shifted)
    with pytest.raises(ValueError, match=r"other.tif lies on another grid .*20.0.* Give like="):
        open_stack([*paths[:3], other], scene.dates, ["VV", "VH"])
    warped = open_stack([*paths[:3], other], scene.dates, ["VV", "VH"], like=stack)
    np.testing.assert_array_equal(warped[:3], stack[:3])
    expected = np.full((2, 50, 40), -9999.0, dtype="float32")
    reproject(
        image.astype("float32"),
        expected,
        src_transform=shifted,
        src_crs=32631,
        dst_transform=scene.grid,
        dst_crs=32631,
        src_nodata=-9999,
        dst_nodata=-9999,
        resampling=Resampling.bilinear,
    )
    np.testing.assert_allclose(warped[3], np.where(expected == -9999, np.nan, expected), rtol=1e-5)
    in_degrees = write("degrees.tif", image, from_origin(2.9, 44.3, 1e-4, 1e-4), 4326)
    with pytest.raises(ValueError, match=r"degrees.tif lies on another grid .*EPSG:4326"):
        open_stack([*paths[:3], in_degrees], scene.dates, ["VV", "VH"])
    warped = open_stack([*paths[:3], in_degrees], scene.dates, ["VV", "VH"], like=stack)
    assert warped.rio.crs == stack.rio.crs
    assert warped.shape == stack.shape


def test_errors_of_stacks(paths, stack, fields, scene, write):
    with pytest.raises(ValueError, match="paths has 4 entries, but dates has 3"):
        open_stack(paths, scene.dates[:3], ["VV", "VH"])
    with pytest.raises(ValueError, match="has 2 bands, but bands names 1"):
        open_stack(paths, scene.dates, ["VV"])
    with pytest.raises(ValueError, match="dates are not in order"):
        open_stack(paths, scene.dates[::-1], ["VV", "VH"])
    with pytest.raises(ValueError, match="Give dates such as 2016-01-12"):
        open_stack(paths, ["a", "b", "c", "d"], ["VV", "VH"])
    nowhere = write("nowhere.tif", scene.images[0], crs=None)
    with pytest.raises(ValueError, match=r"nowhere.tif has no CRS"):
        open_stack([nowhere, *paths[1:]], scene.dates, ["VV", "VH"])
    with pytest.raises(ValueError, match=r"stack is ndarray. Give an xarray.DataArray"):
        object_series(stack.to_numpy(), fields)
    with pytest.raises(ValueError, match="stack has no CRS"):
        object_series(stack.drop_vars("spatial_ref"), fields)
    with pytest.raises(ValueError, match="stack is not north up"):
        object_series(stack.isel(y=slice(None, None, -1)), fields)


def test_the_package_does_not_need_the_extra():
    code = (
        "import sys; sys.modules.update(rasterio=None, geopandas=None, xarray=None, pooch=None)\n"
        "import sklearn_gkd, sklearn_gkd.datasets, sklearn_gkd.eo, sklearn_gkd.persistence\n"
        "from sklearn_gkd.eo.raster import open_stack"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "sklearn_gkd.eo.raster needs rasterio: pip install 'sklearn-gkd[geo]'." in last
