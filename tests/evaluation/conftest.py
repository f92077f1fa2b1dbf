import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def results():
    """A table as from privileged_gain: four methods, five splits of 60 and 30 rows, two metrics."""
    rng = np.random.RandomState(0)
    means = {"student alone": 0.6, "estimator": 0.65, "teacher": 0.8, "permuted X_priv": 0.58}
    rows = [
        (method, split, metric, mean + 0.02 * rng.normal(), 60, 30)
        for split in range(5)
        for method, mean in means.items()
        for metric in ("kappa", "f_measure")
    ]
    columns = ["method", "split", "metric", "value", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=columns)
