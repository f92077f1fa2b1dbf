import numpy as np
import pandas as pd
import pytest

pytest.importorskip("geopandas", reason="needs the extra geo")
rasterio = pytest.importorskip("rasterio", reason="needs the extra geo")
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

from sklearn_gkd.eo import GapFiller, Resample  # noqa: E402
from sklearn_gkd.eo.raster import (  # noqa: E402
    join_orbits,
    object_series,
    open_stack,
    predict_map,
    sample_pairs,
    training_set,
)

ASCENDING = ["2016-01-04", "2016-01-16", "2016-02-20", "2016-05-01"]
DESCENDING = ["2016-01-02", "2016-01-20", "2016-02-20"]
NAMES = ["VV_asc", "VH_asc", "VV_desc", "VH_desc"]


@pytest.fixture
def orbits(write, scene, tmp_path):
    """Both orbits, of which one sees everything 3 dB lower, opened by the names of their files."""
    rng = np.random.default_rng(1)
    for orbit, dates, shift in (("asc", ASCENDING, 0), ("desc", DESCENDING, -3)):
        for date, image in zip(dates, scene.images, strict=False):
            for band, of_band in zip(("VV", "VH"), image, strict=True):
                noisy = of_band + shift + rng.normal(size=of_band.shape)
                write(f"S1_{date}_{orbit}_{band}.tif", noisy[None])
    return {
        orbit: open_stack(tmp_path / f"S1_{{date}}_{orbit}_{{band}}.tif", bands=["VV", "VH"])
        for orbit in ("asc", "desc")
    }


def test_orbits_are_bands_at_common_dates(orbits):
    turned = join_orbits({"desc": orbits["desc"], "asc": orbits["asc"]})
    assert np.datetime_as_string(turned.time, "D").tolist() == DESCENDING
    assert turned.band.to_numpy().tolist() == [*NAMES[2:], *NAMES[:2]]
    joined = join_orbits(orbits, tolerance=71)
    assert joined.band.to_numpy().tolist() == NAMES
    assert np.datetime_as_string(joined.time, "D").tolist() == ASCENDING
    np.testing.assert_array_equal(joined[:, :2].transpose("band", "time", "y", "x").to_numpy()[
        :, [0, 3], 40:, 20:], orbits["asc"].transpose("band", "time", "y", "x").to_numpy()[
        :, [0, 3], 40:, 20:])  # fmt: skip
    pixels = orbits["desc"].to_numpy()[:, :, 33, 25][None]
    expected = Resample(DESCENDING, ASCENDING[:3]).fit_transform(pixels)[0]
    early = join_orbits(orbits, ASCENDING[:3])
    np.testing.assert_array_equal(early[:, 2:, 33, 25], expected)
    with pytest.raises(ValueError, match="2016-05-01 is 71 days outside"):
        join_orbits(orbits)


def test_from_orbits_to_a_map_of_another_year(orbits, fields, tmp_path):
    radar = join_orbits(orbits, ASCENDING[:3])
    table = object_series(radar, fields)
    assert list(table)[:5] == [*(f"{name}_d003" for name in NAMES), "VV_asc_d015"]
    power = 10 ** (radar.to_numpy()[0, 3, 15:20, 10:15].astype("f8") / 10)
    assert table.loc["aligned", "VH_desc_d003"] == pytest.approx(10 * np.log10(power.mean()))
    data = training_set(fields, table, y="crop")
    clf = make_pipeline(GapFiller(), RandomForestClassifier(10, random_state=0))
    clf.fit(data.X, data.y)
    assert clf[0].series_shape_ == (3, 4)
    next_year = {
        "asc": orbits["asc"].assign_coords(
            time=np.array(["2017-01-01", "2017-01-13", "2017-02-22", "2017-04-20"], "M8[ns]")
        ),
        "desc": orbits["desc"].assign_coords(
            time=np.array(["2016-12-29", "2017-01-22", "2017-02-20"], "M8[ns]")
        ),
    }
    of_next = join_orbits(next_year, data.X)
    again = object_series(of_next, fields, like=data.X)
    assert list(again) == list(table)
    with pytest.warns(UserWarning, match="fitted on named columns"):
        predict_map(clf, of_next, tmp_path / "map.tif", progress=False)
    with rasterio.open(tmp_path / "map.tif") as file:
        found = file.read(1).ravel()
    pixels = of_next.to_numpy().transpose(2, 3, 0, 1).reshape(-1, 12)
    seen = np.isfinite(pixels).any(axis=1)
    expected = clf.predict(pd.DataFrame(pixels[seen], columns=data.X.columns))
    np.testing.assert_array_equal(clf.classes_[found[seen] - 1], expected)
    pairs = sample_pairs(of_next, orbits["desc"] + 100, 20, like=fields, random_state=0,
                         radar_options={"like": data.X})  # fmt: skip
    assert list(pairs.X_unlabeled) == list(data.X)


def test_orbits_that_cannot_be_joined(orbits, write):
    shifted = {**orbits, "desc": orbits["desc"].isel(x=slice(1, None))}
    other_crs = orbits["desc"].drop_vars("spatial_ref").rio.write_crs(32632)
    for stacks, message in (
        (shifted, "stacks has 'desc' on another grid than 'asc'.*like=, the stack of 'asc'"),
        ({"asc": orbits["asc"], "desc": other_crs}, "stacks has 'desc' on another grid"),
        ({"left": orbits["asc"]}, "VV_left would not be known as decibels.*orbit44"),
        (list(orbits.values()), "stacks is no mapping"),
        ({}, "stacks is no mapping"),
        ({"asc": orbits["asc"].to_numpy()}, "stack is ndarray"),
    ):
        with pytest.raises(ValueError, match=message):
            join_orbits(stacks, ASCENDING[:3])
    for name in ("orbit44", "A88", "desc_008", "relorb139"):
        join_orbits({name: orbits["asc"]})
