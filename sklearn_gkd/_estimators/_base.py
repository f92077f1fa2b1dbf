"""What the classifiers share: checks of X and y, and prediction by one fitted net."""

import os
from collections.abc import Iterator
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
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
from sklearn_gkd._common.compat import CallbackSupportMixin, Interval, StrOptions, check_y
from sklearn_gkd._common.fitted_state import OF_SERIES, Attribute, Labels, Net
from sklearn_gkd._common.series import View, as_table, series_shape
from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._training.fitting import fit_net
from sklearn_gkd._training.predicting import outputs
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import as_net, resolve_device


class NetClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Base of the classifiers that predict from one view by one fitted net.

    A subclass names the attribute that holds the net, and `fit` sets it.
    """

    _predicts_with: ClassVar[str]

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "checkpoint": [str, os.PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
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
        return torch.cat([logits.double().softmax(1).cpu() for logits in self._logits(X)]).numpy()

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
        codes = torch.cat([logits.argmax(dim=1).cpu() for logits in self._logits(X)])
        return self.classes_[codes.numpy()]

    def _logits(self, X) -> Iterator[Tensor]:
        check_is_fitted(self, self._predicts_with)
        net = getattr(self, self._predicts_with)
        device = resolve_device(self.device)
        for logits, _ in outputs(net, [self._check_series(X)], device):
            if not logits.isfinite().all():
                raise ValueError(
                    "X holds values so far from those that fit saw that the network's outputs "
                    "overflow. Give X in the units of fit, and replace what stands for missing."
                )
            yield logits

    def _net(self, parameter: str) -> NeuralNet:
        """Return the skorch net that a parameter stands for, with the budget of this estimator."""
        net = as_net(
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

    def _draw_seeds(self, n_seeds: int) -> list[int]:
        """Draw seeds. With a checkpoint, random_state=None always stands for the same ones."""
        always = self.checkpoint is not None and self.random_state is None
        return draw_seeds(0 if always else self.random_state, n_seeds)

    def _fit_net(self, net, views, targets, train, valid, loss, weights, seed, task) -> NeuralNet:
        return fit_net(
            net,
            views,
            targets,
            train,
            valid,
            n_classes=len(self.classes_),
            criterion=loss,
            class_weight=weights,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=seed,
            fit_task=task,
            role=self._predicts_with.removesuffix("_"),
            checkpoint=self.checkpoint,
        )

    def _class_weights(self, codes: np.ndarray) -> np.ndarray | None:
        """Return the weight of each class, None where they weigh alike."""
        if self.class_weight is None:
            return None
        weights = compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[codes]
        )
        return weights.astype(np.float32)

    def _check_rows(self, X, y, X_val, y_val, groups, split_seed):
        """Check what a student is trained on.

        Sets classes_ and series_shape_. Returns the view and the class codes of all rows, and the
        indices of the training and of the validation rows: X_val and y_val where they are given,
        otherwise held out from X.
        """
        if groups is not None:
            with naming("groups"):
                np.unique(column_or_1d(groups))
                check_consistent_length(X, groups)
        view, codes = self._check_training_set(X, y)
        n_rows = len(codes)
        if X_val is None and y_val is None:
            if self.validation_fraction == 0:
                return view, codes, np.arange(n_rows), np.arange(0)
            held_out = hold_out(
                codes, self.validation_fraction, groups=groups, random_state=split_seed
            )
            return view, codes, *held_out
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}. Give both, or neither.")
        series_val, codes_val = self._check_validation_set(X_val, y_val)
        codes = np.concatenate([codes, codes_val])
        rows = np.arange(len(codes))
        return view.followed_by(series_val), codes, rows[:n_rows], rows[n_rows:]

    def _check_training_set(self, X, y) -> tuple[View, np.ndarray]:
        table, shape = as_table(X, "X")
        if y is not None:
            with naming("y"):
                y = check_y(y, estimator=self)
                check_classification_targets(y)
        table, y = self._check_table(table, "X", y=y, reset=True)
        with naming("y"):
            self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                f"y holds one class, {self.classes_.tolist()[0]!r}; a classifier needs two or "
                "more. Add rows of another class."
            )
        self.series_shape_ = series_shape(table.shape[1], shape, self.n_channels, "X", "n_channels")
        per_column = shape is None and self.n_channels is None
        return View(table.reshape(len(table), *self.series_shape_), per_column), codes

    def _check_validation_set(self, X_val, y_val) -> tuple[np.ndarray, np.ndarray]:
        series = self._check_series(X_val, "X_val")
        with naming("y_val"):
            y_val = column_or_1d(y_val)
            unknown = np.setdiff1d(y_val, self.classes_)
        if len(y_val) != len(series):
            raise ValueError(
                f"y_val has {len(y_val)} rows and X_val has {len(series)}. "
                "Give one label for each row of X_val."
            )
        if len(unknown):
            raise ValueError(
                f"y_val holds classes that y does not: {unknown.tolist()}. Leave their rows out of "
                "X_val and y_val, or add rows of these classes to X and y."
            )
        return series, np.searchsorted(self.classes_, y_val)

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

    def _fitted_state(self) -> dict[str, Attribute]:
        return {
            **OF_SERIES,
            "classes_": Labels("K"),
            self._predicts_with: Net([("T", "C")], "K"),
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
