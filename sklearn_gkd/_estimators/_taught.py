"""Base of the estimators that a teacher teaches: what the teacher sees, and what it is to learn."""

import os
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from skorch import NeuralNet

from sklearn_gkd._common.checks import warn
from sklearn_gkd._common.compat import HasMethods, Interval, StrOptions, num_samples
from sklearn_gkd._common.fitted_state import Net, Part, Sizes
from sklearn_gkd._common.splitting import folds, numbers_rows
from sklearn_gkd._estimators._base import NetEstimator, Rows
from sklearn_gkd._estimators._privileged import FIT_REQUEST, Pair, Privileged, PrivilegedReader
from sklearn_gkd._estimators._targets import Classes
from sklearn_gkd._estimators._teacher import Lesson, teach, teacher_rows
from sklearn_gkd._estimators._trial import (
    Distillation,
    is_clearly_less,
    trial_folds,
    trial_net,
    trial_pairs,
)
from sklearn_gkd._estimators._weights import check_takes_sample_weight, leave_out_weightless
from sklearn_gkd._training.predicting import outputs
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import resolve_device
from sklearn_gkd.exceptions import PrivilegedInformationWarning
from sklearn_gkd.losses import LossWeights


class TaughtEstimator(NetEstimator):
    """Base of the estimators whose student learns from a teacher."""

    _predicts_with = "student_"
    _networks = ("teacher", "student")

    __metadata_request__fit: ClassVar[dict[str, bool]] = FIT_REQUEST

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetEstimator._parameter_constraints,
        "student": [str, NeuralNet, callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "teacher_view": [StrOptions({"both", "privileged"})],
        "teacher_cv": ["cv_object"],
        "distillation": [StrOptions({"auto", "always"})],
        "priv_transformer": [HasMethods(["fit", "transform"]), None],
        "n_channels_priv": NetEstimator._parameter_constraints["n_channels"],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
    }

    @property
    def priv_transformer_(self):
        """The fitted clone of priv_transformer."""
        return self.priv_reader_.transformer

    def _fitted_state(self):
        seen_by_teacher = self._seen_by_teacher(("T", "C"), ("T_priv", "C_priv"))
        return {
            **super()._fitted_state(),
            "priv_shape_": Sizes(("T_priv", "C_priv"), optional=True),
            "teacher_": Net(seen_by_teacher, "K", of_teacher=True),
            "priv_reader_": Part(PrivilegedReader, of_teacher=True),
        }

    def _draw_seeds(self, n_seeds: int) -> list[int]:
        """Draw the seeds of the split, the teacher and the student.

        With a memory, random_state=None is a part of the key like any other, so that the teacher
        and the split that it is trained on are always the same.
        """
        seeds = super()._draw_seeds(n_seeds)
        if self.memory is not None and self.random_state is None:
            seeds[:2] = draw_seeds(0, 2)
        return seeds

    def _leave_out_weightless(
        self, sample_weight, X, **others
    ) -> tuple[np.ndarray | None, list[Any]]:
        """Return what `leave_out_weightless` does, unless teacher_cv numbers the rows."""
        weights, kept = leave_out_weightless(sample_weight, X, **others)
        some_left_out = weights is not None and len(weights) < num_samples(X)
        if some_left_out and numbers_rows(self.teacher_cv):
            raise ValueError(
                "teacher_cv numbers the rows of X, of which those of sample_weight 0 are left out. "
                "Leave them out of X, y and the rest yourself, or give an int or a splitter as "
                "teacher_cv."
            )
        return weights, kept

    def _try_distillation(
        self,
        lesson: Lesson,
        rows: Rows,
        student: NeuralNet,
        weights: LossWeights,
        groups: Any,
        task: Task,
    ) -> Distillation:
        """Return whether it pays to distil, by small nets that are tested on held-out rows.

        It is only asked where there are pairs without a label, to whom a poor teacher's word is
        the only lesson, and a teacher that did not come fitted. Where the teacher is clearly
        better than a student alone, it pays. Elsewhere students that distil are tried: after a
        teacher that leads they must not be clearly worse, after another they must be better.
        """
        if self.distillation == "always" or lesson.came_fitted:
            return Distillation(True)
        pairs = trial_pairs(rows, lesson.seen, lesson.seed)
        splits = trial_folds(rows, lesson.seen, groups, lesson.seed) if pairs.any() else []
        if not splits:
            return Distillation(True)
        fit = partial(
            self._fit_net,
            trial_net(student),
            outcome=lesson.outcome,
            seed=lesson.seed,
            task=task,
            role="trial",
        )
        tested = np.concatenate([held_out for _, held_out in splits])
        losses = partial(
            lesson.outcome.held_out_losses,
            codes=rows.codes[tested],
            sample_weight=None if rows.sample_weight is None else rows.sample_weight[tested],
        )
        own = [rows._replace(train=kept, valid=rows.valid[:0]) for kept, _ in splits]
        targets = [
            teach(lesson.on_trial(kept), self.memory, self._states(), task)[0] for kept, _ in splits
        ]

        def of_students(nets: list[NeuralNet]) -> np.ndarray:
            views = [[rows.view.series[held_out]] for _, held_out in splits]
            return losses(
                torch.cat(
                    [
                        logits.cpu()
                        for net, view in zip(nets, views, strict=True)
                        for logits, _ in outputs(net, view, lesson.device)
                    ]
                )
            )

        by_teacher = losses(
            torch.cat(
                [told.logits[held_out] for told, (_, held_out) in zip(targets, splits, strict=True)]
            )
        )
        alone = of_students([fit(labelled) for labelled in own])
        if is_clearly_less(by_teacher, alone):
            return Distillation(True, float(alone.mean()), float(by_teacher.mean()))
        distilled = of_students(
            [
                fit(labelled.with_taught(pairs), taught=told, weights=weights)
                for labelled, told in zip(own, targets, strict=True)
            ]
        )
        means = [float(of_rows.mean()) for of_rows in (alone, by_teacher, distilled)]
        leads = means[1] < means[0]
        used = not is_clearly_less(alone, distilled) if leads else means[2] < means[0]
        found = Distillation(used, *means)
        if not found.used:
            warn(
                "X_priv does not help here: on labelled rows that were held out, students that "
                f"distil have a log loss of {found.loss_distilled:.3f}, and the same nets alone "
                f"{found.loss_alone:.3f}. So the student learns from the labels alone. Give more "
                'labels or another teacher, or set distillation="always" to distil all the same.',
                PrivilegedInformationWarning,
            )
        return found

    def _seen_by_teacher(self, x, priv) -> list:
        return [priv] if self.teacher_view == "privileged" else [x, priv]

    def _warn_of_plain_student(self) -> None:
        if self.beta > 0 or self.gamma > 0:
            warn(
                f"X_priv was not given, so beta={self.beta} and gamma={self.gamma} have nothing "
                "to distil: the student learns from the labels alone. Pass X_priv to fit, or set "
                "beta=0 and gamma=0.",
                PrivilegedInformationWarning,
            )

    def _read_privileged(
        self, pairs: tuple[Pair, ...], labels: np.ndarray, train: np.ndarray
    ) -> Privileged:
        """Return the privileged information of all rows; sets what reads more of it."""
        reader = PrivilegedReader(self.priv_transformer, self.n_channels_priv)
        reader.fit(pairs[0].X_priv, labels, train)
        privileged = reader.read_pairs(*pairs)
        self.priv_reader_ = reader
        self.priv_shape_ = reader.shape
        return privileged

    def _teacher(self) -> Any:
        """Return the unfitted teacher: a skorch net or a classifier."""
        is_network = isinstance(self.teacher, (type, NeuralNet)) or not hasattr(
            self.teacher, "predict_proba"
        )
        return self._net("teacher") if is_network else self.teacher

    def _lesson(
        self, rows: Rows, privileged: Privileged, classes: Classes, groups, split_seed, seed
    ) -> Lesson:
        """Return what the teacher is to learn, and from which rows."""
        view, seen = privileged
        teacher = self._teacher()
        if rows.sample_weight is not None and not isinstance(teacher, NeuralNet):
            check_takes_sample_weight(teacher, "teacher")
        train, valid = teacher_rows(rows, seen, self.validation_fraction, groups, split_seed)
        return Lesson(
            teacher=teacher,
            views=self._seen_by_teacher(rows.view, view),
            codes=rows.codes,
            seen=seen,
            train=train,
            valid=valid,
            folds=folds(self.teacher_cv, rows.codes, train, groups, split_seed, "teacher_cv"),
            outcome=classes,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=seed,
            sample_weight=rows.sample_weight,
        )
