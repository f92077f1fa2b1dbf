import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import f_classif
from sklearn.model_selection import train_test_split

from sklearn_gkd.datasets import _simulated, make_sits

PAPER_COUNTS = {
    "Urban": 396,
    "Crops": 1457,
    "Water": 1113,
    "Forest": 2205,
    "Moor": 950,
    "Orchards": 1230,
    "Vines": 1246,
}


@pytest.fixture(scope="module")
def dordogne():
    return make_sits(random_state=0)


def counts(y):
    return dict(zip(*np.unique(y, return_counts=True), strict=True))


def test_shapes_and_names(dordogne):
    assert dordogne.X_s1.shape == (8597, 31, 2)
    assert dordogne.X_s2.shape == (8597, 23, 5)
    assert dordogne.X_s1.dtype == dordogne.X_s2.dtype == np.float32
    assert list(dordogne.bands_s1) == ["VV", "VH"]
    assert list(dordogne.bands_s2) == ["B2", "B3", "B4", "B8", "NDVI"]
    assert list(dordogne.class_names) == sorted(PAPER_COUNTS)
    for dates, length, step in ((dordogne.dates_s1, 31, 12), (dordogne.dates_s2, 23, 16)):
        days = dates.astype("datetime64[D]")
        assert len(days) == length
        assert set(np.diff(days).astype(int)) == {step}
        assert {str(date)[:4] for date in dates} == {"2016"}


def test_class_counts_are_the_paper_s(dordogne):
    assert counts(dordogne.y) == PAPER_COUNTS
    twice = make_sits(2 * 8597, random_state=0)
    assert counts(twice.y) == {name: 2 * count for name, count in PAPER_COUNTS.items()}


def test_class_counts_by_largest_remainder():
    # 1,000 times 396, 1457, 1113, 2205, 950, 1230, 1246 over 8597: 46.06, 169.478, 129.46,
    # 256.485, 110.50, 143.07, 144.93. Vines, Moor and, last, Forest are rounded up.
    assert counts(make_sits(1000, random_state=0).y) == {
        "Urban": 46,
        "Crops": 169,
        "Water": 129,
        "Forest": 257,
        "Moor": 111,
        "Orchards": 143,
        "Vines": 145,
    }


@pytest.mark.parametrize("n_samples", range(7, 31))
def test_every_class_has_an_object(n_samples):
    y = make_sits(n_samples, random_state=0).y
    assert len(y) == n_samples
    assert len(set(y)) == 7


def test_random_state_rules_every_draw():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    first, second, other = (make_sits(200, cloud_fraction=0.3, random_state=i) for i in (5, 5, 6))
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    assert not np.array_equal(first.X_s1, other.X_s1)
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


def test_rows_are_shuffled(dordogne):
    half = counts(dordogne.y[:4298])
    assert all(abs(half[name] - n / 2) < 5 * np.sqrt(n) / 2 for name, n in PAPER_COUNTS.items())


def test_values_are_physical(dordogne):
    assert np.isfinite(dordogne.X_s1).all()
    vv, vh = dordogne.X_s1.mean(axis=(0, 1))
    assert -14 < vv < -8
    assert 4 < vv - vh < 9
    bands, ndvi = dordogne.X_s2[:, :, :4], dordogne.X_s2[:, :, 4]
    assert bands.min() > 0
    assert bands.max() < 15_000
    assert np.abs(ndvi).max() <= 1


def test_ndvi_is_that_of_its_bands():
    X_s2 = make_sits(300, cloud_fraction=0.2, random_state=0).X_s2.astype("f8")
    expected = (X_s2[:, :, 3] - X_s2[:, :, 2]) / (X_s2[:, :, 3] + X_s2[:, :, 2])
    np.testing.assert_allclose(X_s2[:, :, 4], expected, atol=1e-6)


def test_phenology_turns_green_when_each_crop_does(dordogne):
    ndvi = dordogne.X_s2[:, :, 4]
    dates = dordogne.dates_s2.astype("datetime64[D]")
    winter, summer = dates < np.datetime64("2016-02-15"), np.abs(dates.astype(int) - 16983) < 30
    gain = {
        name: ndvi[dordogne.y == name][:, summer].mean()
        - ndvi[dordogne.y == name][:, winter].mean()
        for name in dordogne.class_names
    }
    assert gain["Forest"] > gain["Moor"] > gain["Urban"] > 0
    assert gain["Vines"] > gain["Urban"]


def test_speckle_has_the_variance_of_its_looks(monkeypatch):
    speckled = make_sits(2000, random_state=0).X_s1.astype("f8")
    monkeypatch.setattr(_simulated, "LOOKS", 1e12)
    clean = make_sits(2000, random_state=0).X_s1.astype("f8")
    speckle = 10 ** ((speckled - clean) / 10)
    assert speckle.mean() == pytest.approx(1, abs=0.002)
    assert speckle.var() == pytest.approx(1 / 50, rel=0.03)
    of_band = speckle.reshape(-1, 2).T
    assert abs(np.corrcoef(of_band)[0, 1]) < 0.02


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.6])
def test_clouds(fraction):
    data = make_sits(2000, cloud_fraction=fraction, random_state=0)
    clear = make_sits(2000, random_state=0)
    cloudy = np.isnan(data.X_s2)
    assert cloudy[:, :, 0].mean() == pytest.approx(fraction, abs=1e-4)
    assert (cloudy.any(axis=2) == cloudy.all(axis=2)).all()
    np.testing.assert_array_equal(data.X_s1, clear.X_s1)
    np.testing.assert_array_equal(data.X_s2[~cloudy], clear.X_s2[~cloudy])


PAIRS = ("X_unlabeled", "X_priv_unlabeled", "groups_unlabeled")


def test_rows_with_a_label_do_not_depend_on_pairs_without_one():
    alone = make_sits(300, cloud_fraction=0.3, random_state=5)
    assert not set(PAIRS) & set(alone)
    for n_unlabeled in (1, 400):
        sits = make_sits(300, cloud_fraction=0.3, n_unlabeled=n_unlabeled, random_state=5)
        for key, values in alone.items():
            np.testing.assert_array_equal(sits[key], values)
        assert sits.X_unlabeled.shape == (n_unlabeled, 31, 2)
        assert sits.X_priv_unlabeled.shape == (n_unlabeled, 23, 5)
        assert sits.groups_unlabeled.shape == (n_unlabeled,)
    assert sits.X_unlabeled.dtype == sits.X_priv_unlabeled.dtype == np.float32
    assert np.isnan(sits.X_priv_unlabeled[:, :, 0]).mean() == pytest.approx(0.3, abs=1e-3)
    assert not (sits.X_unlabeled[:, None] == sits.X_s1[None]).all(axis=(2, 3)).any()


def test_pairs_without_a_label_are_objects_of_the_same_landscape():
    sits = make_sits(3000, n_unlabeled=3000, random_state=0)
    assert set(sits.groups_unlabeled) == set(sits.groups)
    labelled = np.hstack([sits.X_s1.reshape(3000, -1), sits.X_s2.reshape(3000, -1)])
    pairs = np.hstack([sits.X_unlabeled.reshape(3000, -1), sits.X_priv_unlabeled.reshape(3000, -1)])
    spread = labelled.std(axis=0, dtype="f8")
    difference = (pairs.mean(axis=0, dtype="f8") - labelled.mean(axis=0, dtype="f8")) / spread
    assert np.abs(difference).max() < 5 * np.sqrt(2 / 3000)
    forest = RandomForestClassifier(50, random_state=0, n_jobs=2).fit(labelled, sits.y)
    told = counts(forest.predict(pairs))
    assert all(abs(told[name] - 3000 * n / 8597) < 130 for name, n in PAPER_COUNTS.items())


def test_clouds_over_a_cell_cover_its_pairs_too():
    sits = make_sits(3000, cloud_fraction=0.4, n_unlabeled=3000, random_state=0)
    cells = sorted(set(sits.groups))
    cloudy, cloudy_pairs = (
        np.stack([np.isnan(X[of == cell, :, 0]).mean(axis=0) for cell in cells])
        for X, of in [(sits.X_s2, sits.groups), (sits.X_priv_unlabeled, sits.groups_unlabeled)]
    )
    assert np.corrcoef(cloudy.ravel(), cloudy_pairs.ravel())[0, 1] > 0.9


def test_objects_of_a_cell_share_moisture(dordogne):
    crops = dordogne.y == "Crops"
    radar, cells = dordogne.X_s1[crops].reshape(crops.sum(), -1), dordogne.groups[crops]
    assert len(set(dordogne.groups)) == 60
    _, p_values = f_classif(radar, cells)
    assert (p_values < 1e-3).mean() > 0.1
    _, p_values = f_classif(radar, np.random.default_rng(0).permutation(cells))
    assert (p_values < 1e-3).mean() < 0.05


def test_objects_of_a_cell_share_the_season(dordogne):
    forest = dordogne.y == "Forest"
    spring = list(dordogne.dates_s2).index("2016-04-27")
    effect, _ = f_classif(dordogne.X_s2[forest, spring, 4:], dordogne.groups[forest])
    assert effect > 3


def test_no_offset_gives_a_class_away(dordogne):
    for X in (dordogne.X_s1, dordogne.X_s2):
        level = X.mean(axis=1, dtype="f8")
        of_class = [level[dordogne.y == name] for name in dordogne.class_names]
        within = np.sqrt(np.mean([values.var(axis=0) for values in of_class], axis=0))
        between = np.std([values.mean(axis=0) for values in of_class], axis=0)
        assert (within >= between).all()


def test_optical_knows_what_radar_does_not():
    data = make_sits(3000, random_state=0)
    train, test = train_test_split(np.arange(3000), test_size=0.3, random_state=0, stratify=data.y)
    radar = data.X_s1.reshape(3000, -1)
    both = np.hstack([radar, data.X_s2.reshape(3000, -1)])
    accuracy = {}
    for view, X in (("radar", radar), ("both", both)):
        forest = RandomForestClassifier(100, random_state=0, n_jobs=2)
        accuracy[view] = forest.fit(X[train], data.y[train]).score(X[test], data.y[test])
    assert 0.60 <= accuracy["radar"] <= 0.68
    assert accuracy["both"] >= accuracy["radar"] + 0.10


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_samples": 6},
        {"n_samples": 7.5},
        {"cloud_fraction": 1.0},
        {"n_unlabeled": -1},
        {"random_state": "a"},
    ],
)
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=f"'{next(iter(arguments))}' parameter of make_sits"):
        make_sits(**arguments)
