import numpy as np
import pytest
import torch
from sklearn.utils import Bunch
from torch import nn

from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd.networks import SeriesNet


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small nets and parallel tests: threads only stand in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded_draws():
    """What is drawn without a random_state is the same in every run of a test."""
    np.random.seed(0)  # noqa: NPY002 - of check_random_state(None)


@pytest.fixture
def series():
    """Three classes that a rise in the season tells apart: faint in X, plain in X_priv."""
    rng = np.random.RandomState(0)
    y = np.repeat(["maize", "meadow", "forest"], [50, 40, 30])
    rise = (
        np.linspace(0, 1, 6)[None, :, None]
        * np.repeat([0.0, 1.0, 2.0], [50, 40, 30])[:, None, None]
    )
    return Bunch(
        X=(-15 + rise + rng.normal(size=(120, 6, 2))).astype(np.float32),
        X_priv=(3000 + 900 * rise + 300 * rng.normal(size=(120, 6, 4))).astype(np.float32),
        y=y,
        groups=np.arange(120) % 12,
    )


@pytest.fixture
def small():
    """A net that trains in a moment; its network is the paper's, narrow."""
    return SeriesNet(
        "mlp",
        module__width=16,
        module__features=8,
        module__head=8,
        lr=1e-2,
        max_epochs=3,
        batch_size=16,
    )


@pytest.fixture
def logits_only():
    """A network without features."""

    class LogitsOnly(nn.Module):
        def __init__(self, shapes, n_classes):
            super().__init__()
            self.layer = nn.Linear(sum(t * c for t, c in shapes), n_classes)

        def forward(self, *views):
            return self.layer(torch.cat([view.flatten(1) for view in views], dim=1))

    return LogitsOnly


@pytest.fixture
def recorder():
    """A store that keeps no states, but the trainings that it is asked for."""

    class Recorder(Store):
        def __init__(self):
            self.trainings = []

        def checkpoint(self, training):
            self.trainings.append(training)

    return Recorder()


@pytest.fixture
def npz(tmp_path):
    """A file for load_sits: three classes, gaps in the radar."""
    rng = np.random.RandomState(0)
    y = np.repeat(["crops", "forest", "water"], 40)
    level = np.repeat([0.0, 1.0, 2.0], 40)[:, None, None]
    X_s1 = (level + rng.normal(size=(120, 6, 2))).astype("f4")
    X_s1[rng.uniform(size=(120, 6)) < 0.1] = np.nan
    np.savez(
        tmp_path / "tiny.npz",
        X_s1=X_s1,
        X_s2=(level + rng.normal(size=(120, 4, 3))).astype("f4"),
        y=y,
        groups=(np.arange(120) % 30).astype(str),
        class_names=np.unique(y),
        bands_s1=["VV", "VH"],
        bands_s2=["B2", "B3", "B4"],
        dates_s1=np.arange(6).astype(str),
        dates_s2=np.arange(4).astype(str),
    )
    return tmp_path / "tiny.npz"
