"""Base of the estimators that a teacher teaches: what the teacher sees, and what it is to learn."""

import os
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd._common.checks import fresh_fit, warn
from sklearn_gkd._common.compat import HasMethods, Interval, StrOptions, fit_context, num_samples
from sklearn_gkd._common.fitted_state import Attribute, Net, Part, Sizes
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.splitting import numbers_rows, partition
from sklearn_gkd._estimators._base import NetEstimator, Rows
from sklearn_gkd._estimators._privileged import FIT_REQUEST, Pair, check_pairs
from sklearn_gkd._estimators._privileged_parameters import PrivilegedParameters
from sklearn_gkd._estimators._sources import Privileged, PrivilegedReader
from sklearn_gkd._estimators._targets import Target
from sklearn_gkd._estimators._teacher import (
    Lesson,
    TeacherTargets,
    check_lacking,
    check_teacher,
    teach,
    teacher_outputs,
    teacher_rows,
    trial_net,
)
from sklearn_gkd._estimators._trial import Distillation, try_distillation
from sklearn_gkd._estimators._weights import check_takes_sample_weight, leave_out_weightless
from sklearn_gkd._training.callbacks import check_callbacks
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import feature_width, resolve_device, with_sources
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.exceptions import PrivilegedInformationWarning
from sklearn_gkd.losses import LossWeights


class TaughtEstimator(NetEstimator, PrivilegedParameters):
    """Base of the estimators whose student learns from a teacher."""

    _predicts_with = "student_"
    _networks = ("teacher", "student")

    __metadata_request__fit: ClassVar[dict[str, bool]] = FIT_REQUEST

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "student": [str, NeuralNet, callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "teacher_view": [StrOptions({"both", "privileged"})],
        "teacher_cv": ["cv_object"],
        "distillation": [StrOptions({"auto", "always"})],
        "priv_transformer": [HasMethods(["fit", "transform"]), None],
        "n_channels_priv": NetEstimator._parameter_constraints["n_channels"],
        "priv_sources": [list, None],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
    }

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(
        self,
        X: Any,
        y: Any,
        X_priv: Any = None,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        X_unlabeled: Any = None,
        X_priv_unlabeled: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        X_priv_val: Any = None,
    ) -> Self:
        """Train the teacher on X and X_priv, then the student on X, the labels and the teacher.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series that prediction will have too.
        y : array-like of shape (n,), or (n, k) of a regressor
            Class of each row, or its number or numbers.
        X_priv : array-like of shape (n, T', C') or (n, T' * C'), default=None
            Privileged information: row i belongs to row i of X. A row that is NaN throughout has
            none, and teaches the student by its label alone. Without X_priv the student learns
            from the labels alone, and where beta or gamma is positive a
            `PrivilegedInformationWarning` says so. Where two arguments are pandas objects, the
            labels of their rows must agree. A step of a Pipeline that drops or adds rows, as
            imbalanced-learn's samplers do, does so with X and y alone: draw the rows of both
            before, ``rows, y = sampler.fit_resample(np.arange(len(y))[:, None], y)`` and fit on
            ``X[rows.ravel()], y, X_priv=X_priv[rows.ravel()]``.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in every term of both nets' losses, beside a classifier's
            `class_weight`, and in their validation score; only ratios matter. A row of weight 0 is
            left out before all else: errors that number rows count without it. Scaling weighs the
            others alike. Rows of X_val and X_unlabeled weigh 1, as the mean training row does. A
            teacher that is not a network is fitted with these weights too, and must take them.
        groups : array-like of shape (n,), default=None
            No group has rows on both sides of the split into training and validation rows, nor of
            those of an int teacher_cv.
        X_unlabeled, X_priv_unlabeled : array-like, default=None
            Pairs without a label, m rows each, which teach the student by the teacher's targets
            alone. A search passes them on whole, unless m happens to be n: then scikit-learn
            slices them as it does X, and what it leaves out is lost.
        X_val, y_val, X_priv_val : array-like, default=None
            Validation rows, instead of those that `validation_fraction` holds out. Without
            X_priv_val, the teacher still holds out its own. A Pipeline transforms X_val and
            X_unlabeled as it does X with metadata routing and
            ``transform_input=["X_val", "X_unlabeled"]``; otherwise they arrive as they are.

        Returns
        -------
        self
            Itself, fitted.

        Raises
        ------
        ValueError
            Where an argument is not as described; the message says which, what came and what to
            do. The estimator is then as it was before.
        """
        if self.alpha == self.beta == self.gamma == 0:
            raise ValueError(
                "alpha, beta and gamma are 0: there is nothing to learn. Set one of them above 0."
            )
        one_of_each = self.teacher_cv is None and X_unlabeled is None
        task = Task.of_fit(self, X, y, 2 if one_of_each else None)
        with fresh_fit(self):
            check_rows(X=X, y=y, X_priv=X_priv, sample_weight=sample_weight, groups=groups)
            check_rows(X_val=X_val, y_val=y_val, X_priv_val=X_priv_val)
            split_seed, teacher_seed, student_seed = self._draw_seeds(3)
            weights, (X, y, X_priv, groups) = self._leave_out_weightless(
                sample_weight, X, y=y, X_priv=X_priv, groups=groups
            )
            rows, target = self._check_rows(X, y, weights, X_val, y_val, groups, split_seed)
            self._warn_of_unused(len(rows.valid))
            student = self._net("student")
            width = feature_width(student, "student", [rows.view.shape], target.n_outputs)
            check_callbacks(student, "student", len(rows.valid))
            pairs = (
                Pair("X", X, "X_priv", X_priv),
                Pair("X_val", X_val, "X_priv_val", X_priv_val),
                Pair("X_unlabeled", X_unlabeled, "X_priv_unlabeled", X_priv_unlabeled, False),
            )
            check_pairs(*pairs)
            taught: dict[str, Any] = {}
            if X_priv is None:
                self._warn_of_plain_student()
            else:
                if X_unlabeled is not None:
                    rows = rows.with_unlabeled(self._check_series(X_unlabeled, "X_unlabeled"))
                asks_of_unseen = self.teacher_cv is not None or (
                    X_unlabeled is not None and self.distillation == "auto"
                )
                privileged = self._read_privileged(
                    pairs,
                    None if asks_of_unseen else target.as_given(rows.labels),
                    rows.train,
                    split_seed,
                )
                if self.beta > 0 or self.gamma > 0:
                    lesson = self._lesson(
                        rows, privileged, target, groups, split_seed, teacher_seed
                    )
                    check_teacher(self.beta, lesson, width)
                    targets, teacher = teach(lesson, self.memory, self._states(), task)
                    if teacher is not None:
                        self.teacher_ = teacher
                        self._teacher_codes_ = lesson.codes_of(teacher)
                    loss_weights = self._loss_weights()
                    self.distillation_ = self._try_distillation(
                        lesson, rows, student, loss_weights, groups, task
                    )
                    if self.distillation_.used:
                        rows = rows.with_taught(privileged.seen)
                        taught = {"taught": targets, "weights": loss_weights}
            self.student_ = self._fit_net(student, rows, target, student_seed, task, **taught)
        task.end({})
        return self

    def _loss_weights(self) -> LossWeights:
        return LossWeights(float(self.alpha), float(self.beta), float(self.gamma))

    def _told_by_teacher(self, X: Any, X_priv: Any) -> Tensor:
        """Return the logits of the teacher, which sees X_priv too."""
        check_is_fitted(
            self,
            "teacher_",
            msg="This %(name)s has no teacher_: it was not fitted, or without X_priv, or with "
            "beta=0 and gamma=0, or its targets came from memory, or it was saved without it. Fit "
            "it with memory=None, or save it with teacher=True.",
        )
        series = self._check_series(X)
        check_pairs(Pair("X", X, "X_priv", X_priv))
        sources, seen = self.priv_reader_.read(X_priv, "X_priv")
        if not seen.all():
            raise ValueError(
                f"X_priv is NaN throughout in {np.sum(~seen)} of its {len(seen)} rows, of which "
                "the teacher can tell nothing. Leave these rows out."
            )
        check_lacking(self.teacher_, sources, seen)
        views = self._seen_by_teacher(series, [view.series for view in sources])
        device = resolve_device(self.device)
        codes = getattr(self, "_teacher_codes_", None)
        logits, _ = teacher_outputs(self.teacher_, codes, views, self._target, device)
        return logits

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            **super()._fitted_state(),
            "priv_shape_": Sizes(("T_priv", "C_priv"), optional=True),
            "priv_reader_": Part(PrivilegedReader, of_teacher=True),
            "teacher_": Net(self._seen_by_teacher(("T", "C"), ["priv"]), "K", of_teacher=True),
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
        self, sample_weight: Any, X: Any, **others: Any
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
        """Return whether it pays to distil, and warn where it does not."""
        if self.distillation == "always" or lesson.came_fitted:
            return Distillation(True)
        fit = partial(
            self._fit_net,
            trial_net(student),
            outcome=lesson.outcome,
            seed=lesson.seed,
            task=task,
            role="trial",
        )

        def targets_of(small: Lesson) -> TeacherTargets:
            return teach(small, self.memory, self._states(), task)[0]

        found = try_distillation(lesson, rows, weights, groups, fit, targets_of)
        if not found.used:
            warn(
                "X_priv does not help here: on labelled rows that were held out, students that "
                f"distil have a {lesson.outcome.held_out_loss} of {found.loss_distilled:.3f}, and "
                f"the same nets alone {found.loss_alone:.3f}. So the student learns from the "
                "labels alone. Give more labels or another teacher, or set "
                'distillation="always" to distil all the same.',
                PrivilegedInformationWarning,
            )
        return found

    def _seen_by_teacher(self, x: Any, sources: list[Any]) -> list[Any]:
        return sources if self.teacher_view == "privileged" else [x, *sources]

    def _warn_of_plain_student(self) -> None:
        if self.beta > 0 or self.gamma > 0:
            warn(
                f"X_priv was not given, so beta={self.beta} and gamma={self.gamma} have nothing "
                "to distil: the student learns from the labels alone. Pass X_priv to fit, or set "
                "beta=0 and gamma=0.",
                PrivilegedInformationWarning,
            )

    def _read_privileged(
        self, pairs: tuple[Pair, ...], labels: np.ndarray | None, train: np.ndarray, seed: int
    ) -> Privileged:
        """Return the privileged information of all rows; sets what reads more of it."""
        reader = self._privileged_reader(pairs[0].X_priv, labels, train, seed)
        privileged = reader.read_pairs(*pairs)
        self.priv_reader_ = reader
        if self.priv_sources is None:
            [source] = reader.sources
            self.priv_shape_ = source.shape
        return privileged

    def _teacher(self) -> Any:
        """Return the unfitted teacher: a skorch net, a classifier or a regressor."""
        is_network = isinstance(self.teacher, (type, NeuralNet)) or not hasattr(
            self.teacher, self._teaches_by
        )
        if is_network:
            return self._net("teacher")
        self._check_kind(self.teacher, "teacher")
        return self.teacher

    def _lesson(
        self,
        rows: Rows,
        privileged: Privileged,
        target: Target,
        groups: Any,
        split_seed: int,
        seed: int,
    ) -> Lesson:
        """Return what the teacher is to learn, and from which rows."""
        sources, seen = privileged
        teacher = self._teacher()
        if isinstance(teacher, NeuralNet):
            teacher = with_sources(teacher, len(sources))
        if rows.sample_weight is not None and not isinstance(teacher, NeuralNet):
            check_takes_sample_weight(teacher, "teacher")
        train, valid = teacher_rows(rows, seen, self.validation_fraction, groups, split_seed)
        return Lesson(
            teacher=teacher,
            views=self._seen_by_teacher(rows.view, sources),
            n_sources=len(sources),
            labels=rows.labels,
            seen=seen,
            train=train,
            valid=valid,
            folds=partition(self.teacher_cv, rows.labels, train, groups, split_seed, "teacher_cv"),
            outcome=target,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=seed,
            sample_weight=rows.sample_weight,
        )
