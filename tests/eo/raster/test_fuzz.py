"""Rasters drawn at random: their objects by object_series, and by rasterio and exactextract."""

import numpy as np
import pytest

geopandas = pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from exactextract import exact_extract  # noqa: E402
from rasterio import Affine  # noqa: E402
from rasterio.enums import ColorInterp, Resampling  # noqa: E402
from rasterio.warp import reproject  # noqa: E402
from shapely.geometry import Point, box  # noqa: E402

from sklearn_gkd.eo.raster import object_series, open_stack  # noqa: E402
from sklearn_gkd.eo.raster._names import is_radar  # noqa: E402

CORNERS = {32631: (500_000, 4_900_000, 10), 4326: (2.9, 44.3, 1e-4), 3035: (3.7e6, 2.4e6, 20)}
BANDS = [["VV"], ["VH", "VV"], ["vv_asc", "ratio"], ["B04", "B08"], ["B2", "B3", "B4"]]
SCALES = {"uint8": [0.1], "uint16": [1e-4, 0.01], "int16": [0.01], "int32": [0.001]}


class Draw:
    """A stack drawn at random: files, and what they mean (T, C, height, width), NaN for no data."""

    def __init__(self, seed, folder):
        self.rng = rng = np.random.default_rng(seed)
        self.folder = folder
        self.bands = BANDS[rng.integers(len(BANDS))]
        n_dates, n_bands = rng.integers(1, 5), len(self.bands)
        self.crs = int(rng.choice(list(CORNERS)))
        left, top, size = CORNERS[self.crs]
        left, top = left + size * rng.uniform(-3, 3), top + size * rng.uniform(-3, 3)
        self.size = size * rng.choice([1, 0.75, 2])
        self.height, self.width = (int(n) for n in rng.integers(2, 25, size=2))
        self.transform = Affine(self.size, 0, left, 0, -self.size, top)
        days = np.sort(rng.choice(300, n_dates, replace=False))
        self.dates = np.datetime64("2019-10-20") + days
        self.shape = (n_dates, n_bands, self.height, self.width)
        self.dtype = str(rng.choice([*SCALES, "float32", "float64"]))
        self.means_of_files()

    def means_of_files(self):
        """Draw what is stored, and work out what it means."""
        rng = self.rng
        stored = self.draw_numbers()
        scale, offset = 1.0, 0.0
        if self.dtype in SCALES and (rng.random() < 0.5 or self.bands[0].upper().startswith("V")):
            scale = float(rng.choice(SCALES[self.dtype]))
            offset = float(rng.choice([0, -0.2, -30]))
        gaps = rng.random(self.shape) < rng.choice([0, 0.2, 0.7])
        masked = rng.random((self.shape[0], *self.shape[2:])) < 0.3
        self.nodata = self.tag = None
        self.how = str(rng.choice(["none", "tag", "given", "both"]))
        self.mask = str(rng.choice(["none", "internal", "external", "alpha"]))
        meant = stored * scale + offset
        if self.how != "none":
            self.tag, self.nodata = (
                (None, 0) if self.how == "given" else (self.value_of_gap(), None)
            )
            stored[gaps] = self.tag if self.how != "given" else self.nodata
            if self.how == "both":
                self.nodata = 1
            for value in (self.tag, self.nodata):
                if value is not None:
                    meant[stored == value if value == value else np.isnan(stored)] = np.nan
        if self.mask != "none":
            meant[np.broadcast_to(masked[:, None], self.shape)] = np.nan
        if self.dtype.startswith("float"):
            broken = rng.random(self.shape) < 0.02
            stored[broken] = rng.choice([np.nan, np.inf, -np.inf], size=broken.sum())
            meant[broken] = np.nan
        self.stored, self.meant, self.masked = stored, meant, masked
        self.scale, self.offset = scale, offset

    def draw_numbers(self):
        rng = self.rng
        if self.dtype.startswith("float"):
            return rng.normal(-15, 6, size=self.shape).astype(self.dtype)
        highest = min(3000, np.iinfo(self.dtype).max)
        lowest = -highest if np.iinfo(self.dtype).min < 0 else 0
        return rng.integers(lowest, highest, size=self.shape).astype(self.dtype)

    def value_of_gap(self):
        if self.dtype.startswith("float"):
            return float(self.rng.choice([np.nan, -9999, np.finfo(self.dtype).min]))
        return int(self.rng.choice([0, np.iinfo(self.dtype).max]))

    def write(self):
        """Write a file for each date, or for each date and band, some from south to north."""
        if self.rng.random() < 0.5:
            return [self.write_image(f"{t}", t, slice(None)) for t in range(self.shape[0])]
        return [
            [self.write_image(f"{t}_{c}", t, slice(c, c + 1)) for c in range(self.shape[1])]
            for t in range(self.shape[0])
        ]

    def write_image(self, name, step, bands):
        image, mask = self.stored[step, bands], np.where(self.masked[step], 0, 255).astype("uint8")
        path = self.folder / f"{name}.tif"
        count = len(image) + (self.mask == "alpha")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=self.mask == "internal"),
            rasterio.open(
                path, "w", "GTiff", self.width, self.height, count, self.crs, self.transform,
                self.dtype, self.tag,
            ) as file,
        ):  # fmt: skip
            file.scales, file.offsets = [self.scale] * count, [self.offset] * count
            kinds = [ColorInterp.gray, *[ColorInterp.undefined] * (len(image) - 1)]
            if self.mask == "alpha":
                file.colorinterp = [*kinds, ColorInterp.alpha]
                file.write(np.where(mask == 0, 0, 100).astype(self.dtype), count)
            file.write(image, list(range(1, len(image) + 1)))
            if self.mask in ("internal", "external"):
                file.write_mask(mask)
        return path

    def written_dates(self):
        days = self.dates.astype(str).tolist()
        compact = [day.replace("-", "") for day in days]
        return [days, compact, [int(day) for day in compact], self.dates][self.rng.integers(4)]

    def other_grid(self):
        """Return the grid of another raster that overlaps, and its path."""
        rng = self.rng
        height, width = (int(n) for n in rng.integers(2, 20, size=2))
        left, top = self.transform @ tuple(rng.uniform(-3, 6, size=2))
        size = self.size * float(rng.choice([1, 0.5, 0.3]))
        transform = Affine(size, 0, left, 0, -size, top)
        path = self.folder / "like.tif"
        with rasterio.open(
            path, "w", "GTiff", width, height, 1, self.crs, transform, "uint8"
        ) as file:
            file.write(np.zeros((1, height, width), "uint8"))
        return path, transform, (height, width)

    def polygons(self):
        rng, shapes = self.rng, []
        for _ in range(rng.integers(1, 5)):
            x, y = self.transform @ tuple(rng.uniform(0, 1, size=2) * (self.width, self.height))
            radius = self.size * rng.uniform(0.1, 8)
            shapes.append(
                box(x - radius, y - radius / 2, x + radius, y + radius)
                if rng.random() < 0.5
                else Point(x, y).buffer(radius, quad_segs=int(rng.integers(1, 6)))
            )
        return geopandas.GeoDataFrame(geometry=shapes, crs=self.crs)


def warped(image, draw, transform, shape, decibels):
    """Return an image on another grid; decibels are averaged in power."""
    image = 10 ** (image / 10) if decibels else image
    to = np.full(shape, np.nan, dtype="float32")
    grid = {"src_transform": draw.transform, "src_crs": draw.crs, "src_nodata": np.nan}
    grid |= {"dst_transform": transform, "dst_crs": draw.crs, "dst_nodata": np.nan}
    reproject(image.astype("float32"), to, resampling=Resampling.bilinear, **grid)
    to = to.astype(float)
    return 10 * np.log10(to) if decibels else to


def means_by_hand(images, transform, crs, polygons):
    """Return the means (n_polygons, n) of images (n, height, width) by exactextract."""
    n, height, width = images.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=width, height=height, count=n, crs=crs, transform=transform,
            dtype="float64", nodata=np.nan,
        ) as file:  # fmt: skip
            file.write(images)
        with memory.open() as file:
            found = exact_extract(file, polygons, ["mean"], output="pandas")
    return found.to_numpy(dtype=float)


def check(seed, folder):
    draw = Draw(seed, folder)
    rng, paths, polygons = draw.rng, draw.write(), draw.polygons()
    expected, transform, like = draw.meant, draw.transform, None
    if rng.random() < 0.3:
        like, transform, shape = draw.other_grid()
        expected = np.array(
            [
                [
                    warped(image, draw, transform, shape, is_radar(band))
                    for band, image in zip(draw.bands, of_date, strict=True)
                ]
                for of_date in expected
            ]
        )
    offset = [0, -1000, rng.integers(-1000, 1000, len(draw.dates)).astype(float)][rng.integers(3)]
    average = str(rng.choice(["power", "db"]))
    radar = draw.bands[0].upper().startswith("V")
    if radar:
        offset = 0
    expected = expected + np.reshape(offset, (-1, 1, 1, 1))
    in_power = average == "power" and radar
    decibels = [in_power and band != "ratio" for band in draw.bands]
    expected[:, decibels] = 10 ** (expected[:, decibels] / 10)
    expected = means_by_hand(
        expected.reshape(-1, *expected.shape[2:]), transform, draw.crs, polygons
    )
    expected = expected.reshape(len(polygons), *draw.shape[:2]).copy()
    expected[:, :, decibels] = 10 * np.log10(expected[:, :, decibels])
    stack = open_stack(paths, draw.written_dates(), draw.bands, like=like, nodata=draw.nodata)
    if rng.random() < 0.3:
        stack = stack.compute().isel(y=slice(None, None, -1))
    table = object_series(stack, polygons, offset=offset, average=average)
    assert table.attrs["dates"] == draw.dates.astype(str).tolist()
    found = table.to_numpy().reshape(expected.shape)
    largest = np.nanmax(np.abs(draw.meant), initial=1) + np.max(np.abs(offset))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6 * largest)


pytestmark = pytest.mark.filterwarnings("ignore:.*outside of the stack")


@pytest.mark.parametrize("seed", range(0, 80, 20))
def test_objects_are_as_by_hand(seed, tmp_path):
    for number in range(seed, seed + 20):
        try:
            check(number, tmp_path)
        except BaseException as error:
            error.add_note(f"draw {number}")
            raise
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.long
def test_5000_draws(tmp_path):
    for seed in range(80, 5080, 20):
        test_objects_are_as_by_hand(seed, tmp_path)
