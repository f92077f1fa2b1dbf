import pytest

from sklearn_gkd._common.files import fingerprint, missing_extra, versions, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "weights.bin"
    write_whole(path, b"first")
    write_whole(str(path), b"second")
    assert path.read_bytes() == b"second"

    def full_disk(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"third")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_fingerprint_depends_on_content_and_versions(monkeypatch):
    first = fingerprint("teacher", [1, 2])
    assert fingerprint("teacher", [1, 2]) == first
    assert fingerprint("teacher", [1, 3]) != first
    newer = versions() | {"torch": "99"}
    monkeypatch.setattr("sklearn_gkd._common.files.versions", lambda: newer)
    assert fingerprint("teacher", [1, 2]) != first


def test_versions_are_those_of_what_computes():
    import torch

    assert versions()["torch"] == torch.__version__
    assert {"sklearn-gkd", "scikit-learn", "skorch", "numpy"} < versions().keys()


def test_a_missing_package_names_its_extra():
    with (
        pytest.raises(
            ModuleNotFoundError,
            match=r"^A map needs no_such_package: pip install 'sklearn-gkd\[geo\]'\.$",
        ) as raised,
        missing_extra("geo", "A map"),
    ):
        import no_such_package  # noqa: F401
    assert raised.value.name == "no_such_package"


def test_a_broken_package_says_itself_what_is_wrong():
    with pytest.raises(ImportError, match=r"^libgdal is broken$"), missing_extra("geo", "A map"):
        raise ImportError("libgdal is broken")
