import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.evaluation import (
    ClassGainDisplay,
    GainDisplay,
    TrainingCurvesDisplay,
    class_f_measures,
    gain_table,
)

mpl.use("agg")


@pytest.fixture
def plt():
    import matplotlib.pyplot as plt

    plt.close("all")  # what another test has left
    yield plt
    plt.close("all")


def tick_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_gains_are_drawn_in_points_with_their_intervals(plt, results):
    display = GainDisplay.from_results(results, metric="kappa")
    table = gain_table(results).loc["kappa"].drop(index="estimator")
    ax = display.ax_
    assert tick_labels(ax) == ["student alone", "teacher", "permuted X_priv"]
    assert ax.get_xlabel() == "kappa of the estimator less that of the method (points)"
    [bars] = ax.containers
    middle, caps, _ = bars.lines
    for line, column in zip([middle, *caps], ["gain", "low", "high"], strict=True):
        np.testing.assert_allclose(line.get_xdata(orig=False), 100 * table[column])
    values = results[results["metric"] == "kappa"].pivot_table("value", "split", "method")
    for i, method in enumerate(table.index):
        expected = 100 * (values["estimator"] - values[method])
        np.testing.assert_allclose(ax.lines[i].get_xdata(), expected)
        np.testing.assert_array_equal(ax.lines[i].get_ydata(), i + 0.25)
    assert legend(ax) == ["one split", "mean, 95 % interval"]


def test_the_gain_that_counts_is_the_title_and_bold(plt, results):
    taught = results[results["method"] == "student alone"].assign(method="self-distillation")
    both = pd.concat([results, taught.assign(value=taught["value"] + 0.01)])
    ax = GainDisplay.from_results(both, metric="kappa").ax_
    row = 100 * gain_table(both).loc["kappa", ["gain", "low", "high"]].loc["self-distillation"]
    gain, low, high = (f"{value:+.1f}" for value in row)
    assert ax.get_title() == (
        f"Over self-distillation, the better without X_priv: {gain} ({low} to {high})"
    )
    bold = [label.get_text() for label in ax.get_yticklabels() if label.get_weight() == "bold"]
    assert bold == ["self-distillation"]
    neither = results[results["method"] != "student alone"]
    assert GainDisplay.from_results(neither, metric="kappa").ax_.get_title() == ""


def test_the_gain_by_a_loss_is_drawn_as_it_is_and_to_the_right(plt, results):
    losses = results.assign(value=2 - results["value"], metric=results["metric"] + "_of")
    losses = losses.replace({"metric": {"kappa_of": "log_loss"}})
    display = GainDisplay.from_results(losses, metric="log_loss")
    ax = display.ax_
    assert ax.get_xlabel() == "log loss of the method less that of the estimator"
    of_scores = gain_table(results).loc["kappa"].drop(index="estimator")
    [bars] = ax.containers
    np.testing.assert_allclose(bars.lines[0].get_xdata(orig=False), of_scores["gain"])
    values = results[results["metric"] == "kappa"].pivot_table("value", "split", "method")
    for line, method in zip(ax.lines, of_scores.index, strict=False):
        np.testing.assert_allclose(line.get_xdata(), values["estimator"] - values[method])
    assert f": {of_scores.loc['student alone', 'gain']:+.3f} (" in ax.get_title()


def test_gain_of_one_split_is_drawn_without_an_interval(plt, results):
    display = GainDisplay.from_results(results[results["split"] == 0])
    display.figure_.canvas.draw()
    assert display.ax_.get_xlabel().startswith("F-measure of")
    assert " (" not in display.ax_.get_title()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda results: results, "metric='accuracy' is not in results; give one of"),
        (lambda results: results.drop(columns="metric"), "results lack .'metric'."),
        (lambda results: pd.concat([results, results]), "a split twice"),
        (
            lambda results: results[results["method"] != "estimator"].assign(metric="accuracy"),
            "^results have no method 'estimator'",
        ),
    ],
)
def test_gains_need_a_metric_and_a_table_as_from_privileged_gain(results, change, message):
    changed = change(results[results["metric"] == "kappa"])
    with pytest.raises(ValueError, match=message):
        GainDisplay.from_results(changed, metric="accuracy")


def test_displays_draw_again_and_where_they_are_told(plt, results):
    _, axes = plt.subplots(1, 2)
    display = GainDisplay.from_results(results, ax=axes[0])
    assert display.ax_ is axes[0]
    assert display.figure_ is axes[0].figure
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    other = ClassGainDisplay.from_predictions([0, 1], [0, 1], [0, 0], ax=axes[0])
    assert other.ax_ is axes[0]
    assert len(plt.get_fignums()) == 1


@pytest.fixture
def fitted(series, small):
    clf = GKDClassifier(small, small, validation_fraction=0.2, random_state=0)
    return clf.fit(series.X, series.y, X_priv=series.X_priv)


def test_curves_of_teacher_and_student_and_the_epochs_kept(plt, fitted):
    display = TrainingCurvesDisplay.from_estimator(fitted)
    loss, accuracy = display.ax_
    nets = [fitted.teacher_, fitted.student_]
    for ax, name in [(loss, "train_loss"), (accuracy, "valid_acc")]:
        for net, curve, mark in zip(nets, ax.lines[0::2], ax.lines[1::2], strict=False):
            values = net.history[:, name]
            assert curve.get_xdata().tolist() == [1, 2, 3]
            assert curve.get_ydata().tolist() == values
            best = int(np.argmax(net.history[:, "valid_acc"]))
            assert (mark.get_xdata(), mark.get_ydata()) == ([best + 1], [values[best]])
        assert ax.get_xlabel() == "epoch"
    assert loss.get_ylabel() == "training loss"
    assert accuracy.get_ylabel() == "validation accuracy"
    assert legend(accuracy) == ["teacher", "student", "epoch kept"]


def test_curves_into_given_axes(plt, fitted):
    figure, axes = plt.subplots(2)
    display = TrainingCurvesDisplay.from_estimator(fitted, ax=axes)
    assert display.ax_.tolist() == axes.tolist()
    assert display.figure_ is figure


def test_curves_of_a_net_alone_and_without_validation_rows(plt, series, small):
    clf = SeriesClassifier(small, validation_fraction=0, random_state=0).fit(series.X, series.y)
    display = TrainingCurvesDisplay.from_estimator(clf)
    [loss] = display.ax_
    assert loss.lines[0].get_ydata().tolist() == clf.network_.history[:, "train_loss"]
    assert legend(loss) == ["network"]


def test_a_teacher_that_is_no_net_has_no_curves(plt, series, small):
    clf = GKDClassifier(RandomForestClassifier(n_estimators=5), small, beta=0, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert list(TrainingCurvesDisplay.from_estimator(clf).curves) == ["student"]
    forest = IgnorePrivileged(RandomForestClassifier(n_estimators=2)).fit(series.X, series.y)
    with pytest.raises(TypeError, match=r"estimator=IgnorePrivileged.* has no nets"):
        TrainingCurvesDisplay.from_estimator(forest)


def test_classes_from_top_to_bottom_with_both_f_measures(plt):
    y_true = ["crops", "crops", "forest", "forest", "water", "water"]
    y_pred = ["crops", "crops", "forest", "water", "water", "water"]
    y_baseline = ["crops", "water", "forest", "water", "crops", "water"]
    display = ClassGainDisplay.from_predictions(y_true, y_pred, y_baseline)
    ax = display.ax_
    assert tick_labels(ax) == ["crops", "forest", "water"]
    bottom, top = ax.get_ylim()
    assert bottom > top
    drawn = {line.get_label(): line for line in ax.lines}
    for name, predicted in [("student", y_pred), ("baseline", y_baseline)]:
        expected = class_f_measures(y_true, predicted, ["crops", "forest", "water"])
        np.testing.assert_allclose(drawn[name].get_xdata(), expected)
    some = ClassGainDisplay.from_predictions(y_true, y_pred, y_baseline, labels=["water", "crops"])
    assert tick_labels(some.ax_) == ["water", "crops"]
    assert ax.get_xlabel() == "F-measure"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"),
            r"^A display needs matplotlib: pip install 'sklearn-gkd\[plot\]'\.$",
        ),
        (ImportError("DLL load failed"), "^DLL load failed$"),
    ],
)
def test_matplotlib_that_is_missing_or_broken(monkeypatch, error, message):
    class Refusing:
        def find_spec(self, name, path, target=None):
            if name == "matplotlib.pyplot":
                raise error

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with pytest.raises(type(error), match=message):
        ClassGainDisplay.from_predictions([0, 1], [0, 1], [0, 0])


def test_curves_of_a_regressor_are_of_its_score(plt):
    curves = pd.DataFrame({"train_loss": [1, 0.5, 0.4], "valid_score": [-1, -0.3, -0.6]}, [1, 2, 3])
    display = TrainingCurvesDisplay({"network": curves}).plot()
    assert [ax.get_ylabel() for ax in display.ax_] == [
        "training loss",
        "validation score (minus the loss)",
    ]
    for ax, name in zip(display.ax_, curves, strict=True):
        assert ax.lines[1].get_xydata().tolist() == [[2, curves[name][2]]]
