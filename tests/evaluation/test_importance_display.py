import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from sklearn_gkd import SeriesClassifier
from sklearn_gkd.evaluation import SeriesImportanceDisplay, series_importance

mpl.use("agg")


@pytest.fixture(autouse=True)
def closing():
    yield
    mpl.pyplot.close("all")


def test_bands_are_drawn_as_bars_with_their_deviations():
    bands = pd.Index(["VV", "VH"], name="band")
    table = pd.DataFrame({"importance": [0.1, 0.3], "std": [0.01, 0.02]}, index=bands)
    display = SeriesImportanceDisplay.from_importance(table)
    ax = display.ax_
    assert [bar.get_height() for bar in ax.patches] == [0.1, 0.3]
    [segments] = [c.get_segments() for c in ax.collections]
    np.testing.assert_allclose([np.ptp(s[:, 1]) for s in segments], [0.02, 0.04])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["VV", "VH"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("band", "importance")
    assert display.figure_ is ax.figure


def test_bands_and_dates_are_drawn_as_an_image(series, small):
    clf = SeriesClassifier(small.set_params(max_epochs=2), random_state=0)
    clf.fit(series.X, series.y)
    params = {"bands": ["VV", "VH"], "n_repeats": 2, "random_state": 0}
    display = SeriesImportanceDisplay.from_estimator(clf, series.X, series.y, **params)
    expected = series_importance(clf, series.X, series.y, **params)["importance"]
    [image] = display.ax_.images
    np.testing.assert_array_equal(image.get_array(), expected.to_numpy().reshape(2, 6))
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["VV", "VH"]
    assert display.ax_.get_xlabel() == "date"


def test_many_dates_are_not_all_named_and_axes_can_be_given():
    dates = pd.Index(range(31), name="date")
    table = pd.DataFrame({"importance": 0.0, "std": 0.0}, index=dates)
    ax = mpl.pyplot.subplots()[1]
    display = SeriesImportanceDisplay.from_importance(table, ax=ax)
    assert display.ax_ is ax
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        str(date) for date in range(0, 31, 3)
    ]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"importance": [1.0], "std": [0.0]}),
        pd.DataFrame({"importance": [1.0]}, index=pd.Index(["VV"], name="band")),
    ],
)
def test_another_table_is_refused_by_name(table):
    with pytest.raises(ValueError, match=r"^table is not as from series_importance"):
        SeriesImportanceDisplay.from_importance(table)
