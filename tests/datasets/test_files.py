import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from sklearn_gkd.datasets import load_sits


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "X_s1": rng.normal(size=(6, 4, 2)).astype("f4"),
        "X_s2": rng.normal(size=(6, 3, 5)).astype("f4"),
        "y": np.array(["a", "b"] * 3),
        "groups": np.array(["g1", "g2", "g3"] * 2),
        "class_names": np.array(["a", "b"]),
        "bands_s1": np.array(["VV", "VH"]),
        "bands_s2": np.array(["B2", "B3", "B4", "B8", "NDVI"]),
        "dates_s1": np.array(["2016-01", "2016-02", "2016-03", "2016-04"]),
        "dates_s2": np.array(["2016-01", "2016-02", "2016-03"]),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "series.npz"


def test_load_returns_what_was_saved(path, arrays):
    arrays["X_s1"][2, 1] = np.nan
    np.savez(path, **arrays, lat=np.zeros(6))
    for given in (path, str(path)):
        data = load_sits(given)
        assert list(data) == list(arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(data[key], array)
            assert data[key].dtype == array.dtype


def test_load_compressed(path, arrays):
    np.savez_compressed(path, **arrays)
    np.testing.assert_array_equal(load_sits(path).X_s2, arrays["X_s2"])


def test_missing_file_or_folder(tmp_path):
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
            load_sits(path)


def damaged(kind, path, arrays):
    if kind == "truncated zip":
        np.savez(path, **arrays)
        return path.read_bytes()[:-400]
    return {
        "empty": b"",
        "text": b"VV,VH\n-10,-17\n",
        "zip header only": b"PK\x03\x04" + bytes(50),
        "pickle": pickle.dumps(arrays),
    }[kind]


@pytest.mark.parametrize("kind", ["truncated zip", "empty", "text", "zip header only", "pickle"])
def test_no_npz(path, arrays, kind):
    path.write_bytes(damaged(kind, path, arrays))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is no npz, or is cut short"):
        load_sits(path)


def test_single_array_is_no_npz(path, arrays):
    with path.open("wb") as file:
        np.save(file, arrays["X_s1"])
    with pytest.raises(ValueError, match=r"series.npz holds a single array"):
        load_sits(path)


def test_damaged_array(path, arrays):
    np.savez(path, **arrays)
    content = bytearray(path.read_bytes())
    start = content.index(arrays["X_s2"].tobytes())
    content[start] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"series.npz: 'X_s2' is pickled .* or is damaged"):
        load_sits(path)


@pytest.mark.parametrize("key", ["X_s1", "X_s2", "y"])
def test_missing_key(path, arrays, key):
    del arrays[key]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"series.npz has no array '{key}'. Add it"):
        load_sits(path)


DERIVED = {
    "groups": [0, 1, 2, 3, 4, 5],
    "class_names": ["a", "b"],
    "bands_s1": [0, 1],
    "bands_s2": [0, 1, 2, 3, 4],
    "dates_s1": [0, 1, 2, 3],
    "dates_s2": [0, 1, 2],
}


@pytest.mark.parametrize("missing", [[key] for key in DERIVED] + [list(DERIVED)])
def test_what_a_file_may_leave_out(path, arrays, missing):
    given = {key: array for key, array in arrays.items() if key not in missing}
    np.savez(path, **given)
    data = load_sits(path)
    assert list(data) == list(arrays)
    for key in arrays:
        expected = DERIVED[key] if key in missing else arrays[key]
        np.testing.assert_array_equal(data[key], expected)


class Bomb:
    exploded = False

    def __reduce__(self):
        return Bomb._explode, ()

    @staticmethod
    def _explode():
        Bomb.exploded = True


@pytest.mark.parametrize("key", ["X_s1", "y", "class_names"])
def test_never_unpickles(path, arrays, key):
    arrays[key] = np.array([Bomb()], dtype=object)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"'{key}' is pickled .object dtype.*astype"):
        load_sits(path)
    assert not Bomb.exploded


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("X_s1", lambda X: X.reshape(6, 8), r"'X_s1' is float32 of shape \(6, 8\).*\(n, T, C\)"),
        ("X_s2", lambda X: X[0], r"'X_s2' is float32 of shape \(3, 5\)"),
        ("X_s2", lambda X: X.astype(str), r"'X_s2' is <U\d+ of shape .* Give floats"),
        ("X_s2", lambda X: X[:5], r"'X_s2' has shape \(5, 3, 5\).* the shape \(6, 3, 5\)"),
        ("y", lambda y: y[:5], r"'y' has shape \(5,\).* the shape \(6,\)"),
        ("y", lambda y: y[:, None], r"'y' has shape \(6, 1\)"),
        ("groups", lambda groups: groups[1:], r"'groups' has shape \(5,\)"),
        ("bands_s1", lambda bands: bands[:1], r"'bands_s1' has shape \(1,\).* the shape \(2,\)"),
        ("bands_s2", lambda bands: bands[:4], r"'bands_s2' has shape \(4,\).* the shape \(5,\)"),
        ("dates_s1", lambda dates: dates[:3], r"'dates_s1' has shape \(3,\).* the shape \(4,\)"),
        ("dates_s2", lambda dates: dates[:2], r"'dates_s2' has shape \(2,\).* the shape \(3,\)"),
    ],
)
def test_misshaped(path, arrays, key, change, message):
    arrays[key] = change(arrays[key])
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {message}"):
        load_sits(path)


@pytest.fixture
def pairs():
    rng = np.random.default_rng(1)
    return {
        "X_unlabeled": rng.normal(size=(9, 4, 2)).astype("f4"),
        "X_priv_unlabeled": rng.normal(size=(9, 3, 5)).astype("f4"),
        "groups_unlabeled": np.array(["g1", "g2", "g4"] * 3),
    }


def test_pairs_without_a_label(path, arrays, pairs):
    for given in (pairs, {key: pairs[key] for key in list(pairs)[:2]}):
        np.savez(path, **arrays, **given)
        data = load_sits(path)
        assert list(data) == [*arrays, *given]
        for key, array in given.items():
            np.testing.assert_array_equal(data[key], array)
    np.savez(path, **arrays, groups_unlabeled=pairs["groups_unlabeled"])
    assert list(load_sits(path)) == list(arrays)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("X_unlabeled", None, "has no array 'X_unlabeled'. Add it"),
        ("X_priv_unlabeled", None, "has no array 'X_priv_unlabeled'. Add it"),
        ("X_unlabeled", lambda X: X.astype(int), ": 'X_unlabeled' is int"),
        (
            "X_unlabeled",
            lambda X: X[:, :3],
            r": 'X_unlabeled' has shape \(9, 3, 2\) and not \(9, 4",
        ),
        ("X_priv_unlabeled", lambda X: X[:8], r"has shape \(8, 3, 5\) and not \(9, 3, 5\)"),
        (
            "groups_unlabeled",
            lambda g: g[1:],
            r"'groups_unlabeled' has shape \(8,\) and not \(9,\)",
        ),
    ],
)
def test_pairs_without_a_label_are_refused_by_name(path, arrays, pairs, key, change, message):
    changed = pairs.pop(key)
    if change is not None:
        pairs[key] = change(changed)
    np.savez(path, **arrays, **pairs)
    with pytest.raises(ValueError, match=rf"series.npz.*{message}"):
        load_sits(path)


@pytest.mark.skipif(
    "SKLEARN_GKD_DATA" not in os.environ,
    reason="SKLEARN_GKD_DATA does not name the folder of the real series",
)
@pytest.mark.parametrize(
    ("name", "shape_s1", "shape_s2", "n_classes", "n_groups"),
    [
        ("canada_aafc_2017_monthly.npz", (3415, 12, 2), (3415, 12, 9), 14, 60),
        ("france_lpis_2023_dekadal.npz", (487, 51, 2), (487, 51, 9), 7, 61),
    ],
)
def test_real_files(name, shape_s1, shape_s2, n_classes, n_groups):
    data = load_sits(Path(os.environ["SKLEARN_GKD_DATA"]) / name)
    assert data.X_s1.shape == shape_s1
    assert data.X_s2.shape == shape_s2
    assert sorted(data.class_names) == sorted(set(data.y))
    assert len(data.class_names) == n_classes
    assert len(set(data.groups)) == n_groups
