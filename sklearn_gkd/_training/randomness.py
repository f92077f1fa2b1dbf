"""Seeds, and random generators that a training has to itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state


def draw_seeds(random_state: Any, n_seeds: int) -> list[int]:
    """Draw seeds from what scikit-learn calls a random_state."""
    return check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_seeds).tolist()


def set_random_states(estimator: Any, seed: int) -> None:
    """Seed what has no random_state of its own, in an estimator and all that it holds."""
    params = estimator.get_params()
    names = [name for name in params if name.split("__")[-1] == "random_state"]
    estimator.set_params(**{name: seed for name in names if params[name] is None})


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from generators seeded here, and leave torch's global ones as they were.

    The generators are global to the process, so threads take turns.
    """
    on_gpu = device.type == "cuda"
    with _one_training_at_a_time, torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if not on_gpu:
            yield
            return
        cudnn = torch.backends.cudnn
        before = cudnn.deterministic, cudnn.benchmark
        cudnn.deterministic, cudnn.benchmark = True, False
        try:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
            yield
        finally:
            cudnn.deterministic, cudnn.benchmark = before


_one_training_at_a_time = threading.RLock()
