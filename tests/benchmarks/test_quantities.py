from functools import partial

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs the extra plot")
import quantities
from evidence import Cell, draw

from sklearn_gkd import GKDRegressor
from sklearn_gkd.networks import SeriesNet


@pytest.fixture
def run(npz, tmp_path, monkeypatch):
    height = np.random.RandomState(0).normal(20, 5, size=120)
    np.savez(npz, **np.load(npz), height=height)
    net = SeriesNet("ensemble", module__n_members=2, module__width=8, max_epochs=1)
    monkeypatch.setattr(quantities, "GKDRegressor", partial(GKDRegressor, net, net))
    monkeypatch.setattr(quantities, "simulated_arm", partial(quantities.simulated_arm, 60))
    monkeypatch.setitem(quantities.QUANTITIES, "tiny", ("height", "m"))
    monkeypatch.setattr(quantities, "LABELS", ("20",))

    def run(*files):
        output = tmp_path / "out"
        command = ["quantities.py", *files, "--splits=1", f"--output={output}"]
        monkeypatch.setattr("sys.argv", command)
        quantities.main()
        return output

    return run


def test_a_run_goes_on_and_tells_what_was_measured(run, npz):
    before = (run() / "cells.csv").read_text()
    out = run(str(npz))
    assert (out / "cells.csv").read_text().startswith(before)
    cells = quantities.read(out / "cells.csv")
    assert not cells.duplicated([*quantities.KEY, "method", "metric"]).any()
    assert set(cells.groupby("data").size()) == {10 * 3 + 3}  # ten methods and another fit

    data = quantities.load(npz)
    rows = draw(data, Cell("tiny", 0, "20", "all", "estimator"))
    of_tiny = cells[cells["data"] == "tiny"]
    assert (of_tiny["n_train"] == rows.n_train).all()
    assert (of_tiny["n_pairs"] == len(rows.pairs)).all()
    values = of_tiny.set_index(["method", "metric"])["value"]
    error = np.abs(data.quantity[rows.test] - data.quantity[rows.labelled].mean())
    assert values["mean of y", "mae"] == pytest.approx(error.mean(), abs=1e-4)

    report = out.with_suffix(".md").read_text()
    of_forest = " | ".join(f"{value:.2f}" for value in values["forest"])
    assert "### tiny: height, in m\n\n| method | R², 20 labels | RMSE, 20 labels | " in report
    assert f"\n| forest | {of_forest} |\n" in report
    r2 = values[:, "r2"]
    to_beat = max(r2["student alone"], r2["self-distillation"])
    gains = [r2["estimator"] - other for other in (to_beat, r2["permuted X_priv"])]
    means = f"{to_beat:.2f} | {r2['estimator']:.2f} | {r2['teacher']:.2f}"
    assert f"| {len(rows.pairs)} | {means} | {gains[0]:+.2f} (" in report
    assert f") | {gains[1]:+.2f} (" in report
    spread = values["another fit"]
    assert f"| tiny | 20 | {spread['rank']:.2f} | {spread['covered']:.0%} |" in report


def test_torques_put_as_much_power_into_the_arm_as_its_energy_gains():
    position, velocity, acceleration = np.random.RandomState(0).normal(size=(3, 20, 7))

    def energy(position, velocity):
        angle, rate = position.cumsum(axis=1), velocity.cumsum(axis=1)
        height = (0.2 * np.sin(angle)).cumsum(axis=1)
        speed = [(0.2 * rate * part(angle)).cumsum(axis=1) for part in (np.sin, np.cos)]
        return (9.81 * height + (speed[0] ** 2 + speed[1] ** 2) / 2).sum(axis=1)

    step = 1e-5
    before, after = (
        energy(position + sign * step * velocity, velocity + sign * step * acceleration)
        for sign in (-1, 1)
    )
    torques = quantities.joint_torques(position, velocity, acceleration)
    np.testing.assert_allclose(
        (torques * velocity).sum(axis=1), (after - before) / (2 * step), rtol=1e-5
    )


def test_the_arm_has_the_form_of_sarcos():
    arm = quantities.simulated_arm(50)
    assert (arm.X_s1.shape, arm.X_s2.shape, arm.quantity.shape) == ((50, 1, 21), (50, 1, 6), (50,))
    torques = quantities.joint_torques(*np.split(arm.X_s1[:, 0], 3, axis=1))
    measured = np.column_stack([arm.quantity, arm.X_s2[:, 0]])
    assert np.std(measured - torques, axis=0) == pytest.approx(0.05 * torques.std(axis=0), rel=0.4)
