"""What the classifiers share: checks of X and y, and prediction by one fitted net."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from skorch import NeuralNet
from torch import Tensor

from sklearn_gkd import training
from sklearn_gkd.splitting import hold_out
from sklearn_gkd.views import View, as_table, check_finite, series_shape


class NetClassifier(ClassifierMixin, BaseEstimator):
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
        check_is_fitted(self, self._predicts_with)
        return self._probabilities(getattr(self, self._predicts_with), [self._check_series(X)])

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
        check_is_fitted(self, self._predicts_with)
        batches = self._logits(getattr(self, self._predicts_with), [self._check_series(X)])
        codes = torch.cat([logits.argmax(dim=1).cpu() for logits in batches])
        return self.classes_[codes.numpy()]

    def _probabilities(self, net: NeuralNet, views: list[View]) -> np.ndarray:
        batches = [logits.double().softmax(dim=1).cpu() for logits in self._logits(net, views)]
        return torch.cat(batches).numpy()

    def _logits(self, net: NeuralNet, views: list[View]) -> Iterator[Tensor]:
        device = training.resolve_device(self.device)
        batches = training.outputs(net, [view.series for view in views], device)
        return (logits for logits, _ in batches)

    def _draw_seeds(self, n_seeds: int) -> list[int]:
        rng = check_random_state(self.random_state)
        return rng.randint(np.iinfo(np.int32).max, size=n_seeds).tolist()

    def _fit_net(self, net, views, targets, train, valid, criterion, seed) -> NeuralNet:
        return training.fit_net(
            net,
            views,
            targets,
            train,
            valid,
            n_classes=len(self.classes_),
            criterion=criterion,
            n_iter_no_change=self.n_iter_no_change,
            device=training.resolve_device(self.device),
            seed=seed,
        )

    def _check_rows(self, X, y, X_val, y_val, groups, split_seed):
        """Check what a student is trained on.

        Sets classes_ and series_shape_. Returns the view and the class codes of all rows, and the
        indices of the training and of the validation rows: X_val and y_val where they are given,
        otherwise held out from X.
        """
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
        series = np.concatenate([view.series, series_val])
        codes = np.concatenate([codes, codes_val])
        rows = np.arange(len(codes))
        return View(series, view.per_column), codes, rows[:n_rows], rows[n_rows:]

    def _check_training_set(self, X, y) -> tuple[View, np.ndarray]:
        table, shape = as_table(X, "X")
        table, y = self._check_table(table, "X", y=y, reset=True)
        check_classification_targets(y)
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
        series = self._check_series(X_val, "X_val").series
        y_val = column_or_1d(y_val)
        if len(y_val) != len(series):
            raise ValueError(
                f"y_val has {len(y_val)} rows and X_val has {len(series)}. "
                "Give one label for each row of X_val."
            )
        unknown = np.setdiff1d(y_val, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y_val holds classes that y does not: {unknown.tolist()}. Leave their rows out of "
                "X_val and y_val, or add rows of these classes to X and y."
            )
        return series, np.searchsorted(self.classes_, y_val)

    def _check_series(self, X, name: str = "X") -> View:
        """Check X against the series that fit saw."""
        table, shape = as_table(X, name)
        if shape not in (None, self.series_shape_):
            raise ValueError(
                f"{name} has series of (T, C) = {shape}, but {type(self).__name__} was fitted on "
                f"{self.series_shape_}. Give the same dates and bands as in fit."
            )
        table = self._check_table(table, name, reset=False)
        return View(table.reshape(len(table), *self.series_shape_), False)

    def _check_table(self, table, name: str, **kwargs):
        with np.errstate(over="ignore"):
            checked = validate_data(
                self, table, dtype=np.float32, ensure_all_finite=False, **kwargs
            )
        own_name = type(self).__name__
        check_finite(
            checked[0] if "y" in kwargs else checked,
            name,
            f"{own_name} needs complete series: fill the gaps first, for instance by "
            f"make_pipeline(sits.GapFiller(), {own_name}()).",
        )
        return checked

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


@contextmanager
def fresh_fit(estimator: BaseEstimator) -> Iterator[None]:
    """Drop what an earlier fit left, and put it back if this one fails: nothing is half-fitted."""
    before = vars(estimator).copy()
    for name in before:
        if name.endswith("_"):
            delattr(estimator, name)
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
