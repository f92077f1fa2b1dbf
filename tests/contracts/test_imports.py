"""What an import loads, and that stubs, `__all__` and the wheel hold the same names."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import sklearn_gkd

PACKAGE = Path(sklearn_gkd.__file__).parent
STUBS = sorted(PACKAGE.rglob("__init__.pyi"))


def run(code, **environment):
    """Run code in a process of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"EAGER_IMPORT": ""} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOADED = "print(*{name.partition('.')[0] for name in sys.modules})\n"


def test_the_package_alone_loads_nothing_heavy():
    loaded = run(f"import sys, sklearn_gkd\n{LOADED}")
    assert "sklearn_gkd" in loaded
    assert not set(loaded) & {"torch", "skorch", "sklearn", "scipy", "pandas", "matplotlib"}


def test_a_room_needs_no_import_of_its_own_and_loads_no_torch():
    loaded = run(
        "import sys, sklearn_gkd\n"
        "assert sklearn_gkd.datasets.make_sits(10, random_state=0).X_s1.shape == (10, 31, 2)\n"
        f"{LOADED}"
    )
    assert not set(loaded) & {"torch", "skorch", "rasterio", "xarray", "geopandas"}


def test_earth_observation_and_data_sets_work_without_torch():
    run(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name in ('torch', 'skorch'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        "import numpy as np\n"
        "import sklearn_gkd.eo\n"
        "import sklearn_gkd.datasets\n"
        "X_s2 = sklearn_gkd.datasets.make_sits(30, cloud_fraction=0.4, random_state=0).X_s2\n"
        "assert np.isnan(X_s2).any()\n"
        "assert np.isfinite(sklearn_gkd.eo.GapFiller().fit_transform(X_s2)).all()\n"
    )


def test_an_eager_import_loads_every_name_of_every_room():
    pytest.importorskip("rasterio", reason="needs the extra geo")
    modules = {
        f"{room_of(stub)}.{module}"
        for stub in STUBS
        for module in re.findall(r"^from \.(\w[\w.]*) import", stub.read_text(), re.MULTILINE)
    }
    assert len(modules) > len(STUBS)
    run(
        "import sys, sklearn_gkd\n"
        f"missing = set({sorted(modules)}) - sys.modules.keys()\n"
        "assert not missing, missing\n",
        EAGER_IMPORT="1",
    )


def room_of(stub):
    return ".".join(["sklearn_gkd", *stub.parent.relative_to(PACKAGE).parts])


def test_every_public_room_has_a_stub():
    rooms = {init.parent for init in PACKAGE.rglob("__init__.py")}
    private = {room for room in rooms if room.name.startswith("_")}
    assert {stub.parent for stub in STUBS} == rooms - private


@pytest.mark.parametrize("stub", STUBS, ids=room_of)
def test_a_stub_names_what_its_room_has(stub):
    if "raster" in stub.parts:
        pytest.importorskip("rasterio", reason="needs the extra geo")
    tree = ast.parse(stub.read_text())
    sources = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    imported = [alias.name for source in sources for alias in source.names]
    [listed] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    room = importlib.import_module(room_of(stub))
    assert sorted(listed) == sorted(imported) == sorted(room.__all__)
    assert all(getattr(room, name) is not None for name in listed)


def test_the_wheel_has_the_stubs_and_says_that_it_is_typed():
    """Hatchling takes every file of its packages but those that .gitignore names."""
    root = PACKAGE.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["sklearn_gkd"]}
    assert "Typing :: Typed" in settings["project"]["classifiers"]
    typed = PACKAGE / "py.typed"
    assert typed.is_file()
    ignored = (root / ".gitignore").read_text().split()
    for file in [typed, *STUBS]:
        path = file.relative_to(root).as_posix()
        assert not [line for line in ignored if fnmatch(path, line) or fnmatch(file.name, line)]
