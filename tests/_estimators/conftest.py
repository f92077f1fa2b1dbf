import numpy as np
import pytest

from sklearn_gkd import GKDClassifier


@pytest.fixture
def clf(small):
    return GKDClassifier(small, small, validation_fraction=0.2, random_state=0)


@pytest.fixture
def table(series):
    """Two sources of 6 steps and 2 channels: 40 rows lack the first, 40 the second, 10 both."""
    table = np.hstack([series.X_priv[:, :, bands].reshape(120, -1) for bands in ([0, 1], [2, 3])])
    rows = np.random.RandomState(1).permutation(120)
    table[rows[:50], :12] = np.nan
    table[rows[40:90], 12:] = np.nan
    return table
