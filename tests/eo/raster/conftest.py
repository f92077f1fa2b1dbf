import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from sklearn_gkd import GKDClassifier

HEIGHT, WIDTH = 50, 40


@pytest.fixture
def scene():
    """Images (4, 2, height, width) in dB, with gaps, on a grid; the east rises in the season."""
    rng = np.random.default_rng(0)
    rise = np.linspace(0, 6, 4)[:, None, None, None] * (np.arange(WIDTH) >= 20)
    images = -15 + rise + rng.normal(size=(4, 2, HEIGHT, WIDTH))
    images[:, :, 3:6, 4:9] = np.nan
    images[1, 0, 30, :10] = np.nan
    return Bunch(
        images=images.astype("float32"),
        dates=["2016-01-04", "2016-01-16", "2016-02-20", "2016-05-01"],
        grid=pytest.importorskip("rasterio.transform").from_origin(500_000, 4_900_000, 10, 10),
        classes=np.where(np.arange(WIDTH) >= 20, "wheat", "grass") * np.ones((HEIGHT, 1), object),
    )


@pytest.fixture
def write(tmp_path, scene):
    """Write an image (C, height, width) to a GeoTIFF of this name, and return its path."""
    rasterio = pytest.importorskip("rasterio")

    def write(name, image, transform=scene.grid, crs=32631, nodata=-9999):
        path = tmp_path / name
        image = np.where(np.isnan(image), nodata, image).astype("float32")
        grid = {"height": image.shape[1], "width": image.shape[2], "transform": transform}
        with rasterio.open(
            path, "w", "GTiff", count=len(image), dtype="float32", crs=crs, nodata=nodata, **grid
        ) as file:
            file.write(image)
        return path

    return write


@pytest.fixture
def paths(scene, write):
    return [
        write(f"{date}.tif", image) for date, image in zip(scene.dates, scene.images, strict=True)
    ]


@pytest.fixture
def stack(scene, paths):
    from sklearn_gkd.eo.raster import open_stack

    return open_stack(paths, scene.dates, ["VV", "VH"])


@pytest.fixture
def later(stack):
    """The next year's stack, some days off."""
    dates = ["2017-01-07", "2017-01-14", "2017-02-20", "2017-04-29"]
    return stack.assign_coords(time=pd.to_datetime(dates))


@pytest.fixture
def fields():
    geopandas = pytest.importorskip("geopandas")
    from shapely.geometry import Polygon, box

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


@pytest.fixture
def pixels(scene):
    """The scene's pixels (height * width, T, C)."""
    return scene.images.transpose(2, 3, 0, 1).reshape(-1, 4, 2)


@pytest.fixture
def clf(small, pixels, scene):
    """A classifier of pixels, fitted on a fifth of those without gaps."""
    complete = np.isfinite(pixels).all(axis=(1, 2))
    clf = GKDClassifier(small, small, random_state=0)
    y = scene.classes.astype(str).ravel()[complete][::5]
    return clf.fit(pixels[complete][::5], y, X_priv=pixels[complete][::5])


@pytest.fixture
def tif(tmp_path):
    """Write an image (C, height, width) as it is, and return its path."""
    rasterio = pytest.importorskip("rasterio")

    def tif(name, image, transform=None, crs=32631, mask=None, external=False, **tags):
        path = tmp_path / name
        transform = transform or rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
        image = np.asarray(image)
        image = image[None] if image.ndim == 2 else image
        profile = {"transform": transform, "crs": crs, "nodata": tags.pop("nodata", None)}
        n_bands, height, width = image.shape
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not external),
            rasterio.open(
                path, "w", "GTiff", width, height, n_bands, dtype=image.dtype, **profile
            ) as file,
        ):
            for tag, value in tags.items():
                setattr(file, tag, value)
            file.write(image)
            if mask is not None:
                file.write_mask(mask)
        return path

    return tif


@pytest.fixture
def like(tif):
    """A raster of 5 m pixels over those of `tif`, which begins one of its pixels earlier."""
    rasterio = pytest.importorskip("rasterio")
    grid = rasterio.Affine(5, 0, 499_990, 0, -5, 5_000_010)
    return tif("like.tif", np.zeros((24, 24), "float32"), grid)


@pytest.fixture
def finer():
    """Warp an image (10, 10) of `tif`, NaN for no data, to the grid of `like` by rasterio."""
    rasterio = pytest.importorskip("rasterio")
    from rasterio.warp import Resampling, reproject

    def finer(image, resampling="bilinear"):
        warped = np.full((24, 24), np.nan, dtype="float32")
        reproject(
            image.astype("float32"),
            warped,
            src_transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
            src_crs=32631,
            src_nodata=np.nan,
            dst_transform=rasterio.Affine(5, 0, 499_990, 0, -5, 5_000_010),
            dst_crs=32631,
            dst_nodata=np.nan,
            resampling=Resampling[resampling],
        )
        return warped

    return finer
