import pytest

from sklearn_gkd._common.files import missing_extra, replacing, versions, write_whole


def test_a_file_takes_its_place_when_it_is_complete(tmp_path):
    path = tmp_path / "some.map.tif"
    path.write_text("before")
    with replacing(path) as partial_path:
        assert partial_path.parent == tmp_path
        assert partial_path.suffix == ".tif"
        partial_path.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_the_one_before(tmp_path, error):
    def write_half():
        with replacing(path) as partial_path:
            partial_path.write_text("half")
            raise error

    path = tmp_path / "map.tif"
    path.write_text("before")
    with pytest.raises(error):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_writes_bytes_to_a_name_with_or_without_a_suffix(tmp_path):
    for name in ("model", "model.safetensors"):
        write_whole(str(tmp_path / name), b"\x00\n\xff")
        assert (tmp_path / name).read_bytes() == b"\x00\n\xff"
    assert len(list(tmp_path.iterdir())) == 2


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
