import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_gkd.evaluation import LabelEfficiencyDisplay, worth_in_labels

mpl.use("agg")


@pytest.fixture
def plt():
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture
def results():
    """Three numbers of labels, none and 500 pairs, five splits."""
    rng = np.random.RandomState(0)
    means = {
        ("student alone", 0): [0.5, 0.6, 0.7],
        ("student alone", 500): [0.48, 0.59, 0.7],
        ("self-distillation", 0): [0.5, 0.6, 0.7],
        ("self-distillation", 500): [0.52, 0.62, 0.71],
        ("estimator", 0): [0.51, 0.61, 0.7],
        ("estimator", 500): [0.56, 0.67, 0.76],
    }
    rows = [
        (*(method, split, metric, sign * value + 0.01 * rng.normal()), 700, 300, n, pairs, used)
        for metric, sign in [("f_measure", 1), ("log_loss", -1)]
        for split in range(5)
        for (method, pairs), values in means.items()
        for n, value in zip([50, 200, 800], values, strict=True)
        for used in [min(pairs, 700 - n if n < 700 else 100)]
    ]
    columns = ["method", "split", "metric", "value", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=[*columns, "n_labels", "n_pairs", "n_pairs_used"])


def drawn(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_a_line_for_each_method_with_its_interval(plt, results):
    ax = LabelEfficiencyDisplay.from_results(results).ax_
    assert list(drawn(ax)) == [
        "student alone",
        "self-distillation, up to 500 pairs",
        "estimator, no pairs",
        "estimator, up to 500 pairs",
    ]
    of_metric = results[results["metric"] == "f_measure"]
    values = of_metric.pivot_table("value", ["method", "n_labels"], "n_pairs")
    for label, (method, pairs) in {
        "self-distillation, up to 500 pairs": ("self-distillation", 500),
        "estimator, no pairs": ("estimator", 0),
        "estimator, up to 500 pairs": ("estimator", 500),
    }.items():
        assert drawn(ax)[label].get_xdata().tolist() == [50, 200, 800]
        expected = 100 * values.loc[method][pairs]
        np.testing.assert_allclose(drawn(ax)[label].get_ydata(), expected)
    alone = 100 * values.loc["student alone"].max(axis=1)  # of the number of steps that suits it
    np.testing.assert_allclose(drawn(ax)["student alone"].get_ydata(), alone)

    last = of_metric.query("method == 'estimator' and n_pairs == 500 and n_labels == 50")["value"]
    margin = stats.t.ppf(0.975, 4) * (last.var() * (1 / 5 + 300 / 700)) ** 0.5
    assert len(ax.collections) == 2  # of the student alone, and of the most pairs
    band = ax.collections[-1].get_paths()[0].vertices
    heights = band[band[:, 0] == 50, 1]
    assert [heights.min(), heights.max()] == pytest.approx(
        [100 * (last.mean() - margin), 100 * (last.mean() + margin)]
    )
    assert ax.get_ylabel() == "F-measure (points)"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "200", "800"]
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize("metric", ["f_measure", "log_loss"])
def test_the_worth_of_the_most_pairs_is_told(plt, results, metric):
    ax = LabelEfficiencyDisplay.from_results(results, metric=metric).ax_
    worth = worth_in_labels(results, metric=metric).xs(500, level="n_pairs")
    told = [text.get_text() for text in ax.texts]
    assert told == [
        f"= {worth['told'].iloc[0]} labels",
        f"= {worth['told'].iloc[1]} labels",
        "> 800 labels",
    ]
    leads = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[1] for line in leads] == worth["labels_alone"].tolist()[:2]
    scale = 100 if metric == "f_measure" else 1
    for line, score in zip(leads, worth["estimator"], strict=False):
        assert line.get_ydata() == pytest.approx([scale * score] * 2)


def test_of_one_split_and_without_pairs(plt, results):
    few = results[(results["split"] == 0) & (results["n_pairs"] == 0)]
    display = LabelEfficiencyDisplay.from_results(few[few["method"] != "self-distillation"])
    display.figure_.canvas.draw()
    assert list(drawn(display.ax_)) == ["student alone", "estimator, no pairs"]


def test_draws_again_and_where_it_is_told(plt, results):
    _, axes = plt.subplots(1, 2)
    display = LabelEfficiencyDisplay.from_results(results, ax=axes[0])
    assert display.ax_ is axes[0]
    assert display.figure_ is axes[0].figure
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    assert len(plt.get_fignums()) == 1


def test_needs_a_table_as_from_label_efficiency(results):
    with pytest.raises(ValueError, match=r"results lack .'n_pairs'"):
        LabelEfficiencyDisplay.from_results(results.drop(columns="n_pairs"))
    with pytest.raises(ValueError, match="metric='kappa' is not in results"):
        LabelEfficiencyDisplay.from_results(results, metric="kappa")
