"""Stores of the states of trainings, from which a training that was killed goes on."""

import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.files import write_whole
from sklearn_gkd._training.training import Setting, Training

LARGEST_SHARE = 0.1


class Checkpoint:
    """The file of one training's state.

    Writing takes at most a tenth of the time: the next epoch that is written is as far away.

    Parameters
    ----------
    path : Path
        Its folder is made if it is not there.
    """

    def __init__(self, path: Path):
        self.path = path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.due = 0.0

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written last; None where there is none, or a damaged one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() == digest:
            return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        warn(f"{self.path} was truncated or altered, and is not used: the training starts anew.")
        return None

    def write(self, state: dict[str, Any]) -> None:
        """Write a state in place of the one before, which stays if this fails."""
        start = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        write_whole(self.path, hashlib.sha256(data).digest() + data)
        end = time.monotonic()
        self.due = end + (end - start) * (1 / LARGEST_SHARE - 1)

    def write_when_due(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write what a function returns, if the last one was written long enough ago."""
        if time.monotonic() >= self.due:
            self.write(state())


class Store:
    """Where the states of trainings lie. This one keeps none."""

    def checkpoint(self, training: Training) -> Checkpoint | None:
        """Return where the state of a training is read and written; None where it is not kept."""
        return None


class CheckpointFolder(Store):
    """A folder with a file for each training, named by all that the training depends on.

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    def checkpoint(self, training: Training) -> Checkpoint | None:
        """Return the file of a training."""
        found = self.file_of(training, training.setting)
        if found is None:
            warn(
                f"checkpoint: the {training.role} has parameters that cannot be hashed, so that "
                "its training cannot be told from another. It is trained without a checkpoint."
            )
        return found

    def file_of(self, training: Training, setting: Setting) -> Checkpoint | None:
        """Return the file of the training that has this setting; None where it cannot be named."""
        key = training.key(setting)
        return Checkpoint(self.folder / f"{training.role}-{key}.checkpoint") if key else None


def training_state(net: NeuralNet, best: Any) -> dict[str, Any]:
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


def restore(net: NeuralNet, best: Any, state: dict[str, Any]) -> None:
    """Bring a net, initialized, to the end of an epoch of a training like its own."""
    net.module_.load_state_dict(state["module"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.history.extend(state["history"])
    torch.set_rng_state(state["random"])
    if best is not None:
        vars(best).update(state["best"])
    if "random_cuda" in state:
        torch.cuda.set_rng_state(state["random_cuda"])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return numpy's scalars as Python's, which alone are read back without pickle."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
