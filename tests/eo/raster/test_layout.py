import datetime

import numpy as np
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from rasterio.transform import from_origin  # noqa: E402

from sklearn_gkd.eo.raster import open_stack  # noqa: E402

DATES = ["2016-01-04", "2016-01-16", "2016-02-20"]
BANDS = ["VV", "VH"]


@pytest.fixture
def images():
    """Images (3, 2, 5, 4), each of one number: 11 for the first date and band, 12, 21, ..."""
    numbers = np.array([[11, 12], [21, 22], [31, 32]])
    return numbers[:, :, None, None] * np.ones((5, 4), dtype="float32")


@pytest.fixture
def tif(tmp_path):
    def tif(name, image, descriptions=None, transform=None):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        transform = transform or from_origin(500_000, 5_000_000, 10, 10)
        grid = {"crs": 32631, "transform": transform}
        count, height, width = image.shape
        with rasterio.open(
            path, "w", "GTiff", width, height, count, dtype="float32", **grid
        ) as file:
            file.write(image)
            if descriptions is not None:
                file.descriptions = descriptions
        return path

    return tif


def check(stack, images):
    np.testing.assert_array_equal(stack, images)
    assert np.datetime_as_string(stack.time, "D").tolist() == DATES
    assert stack.band.to_numpy().tolist() == BANDS


def compact(date):
    return date.replace("-", "")


@pytest.mark.parametrize("form", [str, compact, lambda date: compact(date) + "T054123"])
@pytest.mark.parametrize("folder", ["", "a [b]/"])
def test_a_pattern_of_dates_and_bands(tif, images, tmp_path, form, folder):
    for date, of_date in zip(DATES, images, strict=True):
        for band, image in zip(BANDS, of_date, strict=True):
            tif(f"{folder}S1_{form(date)}_{band}_10m.tif", image[None])
    tif(f"{folder}S1_other.tif", images[0])
    tif(f"{folder}S1_2016_VV_10m.tif", images[0])
    pattern = tmp_path / folder / "S1_{date}_{band}_10m.tif"
    check(open_stack(pattern, bands=BANDS), images)
    check(open_stack(str(pattern), DATES, BANDS), images)
    check(open_stack(tmp_path / folder / "S1_{date}_{band}_*m.tif", bands=BANDS), images)
    all_of_it = open_stack(pattern)
    assert all_of_it.band.to_numpy().tolist() == ["VH", "VV"]  # as in the alphabet
    np.testing.assert_array_equal(all_of_it, images[:, ::-1])
    some = open_stack(pattern, [20160104, 20160220], ["VH"])
    np.testing.assert_array_equal(some, images[::2, 1:])
    (tmp_path / folder / f"S1_{form(DATES[1])}_VH_10m.tif").unlink()
    with pytest.raises(ValueError, match=r"No file fits .* for 2016-01-16 and the band VH"):
        open_stack(pattern, bands=BANDS)
    with pytest.raises(ValueError, match=r"No file fits .* for 2016-03-01 and the band VV"):
        open_stack(pattern, ["2016-03-01"], BANDS)
    with pytest.raises(ValueError, match=r"No file fits .* where \{date\} is such as 20160112"):
        open_stack(tmp_path / "S2_{date}.tif", bands=BANDS)


def test_a_pattern_of_dates(tif, images, tmp_path):
    for date, of_date in zip(DATES, images, strict=True):
        tif(f"{compact(date)}/S1_{compact(date)}.tif", of_date, BANDS)
    pattern = tmp_path / "{date}" / "S1_{date}.tif"
    check(open_stack(pattern), images)  # bands by the files' descriptions
    check(open_stack(pattern, bands=BANDS), images)
    tif("20160116/S1_20160104.tif", images[0])  # the folder is of another day
    check(open_stack(pattern), images)
    tif("2016-01-04/S1_2016-01-04.tif", images[0])
    with pytest.raises(ValueError, match=r"S1_2016-01-04.tif and .*S1_20160104.tif are both of"):
        open_stack(pattern)


def test_a_name_of_two_dates(tif, images, tmp_path):
    processed = ("20160601", "20160301", "20160501")
    for acquired, later, image in zip(DATES, processed, images, strict=True):
        tif(f"LC08_L2SP_{compact(acquired)}_{later}_02_SR_B4.TIF", image[:1])
    with pytest.raises(
        ValueError,
        match=r"LC08.*B4.TIF fits .* 20160104 and 20160601. Write .* 'LC08_L2SP_\{date\}'",
    ):
        open_stack(tmp_path / "LC08_*_{date}_*_SR_{band}.TIF")
    for pattern in ("LC08_L2SP_{date}_*_SR_{band}.TIF", "LC08_*_{date}_2016*_{band}.TIF"):
        stack = open_stack(tmp_path / pattern, bands=["B4"])
        assert np.datetime_as_string(stack.time, "D").tolist() == DATES
        np.testing.assert_array_equal(stack, images[:, :1])
    tif("S2_20180615T105029_20180615T112233_B04.tif", images[0, :1])  # one day, twice
    tif("S1_20200101123000.tif", images[0, :1])  # in which stands 20010112, too
    for pattern, day in (("S2*_{date}*_B04.tif", "2018-06-15"), ("S1*{date}*.tif", "2020-01-01")):
        (time,) = open_stack(tmp_path / pattern, bands=["a"]).time.to_numpy()
        assert time == np.datetime64(day)


def test_a_pattern_of_tiles(tif, images, tmp_path):
    for tile, shift in (("31TCJ", 0), ("31TDJ", 4)):
        for date, of_date in zip(DATES, images + shift, strict=True):
            if (tile, date) != ("31TDJ", DATES[1]):
                place = from_origin(500_000 + 10 * shift, 5_000_000, 10, 10)
                for band, image in zip(BANDS, of_date, strict=True):
                    name = f"{tile}/T{tile}_{compact(date)}T105021_{band}_10m.tif"
                    tif(name, image[None], transform=place)
                tif(f"all_{compact(date)}_{tile}.tif", of_date, BANDS, place)
    for pattern in ("{tile}/T{tile}_{date}_{band}_10m.tif", "all_{date}_{tile}.tif"):
        stack = open_stack(tmp_path / pattern, bands=BANDS)
        check(stack[..., :4], images)
        east = images + 4
        east[1] = np.nan  # where that tile has no image
        check(stack[..., 4:], east)
    with pytest.raises(ValueError, match=r"31TCJ.*31TDJ.*are both of 2016-01-04.*\{tile\}"):
        open_stack(tmp_path / "*" / "T*_{date}_{band}_10m.tif", bands=BANDS)
    (tmp_path / "31TDJ" / "T31TDJ_20160220T105021_VH_10m.tif").unlink()
    with pytest.raises(
        ValueError, match=r"No file fits .* for 2016-02-20, the tile 31TDJ and the band VH"
    ):
        open_stack(tmp_path / "{tile}" / "T{tile}_{date}_{band}_10m.tif", bands=BANDS)


def forms_of(date):
    """Return a date as it is, as SNAP writes it, and as a year and its day."""
    day = datetime.date.fromisoformat(date)
    return {
        "date": compact(date), "snap": day.strftime("%d%b%Y"), "ordinal": day.strftime("%Y%j")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order", "descriptions"),
    [
        ("dates", None),
        ("dates", "{band}"),
        ("dates", "S1_{date}_{band}"),
        ("bands", "{band}"),
        ("bands", "{band} {date}"),
        ("shuffled", "{date}_{band}"),
        ("shuffled", "{date}T054123_{band}"),
        ("bands", "{number}_{band}"),
        ("dates", "{date}"),
        ("shuffled", "Sigma0_{band}_slv1_{snap}"),
        ("shuffled", "{ordinal}_{band}"),
    ],
)
def test_one_file_of_dates_and_bands(tif, images, order, descriptions):
    layers = [(t, c) for t in range(3) for c in range(2)]
    if order == "bands":
        layers.sort(key=lambda layer: layer[1])
    if order == "shuffled":
        np.random.default_rng(0).shuffle(layers)
    dated = descriptions and any(part in descriptions for part in ("date", "snap", "ordinal"))
    said = descriptions and [
        descriptions.format(band=BANDS[c], number=t, **forms_of(DATES[t])) for t, c in layers
    ]
    path = tif("all.tif", np.stack([images[t, c] for t, c in layers]), said)
    check(open_stack(path, DATES, BANDS), images)
    if dated:
        turned = tif("turned.tif", np.stack([images[t, c] for t, c in layers])[::-1], said[::-1])
        expected = images if "{band}" in descriptions else images[:, ::-1]
        check(open_stack(turned, DATES, BANDS), expected)
        check(open_stack(path, bands=BANDS), images)
    if dated and "{band}" in descriptions:
        np.testing.assert_array_equal(open_stack(path, DATES[1:], ["VH"]), images[1:, 1:])
        with pytest.raises(ValueError, match="has no band of 2016-03-01 and VV"):
            open_stack(path, ["2016-03-01"], BANDS)
    if not dated:
        with pytest.raises(ValueError, match="does not say the date of each band"):
            open_stack(path, bands=BANDS)


def test_bands_that_are_described_may_be_left_out(tif, images):
    said = [f"{band}_{compact(date)}" for date in DATES for band in (*BANDS, "angle", "mask")]
    path = tif("all.tif", np.tile(images, (1, 2, 1, 1)).reshape(12, 5, 4), said)
    check(open_stack(path, bands=BANDS), images)


def test_dates_in_descriptions_may_have_underscores(tif, images):
    said = [f"{band}_{date.replace('-', '_')}" for date in DATES for band in BANDS]
    path = tif("all.tif", images.reshape(6, 5, 4)[::-1], said[::-1])
    check(open_stack(path, DATES, BANDS), images)
    check(open_stack(path, bands=BANDS), images)


def test_bands_may_be_an_array(tif, images, tmp_path):
    for date, of_date in zip(DATES, images, strict=True):
        tif(f"S1_{date}.tif", of_date)
        for band, image in zip(BANDS, of_date, strict=True):
            tif(f"S1_{date}_{band}.tif", image[None])
    for pattern in ("S1_{date}.tif", "S1_{date}_{band}.tif"):
        check(open_stack(tmp_path / pattern, bands=np.array(BANDS)), images)


def test_files_that_do_not_say_what_is_missing(tif, images):
    path = tif("a.tif", images.reshape(6, 5, 4))
    named = tif("b.tif", images.reshape(6, 5, 4), ["VH", "VV"] * 3)
    twice = tif("c.tif", images.reshape(6, 5, 4), ["VV 20160104", "VH 20160104"] * 3)
    single = [tif(f"{t}.tif", images[t], BANDS) for t in range(3)]
    check(open_stack(single, DATES), images)
    check(open_stack(named, DATES, BANDS), images[:, ::-1])
    for paths, dates, bands, message in (
        (path, DATES, ["VV"], "a.tif has 6 bands, but there are 3 dates of 1 bands"),
        (path, DATES, None, "bands is None, and .*a.tif does not name"),
        ([path], DATES[:1], None, "bands is None, and .*a.tif does not name"),
        (single, None, BANDS, r"dates is None. Give them, or a pattern"),
        (named, DATES, ["HH", "HV"], "b.tif says that its bands are"),
        (twice, None, BANDS, "c.tif has two bands of 2016-01-04 and VV"),
        (path, DATES, "VV", r"bands is 'VV'. Give a list"),
        (path, "2016-01-04", BANDS, r"dates has shape \(\)"),
        ([], [], BANDS, r"dates has shape \(0,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            open_stack(paths, dates, bands)


def test_names_of_files_in_another_order_than_dates_are_told(tif, images):
    paths = [tif(f"S1_{compact(date)}.tif", images[t]) for t, date in enumerate(DATES)]
    check(open_stack(paths, DATES, BANDS), images)
    with pytest.raises(ValueError, match=rf"20160220.tif stands where {DATES[0]} belongs"):
        open_stack(paths[::-1], DATES, BANDS)
    numbered = [tif(f"{path.stem}_20160230.tif", images[t]) for t, path in enumerate(paths)]
    check(open_stack(numbered, DATES, BANDS), images)
    later = ["2016-01-16", "2016-02-20", "2016-03-01"]  # names tell when a composite begins
    check(open_stack(paths, later, BANDS).assign_coords(time=np.array(DATES, "M8[ns]")), images)


def test_names_of_files_of_other_bands_are_told(tif, images):
    paths = [tif(f"T30_20160104_{band}.tif", images[0, [c]]) for c, band in enumerate(BANDS)]
    with pytest.raises(ValueError, match=r"_VH.tif stands where VV belongs, but .* it is VH"):
        open_stack([paths[::-1]], DATES[:1], BANDS)


def test_the_band_of_a_name_is_the_one_that_has_it_alone(tif, images):
    said = [f"{date} {name}" for date in DATES for name in ("VV filtered", "VV")]
    path = tif("all.tif", images.reshape(6, 5, 4), said)
    np.testing.assert_array_equal(open_stack(path, bands=["VV"])[:, 0], images[:, 1])
    said = [name.replace("VV", "red_edge") for name in said]
    path = tif("edge.tif", images.reshape(6, 5, 4), said)
    with pytest.raises(ValueError, match="red"):
        open_stack(path, bands=["red"])


@pytest.mark.parametrize("name", ["B4_{}", "{}_B4", "B4 {} of 12"])
def test_dates_that_a_file_numbers_in_another_order_are_refused(tif, name):
    steps = np.arange(1, 13)
    days = np.datetime64("2020-01-01") + 10 * np.arange(12)
    images = np.ones((12, 2, 2)) * steps[:, None, None]
    said = [name.format(step) for step in steps]
    path = tif("rising.tif", images, said)
    np.testing.assert_array_equal(open_stack(path, days, ["B4"])[:, 0, 0, 0], steps)
    if " " not in name:
        for wrong in (sorted(said), said[::-1]):
            path = tif("other.tif", images, wrong)
            with pytest.raises(ValueError, match=r"other.tif numbers the dates of B4 in another"):
                open_stack(path, days, ["B4"])
