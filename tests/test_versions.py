import platform

import numpy as np
import sklearn
import torch

import sklearn_gkd
from sklearn_gkd import _versions, show_versions


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
