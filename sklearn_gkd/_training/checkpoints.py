"""The state of a training in a file, from which a training that was killed goes on."""

import hashlib
import io
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet

from sklearn_gkd._common.files import fingerprint, write_whole

LARGEST_SHARE = 0.1


class Checkpoint:
    """The file of one training, named by all that the training depends on.

    Writing takes at most a tenth of the time: the next epoch that is written is as far away.

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there.
    role : str
        Of the net: the first word of the file's name.
    depends_on : list
        What the training depends on, besides versions and the number of threads.
    """

    def __init__(self, folder: str | os.PathLike, role: str, depends_on: list):
        key = fingerprint(role, torch.get_num_threads(), depends_on)
        self.path = Path(folder) / f"{role}-{key}.checkpoint"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.due = 0.0

    def read(self) -> dict | None:
        """Return the state that was written last; None where there is none, or a damaged one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() == digest:
            return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        warnings.warn(
            f"{self.path} was truncated or altered, and is not used: the training starts anew.",
            UserWarning,
            stacklevel=2,
        )
        return None

    def write(self, state: dict) -> None:
        """Write a state in place of the one before, which stays if this fails."""
        start = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        write_whole(self.path, hashlib.sha256(data).digest() + data)
        end = time.monotonic()
        self.due = end + (end - start) * (1 / LARGEST_SHARE - 1)

    def write_when_due(self, state: Callable[[], dict]) -> None:
        """Write what a function returns, if the last one was written long enough ago."""
        if time.monotonic() >= self.due:
            self.write(state())


def training_state(net: NeuralNet, best: Any) -> dict:
    """Return what a training depends on at the end of an epoch."""
    state = {
        "module": net.module_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "history": [_plain(epoch) for epoch in net.history],
        "random": torch.get_rng_state(),
    }
    if best is not None:
        state["best"] = _plain({k: v for k, v in vars(best).items() if k.endswith("_")})
    if torch.device(net.device).type == "cuda":
        state["random_cuda"] = torch.cuda.get_rng_state()
    return state


def restore(net: NeuralNet, best: Any, state: dict) -> None:
    """Bring a net, initialized, to the end of an epoch of a training like its own."""
    net.module_.load_state_dict(state["module"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.history.extend(state["history"])
    torch.set_rng_state(state["random"])
    if best is not None:
        vars(best).update(state["best"])
    if "random_cuda" in state:
        torch.cuda.set_rng_state(state["random_cuda"])


def _plain(values: dict) -> dict:
    """Return numpy's scalars as Python's, which alone are read back without pickle."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
