"""Base of the estimators: what they share of parameters, checks and training."""

import os
from collections.abc import Iterator, Sequence
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.checks import check_finite, check_precision, naming, warn
from sklearn_gkd._common.compat import (
    CallbackSupportMixin,
    Interval,
    clone_parametrized,
    get_feature_names,
)
from sklearn_gkd._common.fitted_state import OF_SERIES, Attribute
from sklearn_gkd._common.labels import read_channels, validate_columns
from sklearn_gkd._common.series import View, as_column, as_table, series_shape
from sklearn_gkd._common.splitting import hold_out
from sklearn_gkd._common.targets import has_target, with_none
from sklearn_gkd._estimators._targets import Target
from sklearn_gkd._estimators._weights import normalized
from sklearn_gkd._training.checkpoints import CheckpointFolder, Store
from sklearn_gkd._training.fitting import fit_net
from sklearn_gkd._training.predicting import decisions
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import resolve_device, resolve_net
from sklearn_gkd._training.training import Outcome, Training
from sklearn_gkd.losses import LossWeights
from sklearn_gkd.networks._net import SeriesNet


class Rows(NamedTuple):
    """Checked rows: what is seen of each, its label, and what it is for.

    Attributes
    ----------
    view : View
        X, X_val and X_unlabeled, one after the other.
    labels : ndarray of shape (n,) or (n, k)
        Class codes, or standardised numbers: see `_common.targets`.
    train, valid : ndarray of int
        Training and validation rows.
    sample_weight : ndarray of shape (n,) or None
        Weight of each row: 1 on average over the labelled training rows, and 1 in those without a
        label and in X_val. None weighs all alike.
    """

    view: View
    labels: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    sample_weight: np.ndarray | None = None

    def with_unlabeled(self, series: np.ndarray) -> "Rows":
        """Return these rows and, after them, rows without a label, which are for nothing yet."""
        labels = with_none(self.labels, len(series))
        weights = self.sample_weight
        if weights is not None:
            weights = np.append(weights, np.ones(len(series), weights.dtype))
        view = self.view.followed_by(series)
        return self._replace(view=view, labels=labels, sample_weight=weights)

    def with_taught(self, seen: np.ndarray) -> "Rows":
        """Return these rows, to train also on those without a label that a teacher has seen."""
        pairs = np.flatnonzero(seen & ~has_target(self.labels))
        return self._replace(train=np.append(self.train, pairs))


BUDGET = ("lr", "max_epochs", "batch_size")


class NetEstimator(CallbackSupportMixin, BaseEstimator):
    """Base of the estimators that predict from one view by one fitted net.

    A subclass names the attribute that holds the net, and `fit` sets it; and its parameters that
    stand for networks. It reads y (`_read_y`), and makes of it what is learnt (`_targets_of`).
    """

    _predicts_with: ClassVar[str]
    _networks: ClassVar[tuple[str, ...]]
    _teaches_by: ClassVar[str]  # the method of a teacher that is no network
    _wrong_kind: ClassVar[type]  # what a net or a teacher must not be
    _criteria: ClassVar[tuple[type[nn.Module], ...]]  # what a net may say that it is trained by
    _store: Store | None = None  # a search's own, in place of the checkpoint folder

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": [str, os.PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _fitted_state(self) -> dict[str, Attribute]:
        return OF_SERIES

    def __sklearn_clone__(self) -> Self:
        clone = clone_parametrized(self)
        if self._store is not None:
            clone._store = self._store
        return clone

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of nets too, as ``student__lr``, and of sources' transformers.

        Parameters
        ----------
        **params
            Values by name.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        ValueError
            Where a name is unknown, or is of a network that is no skorch net and so has no
            parameters.
        """
        for name in params:
            network, _, parameter = name.partition("__")
            given = params.get(network, getattr(self, network, None))
            is_net = hasattr(given, "set_params") and not isinstance(given, type)
            if parameter and network in self._networks and not is_net:
                given = getattr(given, "__name__", repr(given))
                raise ValueError(
                    f"{name} cannot be set: {network}={given} has no parameters. Give a skorch "
                    f"net, whose can be set and searched: {network}=SeriesNet({given})."
                )
        return super().set_params(**params)

    def _warn_of_unused(self, n_valid: int) -> None:
        """Warn of parameters that were set, but do nothing in this fit."""
        if self.n_iter_no_change is not None and n_valid == 0:
            warn(
                f"n_iter_no_change={self.n_iter_no_change} does nothing without validation rows: "
                "training ends after max_epochs. Set validation_fraction, or give X_val and y_val."
            )
        given = [getattr(self, name) for name in self._networks]
        if not all(isinstance(net, NeuralNet) or hasattr(net, self._teaches_by) for net in given):
            return
        defaults = signature(type(self)).parameters
        unused = [name for name in BUDGET if getattr(self, name) != defaults[name].default]
        if unused:
            nets = [name for name in self._networks if isinstance(getattr(self, name), NeuralNet)]
            warn(
                f"{' and '.join(f'{name}={getattr(self, name)}' for name in unused)} of this "
                f"{type(self).__name__} do nothing: {' and '.join(nets)} came as skorch nets, "
                f"which have their own. Set {nets[-1]}__{unused[0]} in its place."
            )

    @property
    def n_iter_(self) -> int:
        """Number of epochs that the net that predicts was trained for."""
        check_is_fitted(self, self._predicts_with)
        return len(getattr(self, self._predicts_with).history)

    def _outputs(self, X: Any, of_members: bool = False) -> Iterator[Tensor]:
        """Yield the outputs of the fitted net, or of each of its members, batch by batch."""
        check_is_fitted(self, self._predicts_with)
        net = getattr(self, self._predicts_with)
        device = resolve_device(self.device)
        for output in decisions(net, [self._check_series(X)], device, of_members):
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
            self._criteria,
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            verbose=self.verbose,
        )
        self._check_kind(net, parameter)
        if self.checkpoint is not None and net.callbacks:
            raise ValueError(
                f"{parameter} has callbacks, whose state a checkpoint does not hold. Set "
                "checkpoint=None, or leave the callbacks out."
            )
        return net

    def _check_kind(self, given: Any, parameter: str) -> None:
        """Raise a ValueError where a net or a teacher cannot learn what this estimator does."""
        if isinstance(given, self._wrong_kind) and not isinstance(given, SeriesNet):
            right = "regressor" if self._wrong_kind is ClassifierMixin else "classifier"
            raise ValueError(
                f"{parameter} is a {type(given).__name__}, which cannot learn what "
                f"{type(self).__name__} does. Give a {right}, or a SeriesNet."
            )

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

    def _read_y(self, y: Any) -> np.ndarray:
        """Return y as an array, or raise an error where it cannot be learnt."""
        raise NotImplementedError

    @property
    def _target(self) -> Target:
        """What the fitted estimator has learnt."""
        raise NotImplementedError

    def _targets_of(self, y: np.ndarray) -> tuple[Target, np.ndarray]:
        """Return what is to be learnt, and the label of each row."""
        raise NotImplementedError

    def _weighed(
        self,
        target: Target,
        labels: np.ndarray,
        train: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> tuple[Target, np.ndarray]:
        """Return what is learnt, and the labels, once the training rows and weights are known."""
        raise NotImplementedError

    def _check_rows(
        self,
        X: Any,
        y: Any,
        weights: np.ndarray | None,
        X_val: Any,
        y_val: Any,
        groups: Any,
        split_seed: int,
    ) -> tuple[Rows, Target]:
        """Check what a net is trained on, and return it with what is learnt.

        Sets series_shape_ and what tells of y. The validation rows are X_val and y_val where they
        are given, and otherwise held out from X. The weights are those of the rows of X.
        """
        view, labels, target = self._check_training_set(X, y)
        if groups is not None:
            with naming("groups"):
                np.unique(as_column(groups, "groups"))
                check_consistent_length(labels, groups)
        train, valid = np.arange(len(labels)), np.arange(0)
        if X_val is not None or y_val is not None:
            series_val, labels_val = self._check_validation_set(X_val, y_val, target)
            valid = len(labels) + np.arange(len(labels_val))
            view, labels = view.followed_by(series_val), np.concatenate([labels, labels_val])
        elif self.validation_fraction > 0:
            train, valid = hold_out(
                labels, self.validation_fraction, groups=groups, random_state=split_seed
            )
        if weights is not None:
            weights = normalized(weights, train, len(labels))
        of_train = None if weights is None else weights[train]
        target, labels = self._weighed(target, labels, train, of_train)
        return Rows(view, labels, train, valid, weights), target

    def _check_training_set(self, X: Any, y: Any) -> tuple[View, np.ndarray, Target]:
        given, shape = as_table(X, "X")
        if y is not None:
            y = self._read_y(y)
        table, y = self._check_table(given, "X", y=y, multi_output=True, reset=True)
        check_precision(given, table, "X")
        target, labels = self._targets_of(y)
        n_channels = self._channels(given, "X")
        self.series_shape_ = series_shape(table.shape[1], shape, n_channels, "X", "n_channels")
        per_column = shape is None and n_channels is None
        return View(table.reshape(len(table), *self.series_shape_), per_column), labels, target

    def _check_validation_set(
        self, X_val: Any, y_val: Any, target: Target
    ) -> tuple[np.ndarray, np.ndarray]:
        if X_val is None or y_val is None:
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}. Give both, or neither.")
        series = self._check_series(X_val, "X_val")
        return series, target.encode(y_val, len(series))

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
        role: str | None = None,
    ) -> NeuralNet:
        """Train a net on the labels and, with weights, on what is taught.

        Without another role, it is the one that predicts.
        """
        training = Training(
            net=net,
            views=[rows.view],
            targets=[rows.labels, *taught],
            train=rows.train,
            valid=rows.valid,
            outcome=outcome,
            weights=weights,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=seed,
            role=role or self._predicts_with.removesuffix("_"),
            sample_weight=rows.sample_weight,
        )
        return fit_net(training, self._states(), task)

    def _check_series(self, X: Any, name: str = "X") -> np.ndarray:
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

    def _check_table(self, table: Any, name: str, **kwargs: Any) -> Any:
        names = (name, "y") if "y" in kwargs else (name,)
        with naming(*names), np.errstate(over="ignore"):
            checked = validate_data(
                self, table, dtype=np.float32, ensure_all_finite=False, **kwargs
            )
        validate_columns(self, table, name, reset=kwargs["reset"])
        own_name, channels = type(self).__name__, self._channels(table, name)
        n_channels, more = f"n_channels={channels}", ""
        if channels is None:
            n_channels, more = "", " A table of several bands a date needs n_channels."
        check_finite(
            checked[0] if "y" in kwargs else checked,
            name,
            f"{own_name} needs complete series: fill the gaps first, for instance by "
            f"make_pipeline(eo.GapFiller({n_channels}), {own_name}({n_channels})).{more}",
        )
        return checked

    def _channels(self, table: Any, name: str) -> int | None:
        """Return the number of channels of a table: fit's, n_channels, or what its names say."""
        _, in_fit = getattr(self, "series_shape_", (0, 1))
        n_channels = in_fit if in_fit > 1 else self.n_channels
        return read_channels(get_feature_names(table), n_channels, name, "n_channels")
