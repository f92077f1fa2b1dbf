import numpy as np
import pytest


@pytest.fixture
def gappy():
    """Series (40, 12, 3) with a third of the values missing, the first one complete."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(40, 12, 3))
    series[rng.random(series.shape) < 0.35] = np.nan
    series[0] = rng.normal(size=(12, 3))
    return series
