"""The store of a search: the first candidate that is fitted trains those of its cohort too."""

import os
from collections.abc import Sequence

from filelock import FileLock

from sklearn_gkd._training.budget import suited_lr
from sklearn_gkd._training.checkpoints import Checkpoint, CheckpointFolder, Store
from sklearn_gkd._training.cohort import can_join, layer_sizes, train_cohort
from sklearn_gkd._training.training import Setting, Training

# What gains, measured on CPUs of 1 to 4 threads; of more, each net by itself is as fast.
LARGEST = 2**18  # weights of a candidate's layer
WIDEST = 8192  # units side by side


class Candidates(Store):
    """Trains candidates as cohorts, and keeps the states in which their trainings end.

    Parameters
    ----------
    folder : path-like
        Where the states are kept.
    groups : sequence of sequences of Setting
        What can be trained side by side, grouped by all other parameters.
    """

    def __init__(self, folder: str | os.PathLike[str], groups: Sequence[Sequence[Setting]]):
        self.states = CheckpointFolder(folder)
        self.groups = groups

    def checkpoint(self, training: Training) -> Checkpoint | None:
        """Return where the state of a training is, once its cohort, if any, is trained."""
        if training.net.callbacks:
            return None
        own = self.states.file_of(training, training.setting)
        if own and self.groups and can_join(training) and not own.path.exists():
            self._train_cohort_of(training)
        return own

    def cohort_of(self, own: Setting, n_units: int, lr: float) -> list[Setting]:
        """Return the settings of one's cohort, of nets whose layers have n_units.

        They are those of every group that it is in, with this learning rate where they leave it
        open. Those without the same terms in their loss are apart: a layer that no term reaches
        does not learn, and its weights do not decay.
        """
        groups = [{_with_lr(setting, lr) for setting in group} for group in self.groups]
        mine = [group for group in groups if own in group]
        if not mine:
            return []
        settings = sorted(s for s in set.intersection(*mine) if _terms(s) == _terms(own))
        n_cohorts = -(-len(settings) * n_units // WIDEST)
        return settings[settings.index(own) % n_cohorts :: n_cohorts]

    def _train_cohort_of(self, training: Training) -> None:
        """Train a candidate's cohort, unless it is small, or another process has."""
        n_units, n_weights = layer_sizes(training)
        lr = suited_lr(training.net, len(training.train))
        settings = self.cohort_of(training.setting, n_units, lr)
        if len(settings) < 2 or n_weights > LARGEST:
            return
        done = self.states.folder / f"{training.key(settings)}.trained"
        with FileLock(done.with_suffix(".lock")):
            if done.exists():
                return
            for setting, state in zip(settings, train_cohort(training, settings), strict=True):
                file = self.states.file_of(training, setting)
                if state and file:
                    file.write(state)
            done.touch()


def _with_lr(setting: Setting, lr: float) -> Setting:
    return setting._replace(lr=lr) if setting.lr is None else setting


def _terms(setting: Setting) -> tuple[bool, bool]:
    """Return whether the loss compares decisions, and whether it compares features."""
    weights = setting.weights
    return weights.uses_labels or weights.uses_decisions, weights.uses_features
