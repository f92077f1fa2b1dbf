import platform
import re
from pathlib import Path

import numpy as np
import sklearn
import torch

import sklearn_gkd
from sklearn_gkd import _versions, show_versions

ROOT = Path(sklearn_gkd.__file__).parents[1]


def test_versions_are_those_of_what_runs(capsys, monkeypatch):
    monkeypatch.setattr(_versions, "DEPENDENCIES", ["numpy", "scikit-learn", "torch", "no-such"])
    show_versions()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for line in (
        f"numpy: {np.__version__}",
        f"scikit-learn: {sklearn.__version__}",
        f"torch: {torch.__version__}",
        "no-such: not installed",
        f"sklearn-gkd: {sklearn_gkd.__version__}",
        f"machine: {platform.platform()}",
        f"threads: {torch.get_num_threads()}",
    ):
        assert line in lines
    assert any(line.startswith(f"python: {platform.python_version()}") for line in lines)


def test_files_agree_on_the_version_and_its_day():
    def written(file, pattern):
        return re.search(pattern, (ROOT / file).read_text(), re.MULTILINE).groups()

    of_release = written("CHANGELOG.md", r"^## (\d\S*) - (\S+)$")
    assert of_release == written("CITATION.cff", r"^version: (.+)\ndate-released: (.+)$")
    assert of_release[:1] == written("pyproject.toml", r'^version = "(.+)"$')
    assert of_release[0] == sklearn_gkd.__version__
