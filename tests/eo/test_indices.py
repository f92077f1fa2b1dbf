import sys

import numpy as np
import pandas as pd
import pytest

from sklearn_gkd.eo import INDICES, SpectralIndices
from sklearn_gkd.eo._indices import _of_spyndex

BANDS = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12"]


@pytest.fixture
def spyndex():
    return pytest.importorskip("spyndex", reason="needs the extra indices")


@pytest.fixture
def reflectances():
    """Series (6, 3, 9) from 0 to 1, with a gap and a negative value."""
    X = np.random.default_rng(0).uniform(0.02, 0.6, size=(6, 3, 9))
    X[0, 1, 6] = np.nan
    X[1, 2, 2] = -0.01
    return X


def by_hand(X):
    blue, green, red, edge1, edge2, edge3, nir, swir1, swir2 = np.moveaxis(np.maximum(X, 0), 2, 0)
    return {
        "EVI": 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1),
        "SAVI": 2 * (nir - red) / (nir + red + 1),
        "GNDVI": (nir - green) / (nir + green),
        "CIRE": nir / edge1 - 1,
        "NBR2": (swir1 - swir2) / (swir1 + swir2),
        "S2REP": 705 + 35 * ((edge3 + red) / 2 - edge1) / (edge2 - edge1),
        "MSI": swir1 / nir,
        "NDVI": (nir - red) / (nir + red),
    }


def test_indices_of_spyndex_as_by_hand(spyndex, reflectances):
    expected = by_hand(reflectances)
    for X in (reflectances, reflectances.astype("float32")):
        indices = SpectralIndices(list(expected), bands=BANDS).fit_transform(X)
        assert indices.dtype == X.dtype
        for number, (name, values) in enumerate(expected.items()):
            np.testing.assert_allclose(
                indices[..., 9 + number], values, rtol=2e-3 if X.dtype == "f4" else 1e-12,
                err_msg=name,
            )  # fmt: skip
    assert np.isnan(indices[0, 1, 9])  # EVI, where B8 has a gap
    names = [f"{band}_d{day:03d}" for day in (3, 15, 27) for band in BANDS]
    frame = pd.DataFrame(reflectances.reshape(6, 27), columns=names)
    table = SpectralIndices(["EVI"], bands=BANDS).set_output(transform="pandas")
    assert list(table.fit_transform(frame))[9::10] == ["EVI_d003", "EVI_d015", "EVI_d027"]


def test_built_in_indices_are_those_of_spyndex(spyndex, reflectances):
    for name in sorted(INDICES):
        other = "NDREI" if name == "NDRE" else name
        codes, constants, depends_on_units = _of_spyndex(other)
        assert sorted(codes.values()) == sorted(INDICES[name])
        assert not constants
        assert not depends_on_units
    both = SpectralIndices(["NDRE", "NDREI"], bands=BANDS).fit_transform(reflectances)
    np.testing.assert_array_equal(both[..., 9], both[..., 10])


def test_units_matter_to_some(spyndex, reflectances):
    stored = 10_000 * reflectances
    expected = by_hand(reflectances)
    free = ["GNDVI", "CIRE", "NBR2", "MSI", "NDVI"]
    indices = SpectralIndices(free, bands=BANDS).fit_transform(stored)
    for number, name in enumerate(free):
        np.testing.assert_allclose(indices[..., 9 + number], expected[name])
    for name in ("EVI", "SAVI", "DVI", "MSAVI"):
        with pytest.raises(ValueError, match=f"{name} depends on the units.*values up to .*10000"):
            SpectralIndices([name], bands=BANDS).fit_transform(stored)
    nothing = np.full_like(stored, np.nan)
    assert np.isnan(SpectralIndices(["EVI"], bands=BANDS).fit_transform(nothing)).all()


def test_what_is_divided_by_0_is_missing(spyndex):
    X = np.array([[[0.2, 0.0], [0.2, 0.4]]])
    indices = SpectralIndices(["CIRE"], bands=["B8", "B5"]).fit_transform(X)
    np.testing.assert_allclose(indices[0, :, 2], [np.nan, -0.5])


def test_every_index_gives_numbers_or_says_why_not(spyndex):
    X = np.random.default_rng(0).uniform(0.02, 0.6, size=(50, 1, 12)).astype("float32")
    bands = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12"]
    known = 0
    for name in spyndex.indices:
        try:
            indices = SpectralIndices([name], bands=bands).fit_transform(X)
        except ValueError as error:
            assert f"{name} needs " in str(error)  # noqa: PT017
        else:
            known += 1
            assert indices.shape == (50, 1, 13)
            assert indices.dtype == np.float32
            assert np.isfinite(indices[..., -1]).any(), name
    assert known > 200
    for name, needs in (("kNDVI", "kNN"), ("DpRVIVV", "VH"), ("NIRvP", "PAR"), ("NBRT1", "T")):
        with pytest.raises(ValueError, match=f"{name} needs {needs}, which is neither a band"):
            SpectralIndices([name], bands=bands).fit(X)


def test_without_spyndex(monkeypatch, reflectances):
    monkeypatch.setitem(sys.modules, "spyndex", None)
    _of_spyndex.cache_clear()
    with pytest.raises(
        ValueError, match=r"'EVI', which is not one of .*'NDVI'.*pip install 'sklearn-gkd\[indices"
    ):
        SpectralIndices(["EVI"], bands=BANDS).fit(reflectances)
    indices = SpectralIndices(sorted(INDICES), bands=BANDS).fit_transform(reflectances)
    assert indices.shape == (6, 3, 15)


def test_with_spyndex_unknown_names_are_refused(spyndex, reflectances):
    with pytest.raises(ValueError, match=r"'ndvi', which is not one of .*nor of those of spyndex"):
        SpectralIndices(["ndvi"], bands=BANDS).fit(reflectances)


def test_bands_by_their_common_names(reflectances):
    expected = SpectralIndices(["NDVI", "NDMI"], bands=BANDS).fit_transform(reflectances)
    names = ["blue", "green", "Red", "rededge1", "rededge2", "rededge3", "nir", "swir16", "swir22"]
    found = SpectralIndices(["NDVI", "NDMI"], bands=names).fit_transform(reflectances)
    np.testing.assert_array_equal(found, expected)
    landsat = ["red", "nir08", "swir16"]
    found = SpectralIndices(["NDVI", "NDMI"], bands=landsat).fit_transform(
        reflectances[..., [2, 6, 7]]
    )
    np.testing.assert_array_equal(found[..., 3:], expected[..., 9:])
    both = SpectralIndices(bands=["red", "nir08", "nir"]).fit_transform(
        reflectances[..., [2, 5, 6]]
    )
    np.testing.assert_array_equal(both[..., 3], expected[..., 9])
    with pytest.raises(ValueError, match="NDVI needs the band B8, which is not in"):
        SpectralIndices(bands=["SR_B4", "SR_B5"]).fit(reflectances[..., :2])
