import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.random_projection import GaussianRandomProjection
from torch import nn

from sklearn_gkd import GKDClassifier, GKDRegressor
from sklearn_gkd._estimators._sources import PrivilegedReader
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.networks import SeriesNet

RED, NIR = slice(0, 12), slice(12, 24)  # the columns of the fixture `table`
SOURCES = [("red", "passthrough", RED, 2), ("nir", "passthrough", NIR, (6, 2))]


@pytest.fixture
def X():
    return np.arange(24, dtype=float).reshape(4, 3, 2)


@pytest.fixture
def clf(small):
    return GKDClassifier(small, small, priv_sources=SOURCES, random_state=0)


as_images = FunctionTransformer(lambda part: part.reshape(len(part), 2, 3, 2))


def reader_of(table, sources, train=None):
    train = np.arange(len(table)) if train is None else train
    return PrivilegedReader().fit(table, np.zeros(len(table)), train, 0, priv_sources=sources)


def test_rows_without_information_do_not_reach_the_transformer(X):
    X[1] = np.nan
    X[2, 1] = np.nan
    reader = PrivilegedReader().fit(X, np.zeros(4), np.array([0, 1, 3]), 0, GapFiller())
    [view], seen = reader.read(X, "X_priv")
    assert seen.tolist() == [True, False, True, True]
    expected = X.copy()
    expected[1] = np.nan
    expected[2, 1] = (X[2, 0] + X[2, 2]) / 2
    np.testing.assert_array_equal(view.series, expected)
    assert view.series.dtype == np.float32


def test_n_channels_describe_what_the_transformer_returns(X):
    class FirstBand(GapFiller):
        def transform(self, X):
            return super().transform(X)[:, :, 0]

    reader = PrivilegedReader().fit(X, np.zeros(4), np.arange(4), 0, FirstBand(), 3)
    [view], _ = reader.read(X, "X_priv")
    np.testing.assert_array_equal(view.series, X[:, None, :, 0])


def test_each_source_is_read_by_itself(table):
    train = np.arange(0, 120, 2)
    sources = [("nir", StandardScaler(), NIR, 2), ("red", "passthrough", RED, (2, 6))]
    nir, red = (table[:, columns] for columns in (NIR, RED))
    (nir_view, red_view), seen = reader_of(table, sources, train).read(table, "X_priv")
    expected = (nir - np.nanmean(nir[train], axis=0)) / np.nanstd(nir[train], axis=0)
    np.testing.assert_allclose(nir_view.series.reshape(120, -1), expected, atol=1e-4)
    np.testing.assert_array_equal(red_view.series, red.reshape(120, 2, 6))
    np.testing.assert_array_equal(seen, ~np.isnan(table).all(axis=1))
    assert seen.sum() == 110


def test_a_transformer_sees_the_rows_that_have_its_source(table):
    reader = reader_of(table, [("nir", PCA(3), NIR, 3)])  # which refuses NaN
    [view], seen = reader.read(table, "X_priv")
    assert view.shape == (1, 3)
    np.testing.assert_array_equal(seen, ~np.isnan(table[:, NIR]).all(axis=1))


@pytest.mark.parametrize("transformer", ["passthrough", as_images])
def test_images_are_scaled_by_channel(table, transformer):
    [view], seen = reader_of(table, [("nir", transformer, NIR, (2, 3, 2))]).read(table, "X_priv")
    images = table[:, NIR].reshape(120, 2, 3, 2)
    np.testing.assert_array_equal(view.series, images)
    known = view._replace(series=view.series[seen])
    np.testing.assert_allclose(known.scaling().mean, images[seen].mean(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(12, 1), (6, 2), (2, 3, 2)])
def test_a_transformer_may_return_lists_and_masked_arrays(table, shape):
    def masked(part):
        return np.ma.array(part.reshape(-1, *shape), mask=part.reshape(-1, *shape) < 3000)

    as_list = FunctionTransformer(lambda part: part.reshape(-1, *shape).tolist())
    [view], _ = reader_of(table, [("nir", as_list, NIR, shape)]).read(table, "X_priv")
    np.testing.assert_array_equal(view.series, table[:, NIR].reshape(-1, *shape))
    reader = reader_of(table, [("nir", FunctionTransformer(masked), NIR, shape)])
    with pytest.raises(ValueError, match="source nir of X_priv contains NaN"):
        reader.read(table, "X_priv")


def test_images_tell_their_shape(table):
    [view], _ = reader_of(table, [("nir", as_images, NIR, None)]).read(table, "X_priv")
    assert view.shape == (2, 3, 2)


def test_names_of_an_image_are_no_bands_and_dates(table):
    names = [f"B{i % 3}_d{i // 3:03d}" for i in range(12)]
    frame = pd.DataFrame(table[:, NIR], columns=names)
    [view], _ = reader_of(frame, [("nir", "passthrough", names, (2, 3, 2))]).read(frame, "X_priv")
    assert view.shape == (2, 3, 2)


def test_gaps_within_an_image_are_named(table):
    reader = reader_of(table, [("nir", "passthrough", NIR, (2, 3, 2))])
    row = np.flatnonzero(~np.isnan(table[:, NIR]).any(axis=1))[0]
    table[row, 20] = np.nan
    with pytest.raises(ValueError, match=f"row {row}.*its transformer SimpleImputer.keep_"):
        reader.read(table, "X_priv")


def test_what_is_anywhere_in_an_image_teaches(small):
    """Whether stripes are upright or lie tells the classes, and no pixel does; X says little."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 160)
    stripes = (np.arange(8) + rng.integers(0, 2, (160, 1))) % 2
    stripes = np.where(y[:, None, None], stripes[:, None, :], stripes[:, :, None])
    images = stripes[..., None] + rng.normal(0, 0.5, (160, 8, 8, 2))
    table = np.hstack([rng.normal(size=(160, 4)), images.reshape(160, -1)])
    table[::4, 4:] = np.nan
    X = rng.normal(size=(160, 3, 1)) + 0.2 * y[:, None, None]
    sources = [
        ("series", "passthrough", slice(0, 4), (2, 2)),
        ("image", "passthrough", slice(4, None), (8, 8, 2)),
    ]
    sizes = {"filters": [16], "kernels": [1], "image_filters": [16], "head": 32}
    teacher = SeriesNet("cnn", max_epochs=20, batch_size=16)
    teacher.set_params(**{f"module__{name}": size for name, size in sizes.items()})
    clf = GKDClassifier(teacher, small, priv_sources=sources, beta=0, random_state=0)
    clf.fit(X[:100], y[:100], X_priv=table[:100])
    assert clf.priv_sources_[1][3] == (8, 8, 2)
    told = clf.teacher_predict_proba(X[100:], table[100:]).argmax(axis=1)
    with_image = ~np.isnan(table[100:, 4])
    assert np.mean(told[with_image] == y[100:][with_image]) > 0.85


def test_columns_are_given_as_to_a_column_transformer(table):
    frame = pd.DataFrame(table).add_prefix("c")
    names = list(frame.columns[NIR])
    expected = reader_of(table, SOURCES).read(table, "X_priv").views[1].series
    for columns in (range(12, 24), names, frame.columns.isin(names), lambda X: names):
        columns = list(columns) if isinstance(columns, range) else columns
        reader = reader_of(frame, [("nir", "passthrough", columns, (6, 2))])
        for given in (frame, table):
            [view], _ = reader.read(given, "X_priv")
            np.testing.assert_array_equal(view.series, expected)


def test_a_source_of_all_columns_is_x_priv_itself(series, small):
    clf = GKDClassifier(small, small, random_state=0)
    expected = clf.fit(series.X, series.y, X_priv=series.X_priv).predict_proba(series.X)
    whole = clf.set_params(priv_sources=[("optical", "passthrough", slice(None), 4)])
    whole.fit(series.X, series.y, X_priv=series.X_priv.reshape(120, -1))
    np.testing.assert_array_equal(whole.predict_proba(series.X), expected)
    assert whole.priv_sources_ == [("optical", "passthrough", list(range(24)), (6, 4))]
    assert whole.priv_transformer_ is None


NETWORKS = {
    "mlp": {"module__width": 16, "module__features": 8},
    "ensemble": {"module__n_members": 2, "module__width": 16, "module__features": 8},
    "cnn": {"module__filters": [16], "module__kernels": [3]},
}


@pytest.mark.parametrize("view", ["both", "privileged"])
@pytest.mark.parametrize("network", NETWORKS)
def test_one_teacher_serves_all_patterns_of_missing_sources(series, table, clf, network, view):
    budget = {"module__head": 8, "lr": 1e-2, "max_epochs": 20, "batch_size": 16}
    teacher = SeriesNet(network, **NETWORKS[network], **budget)
    clf.set_params(teacher=teacher, teacher_view=view, beta=0)
    clf.fit(series.X, series.y, X_priv=table)
    full = np.hstack([series.X_priv[:, :, b].reshape(120, -1) for b in ([0, 1], [2, 3])])
    for lacking in (None, RED, NIR):
        given = full.copy()
        if lacking:
            given[:, lacking] = np.nan
        proba = clf.teacher_predict_proba(series.X, given)
        assert np.mean(clf.classes_[proba.argmax(axis=1)] == series.y) > 0.8
    mixed = np.where(np.arange(120)[:, None] % 2, given, full)
    np.testing.assert_array_equal(
        clf.teacher_predict_proba(series.X, mixed)[1::2],
        clf.teacher_predict_proba(series.X, given)[1::2],
    )
    with pytest.raises(ValueError, match="NaN throughout in 10 of its 120 rows"):
        clf.teacher_predict_proba(series.X, table)


def test_a_regressor_learns_from_sources(series, table, small):
    y = series.X_priv[:, -1].mean(axis=1)
    reg = GKDRegressor(small, small, priv_sources=SOURCES, random_state=0)
    reg.set_params(teacher__max_epochs=30).fit(series.X, y, X_priv=table)
    known = ~np.isnan(table).all(axis=1)
    assert r2_score(y[known], reg.teacher_predict(series.X[known], table[known])) > 0.6


def test_a_network_of_ones_own_is_told_what_is_present(series, table, clf):
    told = []

    class Own(nn.Module):
        def __init__(self, shapes, n_classes):
            super().__init__()
            self.linear = nn.Linear(sum(t * c for t, c in shapes), n_classes)

        def forward(self, *views, present):
            told.append(present)
            for view, has in zip(views, present.T, strict=True):
                assert (view[~has] == 0).all()
            return self.linear(torch.cat([view.flatten(1) for view in views], dim=1))

    clf.set_params(teacher=SeriesNet(Own, max_epochs=1), beta=0)
    clf.fit(series.X, series.y, X_priv=table)
    known = np.flatnonzero(~np.isnan(table).all(axis=1))[:32]
    clf.teacher_predict_proba(series.X[known], table[known])
    has = ~np.isnan(table[known])
    expected = np.column_stack([np.full(32, True), has[:, 0], has[:, 12]])
    np.testing.assert_array_equal(told[-1], expected)


@pytest.mark.parametrize("kind", ["network", "estimator"])
def test_a_teacher_that_takes_no_missing_source_is_refused(series, table, clf, logits_only, kind):
    teacher = logits_only if kind == "network" else LogisticRegression()
    clf.set_params(teacher=teacher, beta=0)
    with pytest.raises(ValueError, match="80 rows of X_priv lack some of the priv_sources"):
        clf.fit(series.X, series.y, X_priv=table)
    complete = np.where(np.isnan(table).any(axis=1)[:, None], np.nan, table)
    clf.fit(series.X, series.y, X_priv=complete)
    lacking = np.nan_to_num(table)
    lacking[3, RED] = np.nan
    with pytest.raises(ValueError, match="1 rows of X_priv lack some"):
        clf.teacher_predict_proba(series.X, lacking)


def test_a_forest_sees_nan_in_the_place_of_a_source(series, table, clf):
    forest = RandomForestClassifier(20, random_state=0)
    clf.set_params(teacher=forest, beta=0).fit(series.X, series.y, X_priv=table)
    known = ~np.isnan(table).all(axis=1)
    both = np.hstack([series.X.reshape(120, -1), table])[known]
    codes = np.unique(series.y, return_inverse=True)[1][known]
    expected = forest.fit(both, codes).predict_proba(both)
    told = clf.teacher_predict_proba(series.X[known], table[known])
    np.testing.assert_allclose(told, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "priv_sources is empty"),
        ([("red", "passthrough")], r"priv_sources has \('red', 'passthrough'\). Give"),
        ([("red", None, RED, 2)], "the transformer of 'red' is None"),
        ([("red", "passthrough", RED, (1, 1, 2, 6))], r"the shape of 'red' is \(1, 1, 2, 6\)"),
        (
            [("red", "passthrough", RED, (2, 2, 2))],
            r"12 columns, .* images of .* \(2, 2, 2\)",
        ),
        ([("red", "passthrough", RED, (True, 6, 2))], r"the shape of 'red' is \(True, 6, 2\)"),
        ([("red", as_images, RED, (6, 2))], r"has images of .* \(2, 3, 2\), but .* series of"),
        ([("red", as_images, RED, 3)], "source red of X_priv is 4-D with 2 channels, but shape=3"),
        ([("red", "passthrough", RED, 0)], "the shape of 'red' is 0"),
        ([("red", "passthrough", RED, ())], r"the shape of 'red' is \(\)"),
        ([("red", "passthrough", RED, 5)], "source red of X_priv has 12 columns, which shape=5"),
        (
            [("red", "passthrough", RED, (6, 3))],
            r"12 columns, .* series of \(T, C\) = \(6, 3",
        ),
        ([("red", "passthrough", [], 2)], "columns of the source 'red' are none"),
        ([("red", "passthrough", [30], 1)], "columns of the source 'red': all features must be"),
        ([("red", "passthrough", "c1", 1)], "columns of the source 'red': Specifying"),
    ],
)
def test_wrong_sources_are_named(series, table, clf, sources, message):
    clf.set_params(priv_sources=sources)
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit(series.X, series.y, X_priv=table)


def test_sources_are_all_that_says_how_to_read_x_priv(series, table, clf):
    for other in ({"n_channels_priv": 2}, {"priv_transformer": StandardScaler()}):
        with pytest.raises(ValueError, match="beside priv_transformer or n_channels_priv"):
            clone(clf).set_params(**other).fit(series.X, series.y, X_priv=table)
    with pytest.raises(ValueError, match=r"X_priv has shape \(120, 6, 4\), and priv_sources are"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    with pytest.raises(ValueError, match=r"Images are a source .* slice\(0, None\), \(6, 2, 2\)"):
        clf.fit(series.X, series.y, X_priv=series.X_priv.reshape(120, 6, 2, 2))
    clf.fit(series.X, series.y, X_priv=table)
    with pytest.raises(ValueError, match="X_priv in fit was a table of 24 columns"):
        clf.teacher_predict_proba(series.X, table[:, :-1])


def test_a_source_that_too_few_rows_have_is_refused(series, table, clf):
    table[:, NIR] = np.nan
    table[0, NIR] = 1
    with pytest.raises(ValueError, match="source nir of X_priv is NaN throughout in all but 1"):
        clf.fit(series.X, series.y, X_priv=table)
    table[:2, NIR] = 1
    with pytest.raises(ValueError, match="less than two rows that have one of the priv_sources"):
        clf.set_params(teacher_cv=3).fit(series.X, series.y, X_priv=table)


@pytest.mark.parametrize("n_returned", [1, 3])
def test_a_transformer_returns_a_row_for_each(n_returned):
    X = np.zeros((4, 2, 1))
    some = FunctionTransformer(lambda table: table[:n_returned])
    reader = PrivilegedReader().fit(X.reshape(4, 2), np.zeros(4), np.arange(4), 0, some)
    with pytest.raises(ValueError, match=f"X_priv has 4 rows, of which .* returned {n_returned}"):
        reader.read(X.reshape(4, 2), "X_priv")


def test_a_random_transformer_is_ruled_by_random_state(series, small):
    clf = GKDClassifier(small, small, random_state=0)
    clf.set_params(priv_transformer=GaussianRandomProjection(2), distillation="always")
    table = series.X_priv.reshape(120, -1)
    first, second = (
        clone(clf).fit(series.X, series.y, X_priv=table).predict_proba(series.X) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert clf.priv_transformer.random_state is None
