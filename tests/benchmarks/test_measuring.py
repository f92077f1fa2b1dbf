import argparse
import json
import subprocess
import sys
from pathlib import Path

import measuring
import pytest

from sklearn_gkd._training.predicting import prediction_batch
from sklearn_gkd.networks import CNN, MLP


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench_training.py", "--short"])

    def report(value, goal, *, save=False):
        args = argparse.Namespace(short=True, save=save)
        measuring.report("training", [measuring.Ratio("epoch", value, goal)], args)

    return report


def test_a_ratio_under_its_goal_or_its_committed_figure_fails(report, tmp_path):
    report(1.7, 2.0)
    with pytest.raises(SystemExit, match=r"Under 80%.*epoch"):
        report(1.5, 2.0)
    report(3.0, 2.0, save=True)
    assert json.loads((tmp_path / "speed.json").read_text())["short"]["training"]["ratios"] == {
        "epoch": 3.0
    }
    assert "| epoch | 3.00 | 2 |" in (tmp_path / "speed.md").read_text()
    report(2.5, 2.0)
    with pytest.raises(SystemExit, match=r"Under 80%.*epoch"):
        report(2.3, 2.0)


def test_a_known_miss_fails_only_where_it_gets_worse(report):
    report(1.7, 2.0, save=True)
    report(1.5, 2.0)
    with pytest.raises(SystemExit, match="Under 80%"):
        report(1.3, 2.0)


def test_functions_take_turns():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = measuring.in_turns(functions, 3)
    assert order == list("ababab")
    assert seconds.keys() == set("ab")
    assert measuring.in_turns({"given": lambda: 7.0}, 3) == {"given": 7.0}


def test_memory_that_noise_makes_is_no_gain():
    assert measuring.under_limit(100, 200) == 0.5
    assert measuring.under_limit(100, 80) == 1.25
    assert measuring.under_limit(100, 0) == measuring.under_limit(100, 30) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_added_is_what_a_call_takes():
    # In a process of its own: in this one, other tests may have left memory that is used again.
    code = "import measuring; print(measuring.memory_added(lambda: bytearray(b'x' * 2**26)))"
    folder = Path(measuring.__file__).parent
    added = int(subprocess.check_output([sys.executable, "-c", code], cwd=folder))
    assert 60 * 2**20 < added < 200 * 2**20


@pytest.mark.parametrize("network", [CNN([(5, 2)], 3), MLP([(5, 2)], 3, width=8)])
def test_benchmarks_predict_in_the_batches_of_the_package(network):
    assert measuring.prediction_batch(network) == prediction_batch(network)
