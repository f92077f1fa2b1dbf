"""Bases of the estimators: what they share of parameters, checks, training and prediction."""

import os
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd._common.checks import check_finite, naming
from sklearn_gkd._common.compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    check_y,
    clone_parametrized,
)
from sklearn_gkd._common.series import View, as_table, series_shape
from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._estimators._targets import Classes
from sklearn_gkd._estimators._weights import normalized
from sklearn_gkd._training.checkpoints import CheckpointFolder, Store
from sklearn_gkd._training.fitting import fit_net
from sklearn_gkd._training.predicting import outputs
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import resolve_device, resolve_net
from sklearn_gkd._training.training import Outcome, Training
from sklearn_gkd.losses import LossWeights


class Rows(NamedTuple):
    """Checked rows: what is seen of each, its label, and what it is for.

    Attributes
    ----------
    view : View
        X, X_val and X_unlabeled, one after the other.
    codes : ndarray of int of shape (n,)
        Class codes; -1 where there is no label.
    train, valid : ndarray of int
        Training and validation rows.
    sample_weight : ndarray of shape (n,) or None
        Weight of each row: 1 on average over the labelled training rows, and 1 in those without a
        label and in X_val. None weighs all alike.
    """

    view: View
    codes: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    sample_weight: np.ndarray | None = None

    def with_unlabeled(self, series: np.ndarray) -> "Rows":
        """Return these rows and, after them, rows without a label, which are for nothing yet."""
        codes = np.append(self.codes, np.full(len(series), -1))
        weights = self.sample_weight
        if weights is not None:
            weights = np.append(weights, np.ones(len(series), weights.dtype))
        view = self.view.followed_by(series)
        return self._replace(view=view, codes=codes, sample_weight=weights)

    def with_taught(self, seen: np.ndarray) -> "Rows":
        """Return these rows, to train also on those without a label that a teacher has seen."""
        return self._replace(train=np.append(self.train, np.flatnonzero(seen & (self.codes < 0))))


class NetEstimator(CallbackSupportMixin, BaseEstimator):
    """Base of the estimators that predict from one view by one fitted net.

    A subclass names the attribute that holds the net, and `fit` sets it.
    """

    _predicts_with: ClassVar[str]
    _store: Store | None = None  # a search's own, in place of the checkpoint folder

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": [str, os.PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __sklearn_clone__(self):
        clone = clone_parametrized(self)
        if self._store is not None:
            clone._store = self._store
        return clone

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @property
    def n_iter_(self) -> int:
        """Number of epochs that the net that predicts was trained for."""
        check_is_fitted(self, self._predicts_with)
        return len(getattr(self, self._predicts_with).history)

    def _outputs(self, X) -> Iterator[Tensor]:
        """Yield the outputs of the fitted net, batch by batch."""
        check_is_fitted(self, self._predicts_with)
        net = getattr(self, self._predicts_with)
        device = resolve_device(self.device)
        for output, _ in outputs(net, [self._check_series(X)], device):
            if not output.isfinite().all():
                raise ValueError(
                    "X holds values so far from those that fit saw that the network's outputs "
                    "overflow. Give X in the units of fit, and replace what stands for missing."
                )
            yield output

    def _net(self, parameter: str) -> NeuralNet:
        """Return the skorch net that a parameter stands for, with the budget of this estimator."""
        net = resolve_net(
            getattr(self, parameter),
            parameter,
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            verbose=self.verbose,
        )
        if self.checkpoint is not None and net.callbacks:
            raise ValueError(
                f"{parameter} has callbacks, whose state a checkpoint does not hold. Set "
                "checkpoint=None, or leave the callbacks out."
            )
        return net

    def _states(self) -> Store:
        """Return where the states of trainings lie."""
        if self._store is not None:
            return self._store
        return Store() if self.checkpoint is None else CheckpointFolder(self.checkpoint)

    def _draw_seeds(self, n_seeds: int) -> list[int]:
        """Draw seeds. Where states are kept, random_state=None always stands for the same ones."""
        kept = self.checkpoint is not None or self._store is not None
        always = kept and self.random_state is None
        return draw_seeds(0 if always else self.random_state, n_seeds)

    def _fit_net(
        self,
        net: NeuralNet,
        rows: Rows,
        outcome: Outcome,
        seed: int,
        task: Task,
        *,
        taught: Sequence[Tensor] = (),
        weights: LossWeights | None = None,
    ) -> NeuralNet:
        """Train the net that predicts: on the labels and, with weights, on what is taught."""
        training = Training(
            net=net,
            views=[rows.view],
            targets=[rows.codes, *taught],
            train=rows.train,
            valid=rows.valid,
            outcome=outcome,
            weights=weights,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=seed,
            role=self._predicts_with.removesuffix("_"),
            sample_weight=rows.sample_weight,
        )
        return fit_net(training, self._states(), task)

    def _check_series(self, X, name: str = "X") -> np.ndarray:
        """Check X against the series that fit saw."""
        table, shape = as_table(X, name)
        if shape not in (None, self.series_shape_):
            raise ValueError(
                f"{name} has series of (T, C) = {shape}, but {type(self).__name__} was fitted on "
                f"{self.series_shape_}. Give the same dates and bands as in fit."
            )
        n_columns = getattr(table, "shape", (0, 0))[-1]
        if len(table.shape) == 2 and n_columns != self.n_features_in_:
            raise ValueError(
                f"{name} has {n_columns} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input. Give the same dates and bands as in fit."
            )
        table = self._check_table(table, name, reset=False)
        return table.reshape(len(table), *self.series_shape_)

    def _check_table(self, table, name: str, **kwargs):
        names = (name, "y") if "y" in kwargs else (name,)
        with naming(*names), np.errstate(over="ignore"):
            checked = validate_data(
                self, table, dtype=np.float32, ensure_all_finite=False, **kwargs
            )
        own_name = type(self).__name__
        n_channels = "" if self.n_channels is None else f"n_channels={self.n_channels}"
        check_finite(
            checked[0] if "y" in kwargs else checked,
            name,
            f"{own_name} needs complete series: fill the gaps first, for instance by "
            f"make_pipeline(eo.GapFiller({n_channels}), {own_name}({n_channels})).",
        )
        return checked


class NetClassifier(ClassifierMixin, NetEstimator):
    """Base of the classifiers that predict from one view by one fitted net."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetEstimator._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return torch.cat([logits.double().softmax(1).cpu() for logits in self._outputs(X)]).numpy()

    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._logits(X).log_softmax(dim=1).numpy()

    def decision_function(self, X):
        """Return the network's logits, of which `predict_proba` is the softmax.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Columns in the order of ``classes_``. Of two classes, the logit of the second less that
            of the first: positive where the second is predicted.
        """
        logits = self._logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict the class.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.

        Returns
        -------
        ndarray of shape (n,)
        """
        return np.concatenate(
            [Classes(self.classes_).decode(logits) for logits in self._outputs(X)]
        )

    def _logits(self, X) -> Tensor:
        """Return the logits of all rows, in double precision."""
        return torch.cat([logits.double().cpu() for logits in self._outputs(X)])

    def _check_rows(
        self, X, y, weights: np.ndarray | None, X_val, y_val, groups, split_seed
    ) -> tuple[Rows, Classes]:
        """Check what a student is trained on.

        Sets classes_ and series_shape_. The validation rows are X_val and y_val where they are
        given, and otherwise held out from X. The weights are those of the rows of X.
        """
        if groups is not None:
            with naming("groups"):
                np.unique(column_or_1d(groups))
                check_consistent_length(X, groups)
        view, codes, classes = self._check_training_set(X, y)
        train, valid = np.arange(len(codes)), np.arange(0)
        if X_val is not None or y_val is not None:
            series_val, codes_val = self._check_validation_set(X_val, y_val, classes)
            valid = len(codes) + np.arange(len(codes_val))
            view, codes = view.followed_by(series_val), np.concatenate([codes, codes_val])
        elif self.validation_fraction > 0:
            train, valid = hold_out(
                codes, self.validation_fraction, groups=groups, random_state=split_seed
            )
        if weights is not None:
            weights = normalized(weights, train, len(codes))
        of_train = None if weights is None else weights[train]
        classes = classes.weighted(self.class_weight, codes[train], of_train)
        return Rows(view, codes, train, valid, weights), classes

    def _check_training_set(self, X, y) -> tuple[View, np.ndarray, Classes]:
        table, shape = as_table(X, "X")
        if y is not None:
            with naming("y"):
                y = check_y(y, estimator=self)
                check_classification_targets(y)
        table, y = self._check_table(table, "X", y=y, reset=True)
        classes, codes = Classes.of(y)
        self.classes_ = classes.labels
        self.series_shape_ = series_shape(table.shape[1], shape, self.n_channels, "X", "n_channels")
        per_column = shape is None and self.n_channels is None
        return View(table.reshape(len(table), *self.series_shape_), per_column), codes, classes

    def _check_validation_set(self, X_val, y_val, classes) -> tuple[np.ndarray, np.ndarray]:
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}. Give both, or neither.")
        series = self._check_series(X_val, "X_val")
        return series, classes.encode(y_val, len(series))
