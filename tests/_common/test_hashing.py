import importlib
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from sklearn_gkd._common.files import versions
from sklearn_gkd._common.hashing import fingerprint
from sklearn_gkd.networks import SeriesNet

CELL = """
SHIFT = {shift}

def scale(x):
    return {scale} * x

class Net(nn.Module):
    "A network of a notebook."

    depth = {depth}

    def forward(self, x):
        return [scale(part) for part in x]

    @property
    def half(self):
        return self.depth / {divisor}

    @staticmethod
    def shifted(x):
        return x + SHIFT
"""
AS_IT_WAS = {"shift": 1, "scale": 2.0, "depth": 3, "divisor": 4}


def run_cell(**changes):
    namespace = {"nn": nn, "__name__": "__main__"}
    exec(CELL.format(**AS_IT_WAS | changes), namespace)
    return namespace["Net"]


def test_it_depends_on_content_and_versions(monkeypatch):
    first = fingerprint("teacher", [1, 2])
    assert fingerprint("teacher", [1, 2]) == first
    assert fingerprint("teacher", [1, 3]) != first
    newer = versions() | {"torch": "99"}
    monkeypatch.setattr("sklearn_gkd._common.hashing.versions", lambda: newer)
    assert fingerprint("teacher", [1, 2]) != first


@pytest.mark.parametrize("change", [{"shift": 9}, {"scale": 9.0}, {"depth": 9}, {"divisor": 9}])
def test_a_class_of_a_notebook_is_its_code_and_all_that_it_uses(change):
    expected = fingerprint(SeriesNet(run_cell()).get_params())
    assert fingerprint(SeriesNet(run_cell()).get_params()) == expected
    assert fingerprint(SeriesNet(run_cell(**change)).get_params()) != expected


def test_functions_are_their_code_constants_defaults_and_closures():
    def power(exponent):
        return lambda x: x**exponent

    def step(x, by=1):
        return x + by

    def other_step(x, by=2):
        return x + by

    other_step.__qualname__ = step.__qualname__
    hashes = [power(2), power(2), power(3), step, other_step, lambda x: x in {"a", "b"}]
    found = [fingerprint(function) for function in hashes]
    assert found[0] == found[1]
    assert len(set(found)) == len(found) - 1
    assert None not in found


def test_a_function_that_is_met_again_is_told_from_another():
    def by(factor):
        return lambda x: factor * x

    double, treble = by(2), by(3)
    assert fingerprint([double, treble, double]) != fingerprint([double, treble, treble])
    assert fingerprint([double, treble, double]) == fingerprint([by(2), by(3), by(2)])


def test_functions_that_call_each_other():
    namespace = {"__name__": "__main__"}
    exec("def f(x): return g(x)\ndef g(x): return f(x) + 1", namespace)
    assert fingerprint(namespace["f"]) == fingerprint(namespace["f"]) is not None


def test_code_of_modules_is_as_it_was_loaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    helper, module = tmp_path / "own_helper.py", tmp_path / "own_network.py"

    def write(factor, shift):
        helper.write_text(f"def scale(x): return {factor} * x\n")
        module.write_text(
            "import own_helper\n"
            f"class Net:\n    def forward(self, x): return own_helper.scale(x) + {shift}\n"
        )
        importlib.invalidate_caches()

    def hash_anew():
        for name in ("own_helper", "own_network"):
            sys.modules.pop(name, None)
        return fingerprint(importlib.import_module("own_network").Net)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write(2, 1)
    first = hash_anew()
    assert hash_anew() == first
    write(30, 1)
    assert fingerprint(sys.modules["own_network"].Net) == first
    second = hash_anew()
    write(30, 20)
    assert len({first, second, hash_anew()}) == 3


def test_tensors_and_arrays_are_their_values():
    assert fingerprint(torch.ones(3)) == fingerprint(torch.ones(3))
    assert fingerprint(torch.ones(3)) != fingerprint(torch.zeros(3))
    assert fingerprint(torch.ones(3)) != fingerprint(torch.ones(3).double())
    assert fingerprint(np.ones(3)) != fingerprint(np.ones(3, "f4"))


def test_what_is_installed_is_told_apart_by_its_name_and_parameters():
    first = fingerprint(LogisticRegression(C=1))
    assert fingerprint(LogisticRegression(C=1)) == first
    assert fingerprint(LogisticRegression(C=2)) != first
    assert fingerprint(np.mean) != fingerprint(np.median)


def test_an_estimator_of_one_s_own_is_hashed_by_its_code():
    def own(doubled):
        namespace = {"__name__": "__main__", "Base": LogisticRegression}
        exec(
            f"class Own(Base):\n    def fit(self, X, y): return super().fit({doubled} * X, y)\n",
            namespace,
        )
        return namespace["Own"]()

    assert fingerprint(own(1)) == fingerprint(own(1)) is not None
    assert fingerprint(own(1)) != fingerprint(own(2))


def test_what_cannot_be_hashed_has_no_fingerprint(tmp_path):
    with (tmp_path / "file").open("w") as file:
        assert fingerprint(1, file) is None


def test_another_process_finds_the_same(tmp_path):
    content = tmp_path / "content.pickle"
    content.write_bytes(cloudpickle.dumps([run_cell(), lambda x: x in {"a", "b", "c"}]))
    code = (
        "import pickle, sys; from sklearn_gkd._common.hashing import fingerprint; "
        "print(fingerprint(pickle.load(open(sys.argv[1], 'rb'))))"
    )
    command = [sys.executable, "-c", code, str(content)]
    done = [
        subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": s}
        )
        for s in ("1", "2")
    ]
    assert done[0].stdout == done[1].stdout != "None\n"
