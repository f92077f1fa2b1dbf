import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from sklearn_gkd._training.batches import Batches, SeriesDataset


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(12, 4, [4] * 3), (10, 4, [4, 3, 3]), (9, 4, [3] * 3), (3, 2, [3]), (3, 4, [3]), (1, 4, [1])],
)
def test_batches_are_as_equal_as_can_be_and_of_two_rows_or_more(n_rows, batch_size, sizes):
    dataset = TensorDataset(torch.arange(n_rows), torch.arange(n_rows))
    batches = list(Batches(dataset, batch_size, n_views=1, shuffle=True))
    assert [len(labels) for _, (labels,) in batches] == sizes
    assert sorted(torch.cat([labels for _, (labels,) in batches]).tolist()) == list(range(n_rows))
    assert all((view == labels).all() for (view,), (labels,) in batches)


def test_views_as_series_tables_and_tensors_are_the_same():
    series = np.random.RandomState(0).normal(size=(5, 3, 2))
    forms = [series, series.reshape(5, 6), torch.tensor(series), pd.DataFrame(series.reshape(5, 6))]
    for view in [*forms, [series]]:
        [tensor] = SeriesDataset(view, shapes=[(3, 2)]).tensors
        np.testing.assert_array_equal(tensor, series.astype(np.float32))


def test_skorch_finds_the_labelled_rows():
    view, labels = np.arange(24, dtype=np.float32).reshape(4, 3, 2), np.array([1, -1, 0, -1])
    dataset = SeriesDataset([view], [labels, np.zeros((4, 2))], shapes=[(3, 2)])
    assert len(dataset) == 4
    assert len(dataset.tensors) == 3
    np.testing.assert_array_equal(dataset.X[0], view[[0, 2]])
    assert dataset.y.tolist() == [1, 0]
    assert SeriesDataset([view], shapes=[(3, 2)]).y is None


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((4, 2, 3)), r"shape \(4, 2, 3\), but fit saw series of \(T, C\) = \(3, 2\)"),
        (np.zeros((6, 5)), r"shape \(6, 5\)"),
        (np.zeros(6), r"shape \(6,\)"),
        ([np.zeros((4, 3, 2))] * 2, "X has 2 views, but this net looks at 1"),
        (np.full((4, 6), np.nan), "X contains NaN or inf"),
    ],
)
def test_what_a_net_cannot_read_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        SeriesDataset(X, shapes=[(3, 2)])
