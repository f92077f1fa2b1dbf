"""A fitted teacher's targets for each row: from a net or any estimator, out of fold, reused."""

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_memory
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd._common.checks import naming
from sklearn_gkd._common.files import write_whole
from sklearn_gkd._common.hashing import fingerprint
from sklearn_gkd._common.series import View
from sklearn_gkd._common.splitting import groups_of, hold_out
from sklearn_gkd._common.targets import strata
from sklearn_gkd._estimators._base import Rows
from sklearn_gkd._estimators._targets import Quantity, Target
from sklearn_gkd._training.callbacks import check_callbacks
from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd._training.fitting import fit_net
from sklearn_gkd._training.predicting import accepts_missing, outputs
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import set_random_states
from sklearn_gkd._training.resolving import feature_width, with_sources
from sklearn_gkd._training.training import Training
from sklearn_gkd.networks._architectures import MLPEnsemble
from sklearn_gkd.networks._net import SeriesNet, is_alike


class TeacherTargets(NamedTuple):
    """What a fitted teacher tells of each of n rows.

    Attributes
    ----------
    logits : Tensor of shape (n, n_classes)
        In a row of a fold, those of a teacher that has not seen it.
    features : Tensor of shape (n, n_features)
        Always those of the one teacher: the features of nets trained apart share no axes.
    taught : Tensor of shape (n,)
        1.0 where the teacher sees the row; elsewhere 0.0, and so are logits and features.
    """

    logits: Tensor
    features: Tensor
    taught: Tensor


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that a teacher's targets depend on.

    Attributes
    ----------
    teacher : NeuralNet, classifier or regressor
        Not fitted.
    views : list of View
        What the teacher looks at, for n rows.
    labels : ndarray of shape (n,) or (n, k)
        Class codes, or standardised numbers.
    seen : ndarray of bool of shape (n,)
        The rows that have X_priv: a source of it.
    train, valid : ndarray of int
        The teacher's training and validation rows, all of them seen.
    folds : list of (ndarray of int, ndarray of int)
        Pairs of training rows and of the rows whose decisions come from a teacher of these.
    outcome : Classes or Quantity
        What is learnt.
    n_iter_no_change : int or None
        Of a net's training.
    device : torch.device
        Of a net.
    seed : int
        Rules the training.
    sample_weight : ndarray of shape (n,) or None
        Weight of each row; None weighs all alike.
    n_sources : int
        How many of the views, the last ones, are sources: NaN throughout in rows that lack them.
    """

    teacher: Any
    views: list[View]
    labels: np.ndarray
    seen: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]
    outcome: Target
    n_iter_no_change: int | None
    device: torch.device
    seed: int
    sample_weight: np.ndarray | None = None
    n_sources: int = 1

    def fit(self, store: Store, fit_task: Task) -> Any:
        """Return the teacher, fitted on its training rows."""
        return self._fit(self.train, self.seed, store, fit_task)

    def targets(self, teacher: Any, store: Store, fit_task: Task) -> TeacherTargets:
        """Return what the fitted teacher tells of each row."""
        n_rows = len(self.labels)
        rows = np.flatnonzero(self.seen)
        of_rows = self._outputs(teacher, rows)
        logits, features = (values.new_zeros(n_rows, values.shape[1]) for values in of_rows)
        logits[rows], features[rows] = of_rows
        for number, (others, held_out) in enumerate(self.folds, start=1):
            fold_teacher = self._fit(others, self.seed + number, store, fit_task)
            logits[held_out], _ = self._outputs(fold_teacher, held_out)
        return TeacherTargets(logits, features, torch.as_tensor(self.seen).float())

    def on_trial(self, train: np.ndarray) -> "Lesson":
        """Return what a small teacher, or one that is no net, learns from some training rows."""
        teacher = self.teacher
        if isinstance(teacher, NeuralNet):
            teacher = with_sources(trial_net(teacher), self.n_sources)
        return replace(
            self,
            teacher=teacher,
            train=train,
            valid=self.valid[:0],
            folds=[],
        )

    @property
    def sources(self) -> list[View]:
        """The views that rows may lack."""
        return self.views[-self.n_sources :]

    def can_teach(self, train: np.ndarray) -> bool:
        """Return whether each source is known in two or more of these training rows."""
        return all(source.known[train].sum() > 1 for source in self.sources)

    @property
    def came_fitted(self) -> bool:
        """Whether the teacher is no net, and stays as it was fitted before."""
        is_net = isinstance(self.teacher, NeuralNet)
        return not is_net and self.outcome.is_known_to(clone(self.teacher))

    def codes_of(self, teacher: Any) -> np.ndarray | None:
        """Return the class code of each column of a classifier's probabilities; None of others.

        What is fitted here learns codes. A teacher that came fitted, as a FrozenEstimator is, has
        the labels that it was fitted on.
        """
        if isinstance(teacher, NeuralNet) or isinstance(self.outcome, Quantity):
            return None
        return self.outcome.codes_of(teacher.classes_) if self.came_fitted else teacher.classes_

    def key(self) -> str | None:
        """Return a hash of all that is here, of code and versions; None where there is none."""
        content = dict(vars(self), device=self.device.type, teacher=type(self.teacher))
        params = {k: v for k, v in self.teacher.get_params().items() if k != "verbose"}
        return fingerprint(content, params)

    def _fit(self, train: np.ndarray, seed: int, store: Store, fit_task: Task) -> Any:
        if isinstance(self.teacher, NeuralNet):
            training = Training(
                net=self.teacher,
                views=self.views,
                targets=[self.labels],
                train=train,
                valid=self.valid,
                outcome=self.outcome,
                weights=None,
                n_iter_no_change=self.n_iter_no_change,
                device=self.device,
                seed=seed,
                role="teacher",
                sample_weight=self.sample_weight,
            )
            return fit_net(training, store, fit_task)
        teacher = clone(self.teacher)
        set_random_states(teacher, seed)
        task = fit_task.subtask("teacher")
        weights = {} if self.sample_weight is None else {"sample_weight": self.sample_weight[train]}
        y = self.outcome.for_teacher(self.labels[train])
        with naming("teacher"):
            teacher.fit(_side_by_side(self._series(train)), y, **weights)
        task.end()
        return teacher

    def _outputs(self, teacher: Any, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        codes, series = self.codes_of(teacher), self._series(rows)
        return teacher_outputs(teacher, codes, series, self.outcome, self.device)

    def _series(self, rows: np.ndarray) -> list[np.ndarray]:
        return [view.series[rows] for view in self.views]


N_MEMBERS = 2  # of a trial's nets: a quarter of the default's, and so of its time


def trial_net(net: NeuralNet) -> NeuralNet:
    """Return a small net, to be trained as long as another, and at its rate if by its optimizer."""
    small = SeriesNet(
        MLPEnsemble,
        module__n_members=N_MEMBERS,
        lr=None,
        max_epochs=net.max_epochs,
        batch_size=net.batch_size,
    )
    return small.set_params(lr=net.lr) if is_alike(net.optimizer, small.optimizer) else small


def teacher_rows(
    rows: Rows, seen: np.ndarray, fraction: float, groups: Any, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a teacher's training and validation rows: those that it sees.

    Where it sees no validation row, a fraction of its training rows validates it, unless no class
    has a row to spare, or there are but two.
    """
    labels = rows.labels
    train, valid = rows.train[seen[rows.train]], rows.valid[seen[rows.valid]]
    too_few = len(train) < 3 or np.bincount(strata(labels[train])).max() < 2
    if len(valid) or fraction == 0 or too_few:
        return train, valid
    groups = groups_of(groups, train)
    kept, held_out = hold_out(labels[train], fraction, groups=groups, random_state=seed)
    return train[kept], train[held_out]


def check_teacher(beta: float, lesson: Lesson, student_width: int) -> None:
    """Raise a ValueError where a teacher that came fitted, or its features, cannot teach.

    A teacher's net is built once.
    """
    width, teacher = 0, lesson.teacher
    check_lacking(teacher, lesson.sources, lesson.seen)
    trained_on = [lesson.train, *(train for train, _ in lesson.folds)]
    if not all(map(lesson.can_teach, trained_on)):
        raise ValueError(
            "A teacher, of teacher_cv or after validation rows were held out, would train on less "
            "than two rows that have one of the priv_sources. Give it in more rows, or leave out "
            "the source, teacher_cv or validation_fraction."
        )
    if isinstance(teacher, NeuralNet):
        shapes = [view.shape for view in lesson.views]
        width = feature_width(teacher, "teacher", shapes, lesson.outcome.n_outputs)
        check_callbacks(teacher, "teacher", len(lesson.valid))
    elif lesson.came_fitted:
        lesson.codes_of(teacher)
    if beta == 0:
        return
    for role, role_width in [("teacher", width), ("student", student_width)]:
        if role_width == 0:
            raise ValueError(
                f"beta={beta} compares features, but the {role} has none. Set beta=0, or give a "
                "network that returns (logits, features)."
            )
    if width != student_width:
        raise ValueError(
            f"beta={beta} compares the teacher's {width} features with the student's "
            f"{student_width}. Make the widths equal, or set beta=0."
        )


def check_lacking(teacher: Any, sources: Sequence[View], seen: np.ndarray) -> None:
    """Raise a ValueError where rows that have X_priv lack a source, which the teacher cannot do."""
    n_lacking = np.sum(seen & ~np.all([source.known for source in sources], axis=0))
    if n_lacking == 0:
        return
    if isinstance(teacher, NeuralNet):
        network = teacher.get_params_for("module").get("network", teacher.module)
        can = accepts_missing(network)
        remedy = "declare forward(*views, present) in its network"
    else:
        can = get_tags(teacher).input_tags.allow_nan
        remedy = "give one that takes NaN, as make_pipeline(SimpleImputer(), teacher) does"
    if not can:
        raise ValueError(
            f"{n_lacking} rows of X_priv lack some of the priv_sources, and the teacher takes no "
            f"such rows. Use a network of this package, or {remedy}; or set these rows to NaN "
            "throughout."
        )


def teacher_outputs(
    teacher: Any,
    codes: np.ndarray | None,
    series: Sequence[np.ndarray],
    outcome: Target,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return a fitted teacher's logits and features (of width 0 where it has none).

    The columns of a classifier's probabilities have these class codes.
    """
    if isinstance(teacher, NeuralNet):
        batches = [(z.cpu(), f.cpu()) for z, f in outputs(teacher, series, device)]
        logits, features = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
        if not (logits.isfinite().all() and features.isfinite().all()):
            raise ValueError(
                "The teacher's outputs overflow: X_priv or X holds values so far from its others "
                "that a network cannot take both. Replace what stands for missing."
            )
        return logits.clone(), features.clone()
    logits = outcome.told_by(teacher, _side_by_side(series), codes)
    n_unknown = int((~logits.isfinite()).any(dim=1).sum())
    if n_unknown:
        raise ValueError(
            f"The teacher predicts NaN or infinity in {n_unknown} of {len(logits)} rows. Give one "
            "that predicts finite numbers."
        )
    return logits, logits.new_zeros(len(logits), 0)


def teach(lesson: Lesson, memory: Any, store: Store, fit_task: Task) -> tuple[TeacherTargets, Any]:
    """Return a teacher's targets, and the teacher where it had to be fitted for them.

    With a memory, targets are stored as arrays in a file named by the lesson's key. Of several
    processes that need the same targets, one fits the teacher and the others wait and read. A
    file that is damaged, or of another lesson, is written anew. Those of a teacher whose training a
    callback ended are not kept.

    Parameters
    ----------
    lesson : Lesson
        What is taught.
    memory : None, str, path-like or joblib.Memory
        Where targets are kept, as in `sklearn.pipeline.Pipeline`.
    store : Store
        Where the states of the teacher's trainings lie.
    fit_task : Task
        The fit that the teacher is needed for.

    Returns
    -------
    targets : TeacherTargets
    teacher : fitted teacher or None
        None where the targets come from the memory.
    """
    memory = os.fspath(memory) if isinstance(memory, os.PathLike) else memory
    location = check_memory(memory).location
    key = lesson.key() if location else None
    if key is None:
        teacher = lesson.fit(store, fit_task)
        return lesson.targets(teacher, store, fit_task), teacher
    path = Path(location) / "sklearn_gkd" / f"{key}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        targets = _read(path, key, (len(lesson.labels), lesson.outcome.n_outputs))
        if targets is not None:
            return targets, None
        teacher = lesson.fit(store, fit_task)
        targets = lesson.targets(teacher, store, fit_task)
        if not fit_task.cut_short:
            _write(path, key, targets)
    return targets, teacher


def _read(path: Path, key: str, shape: tuple[int, int]) -> TeacherTargets | None:
    """Return the targets of a file, or None where it cannot be trusted to hold them."""
    try:
        # np.load leaves a file of its own open where it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            same_key = str(stored["key"]) == key
            arrays = [stored[name] for name in ("logits", "features", "taught")]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    logits, features, taught = arrays
    shapes_fit = (logits.shape, len(features), taught.shape) == (shape, shape[0], shape[:1])
    if not same_key or not shapes_fit or any(array.dtype != np.float32 for array in arrays):
        return None
    return TeacherTargets(*map(torch.tensor, arrays))


def _write(path: Path, key: str, targets: TeacherTargets) -> None:
    buffer = io.BytesIO()
    logits, features, taught = (tensor.numpy() for tensor in targets)
    np.savez(buffer, key=np.array(key), logits=logits, features=features, taught=taught)
    write_whole(path, buffer.getvalue())


def _side_by_side(series: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([values.reshape(len(values), -1) for values in series], axis=1)
