"""The method: check, scale, teach, distil."""

import warnings
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _num_samples, check_is_fitted
from skorch import NeuralNet
from torch import nn

from sklearn_gkd.base import NetClassifier, fresh_fit
from sklearn_gkd.exceptions import PrivilegedInformationWarning
from sklearn_gkd.losses import DistillationLoss, LabelLoss
from sklearn_gkd.splitting import hold_out
from sklearn_gkd.teaching import teach
from sklearn_gkd.training import as_net, feature_width, resolve_device
from sklearn_gkd.views import (
    Shape,
    View,
    as_array,
    check_same_length,
    has_information,
    privileged_view,
)

PAPER_SETTINGS = {
    "teacher": "cnn",
    "student": "mlp",
    "alpha": 1.0,
    "beta": 1.0,
    "gamma": 10.0,
    "temperature": 1.0,
    "lr": 5e-5,
    "batch_size": 32,
    "max_epochs": 5000,
    "n_iter_no_change": None,
}
"""The hyperparameters of Ienco et al. (2020), as keyword arguments of `GKDClassifier`."""


class GKDClassifier(NetClassifier):
    """Classifier taught by a teacher that sees more than it (generalized knowledge distillation).

    A teacher is trained on X and on privileged information, X_priv, that only training has. A
    student, which sees X alone, then learns from the labels, the teacher's features and the
    teacher's decisions, by minimising (Eq. 4 of [1]_)

        alpha * CE + beta * REC + gamma * KD

    with CE the cross-entropy with the labels, REC the squared distance between the sigmoids of
    the two nets' features (Eq. 2), and KD the Kullback-Leibler divergence between their softened
    decisions (Eq. 3). Prediction needs the student alone.

    Parameters
    ----------
    teacher, student : {"mlp", "cnn"}, nn.Module class or skorch net, default="mlp"
        A name in `networks.NETWORKS`; a network, as described in `networks`; or a skorch net such
        as `networks.SITSNet`, whose own learning rate, epochs and batch size then hold, and whose
        parameters can be set and searched as ``student__lr`` or ``student__module__width``.
    alpha : float, default=1.0
        Weight of the labels.
    beta : float, default=1.0
        Weight of the teacher's features. Both nets then need features of one width.
    gamma : float, default=10.0
        Weight of the teacher's decisions. With beta=0 and gamma=0 no teacher is trained.
    temperature : float, default=1.0
        Divides both nets' logits in KD, which is multiplied by its square.
    teacher_view : {"both", "privileged"}, default="both"
        Whether the teacher sees X and X_priv [1]_, or X_priv alone [2]_.
    priv_transformer : transformer, default=None
        Cloned, fitted on the training rows of X_priv and applied to X_priv, for instance
        `sits.GapFiller`.
    n_channels, n_channels_priv : int, default=None
        Number C of channels of a 2-D X and of a 2-D X_priv (after priv_transformer): columns are
        time-major, ``t * C + c``. None stands for one channel; a 3-D array needs none.
    max_epochs : int, default=40
        Passes of each net over its training rows.
    batch_size : int, default=64
        Rows in each training step.
    lr : float, default=1e-3
        Learning rate of both nets, for Adam.
    validation_fraction : float, default=0.2
        Share of the rows, of every class alike, on which the best epoch is chosen. They are not
        trained on. With 0, the last epoch is kept.
    n_iter_no_change : int, default=None
        Number of epochs without a better one after which training ends; None trains for
        `max_epochs`.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to train and predict; "auto" is a GPU where there is one. What is fitted is kept on
        the CPU, so that it loads anywhere.
    random_state : int, RandomState instance or None, default=None
        Rules every draw. The same seed gives the same bits on one machine.
    verbose : int, default=0
        1 prints a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    student_ : skorch.NeuralNet
        The fitted student, all that `predict` uses. Its ``history`` has a row an epoch.
    teacher_ : skorch.NeuralNet
        The fitted teacher, where one was trained. Delete it to save a smaller file.
    priv_transformer_ : transformer or None
        The fitted clone.
    series_shape_, priv_shape_ : tuple of int
        (T, C) of X and of X_priv.
    n_features_in_ : int
        T * C of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where X was a DataFrame.

    See Also
    --------
    PAPER_SETTINGS : The paper's hyperparameters, for ``GKDClassifier(**PAPER_SETTINGS)``.
    SITSClassifier : One net on X alone.
    IgnorePrivileged : Lets any other classifier take the same calls.

    Notes
    -----
    The default networks and budget are what a laptop bears: 1,700 rows of 12 dates take about a
    minute on 4 cores. They were chosen on validation rows alone, of five splits of two real data
    sets that the benchmarks do not use: of batches of 32, 64 and 128 rows and learning rates of
    1e-4, 3e-4 and 1e-3, none was better than another by more than the splits differ, and what 60
    epochs reached, 40 did within a point. ``benchmarks/results`` has what they give.

    References
    ----------
    .. [1] D. Ienco, Y. J. E. Gbodjo, R. Gaetano, R. Interdonato (2020), "Generalized Knowledge
       Distillation for Multi-Sensor Remote Sensing Classification: an application to land cover
       mapping".
    .. [2] D. Lopez-Paz, L. Bottou, B. Schoelkopf, V. Vapnik (2016), "Unifying distillation and
       privileged information", ICLR.

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.datasets import make_sits
    >>> sits = make_sits(200, random_state=0)
    >>> clf = GKDClassifier(max_epochs=2, random_state=0)
    >>> clf.fit(sits.X_s1, sits.y, X_priv=sits.X_s2).predict(sits.X_s1).shape
    (200,)
    """

    _predicts_with = "student_"

    __metadata_request__fit: ClassVar[dict[str, bool]] = {
        "X_priv": True,
        "groups": True,
        "X_val": True,
        "y_val": True,
        "X_priv_val": True,
    }

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetClassifier._parameter_constraints,
        "teacher": [str, NeuralNet, callable],
        "student": [str, NeuralNet, callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "teacher_view": [StrOptions({"both", "privileged"})],
        "priv_transformer": [HasMethods(["fit", "transform"]), None],
        "n_channels_priv": NetClassifier._parameter_constraints["n_channels"],
    }

    def __init__(
        self,
        teacher="mlp",
        student="mlp",
        *,
        alpha=1.0,
        beta=1.0,
        gamma=10.0,
        temperature=1.0,
        teacher_view="both",
        priv_transformer=None,
        n_channels=None,
        n_channels_priv=None,
        max_epochs=40,
        batch_size=64,
        lr=1e-3,
        validation_fraction=0.2,
        n_iter_no_change=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature
        self.teacher_view = teacher_view
        self.priv_transformer = priv_transformer
        self.n_channels = n_channels
        self.n_channels_priv = n_channels_priv
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, X_priv=None, *, groups=None, X_val=None, y_val=None, X_priv_val=None):
        """Train the teacher on X and X_priv, then the student on X, the labels and the teacher.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series that prediction will have too.
        y : array-like of shape (n,)
            Class of each row.
        X_priv : array-like of shape (n, T', C') or (n, T' * C'), default=None
            Privileged information: row i belongs to row i of X. A row that is NaN throughout has
            none, and teaches the student by its label alone. Without X_priv the student learns
            from the labels alone, and where beta or gamma is positive a
            `PrivilegedInformationWarning` says so.
        groups : array-like of shape (n,), default=None
            No group has rows on both sides of the split into training and validation rows.
        X_val, y_val, X_priv_val : array-like, default=None
            Validation rows, instead of those that `validation_fraction` holds out. Without
            X_priv_val, the teacher still holds out its own.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where an argument is not as described; the message says which, what came and what to
            do. The estimator is then as it was before.
        """
        with fresh_fit(self):
            split_seed, teacher_seed, student_seed = self._draw_seeds(3)
            view, labels, train, valid = self._check_rows(X, y, X_val, y_val, groups, split_seed)
            loss: Callable[[], nn.Module] = LabelLoss
            targets: list[Any] = [labels]
            if X_priv is None:
                self._check_no_privileged(X_priv_val)
            else:
                priv, seen = self._check_privileged(X_priv, X_priv_val, X, X_val, train)
            if X_priv is not None and (self.beta > 0 or self.gamma > 0):
                views = self._teacher_views(view, priv)
                self._check_features(view, views)
                rows = self._teacher_rows(labels, seen, train, valid, groups, split_seed)
                self.teacher_ = self._fit_net(
                    self._net("teacher"), views, [labels], *rows, LabelLoss, teacher_seed
                )
                series = [teacher_view.series for teacher_view in views]
                targets += teach(self.teacher_, series, seen, resolve_device(self.device))
                loss = partial(
                    DistillationLoss, self.alpha, self.beta, self.gamma, self.temperature
                )
            self.student_ = self._fit_net(
                self._net("student"), [view], targets, train, valid, loss, student_seed
            )
        return self

    def teacher_predict_proba(self, X, X_priv):
        """Predict the probability of each class by the teacher, which sees X_priv too.

        This is the upper bound that the student is compared with.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.
        X_priv : array-like of shape (n, T', C') or (n, T' * C')
            Their privileged information; no row may be NaN throughout.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self, "teacher_")
        view = self._check_series(X)
        X_priv = as_array(X_priv)
        check_same_length(X_priv, len(view.series), "X_priv", "X")
        priv, seen = self._privileged_view(X_priv, "X_priv")
        if not seen.all():
            raise ValueError(
                f"X_priv is NaN throughout in {np.sum(~seen)} of its {len(seen)} rows, of which "
                "the teacher can tell nothing. Leave these rows out."
            )
        return self._probabilities(self.teacher_, self._teacher_views(view, priv))

    def _net(self, role: str) -> NeuralNet:
        return as_net(
            getattr(self, role),
            role,
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            verbose=self.verbose,
        )

    def _teacher_views(self, view: View, priv: View) -> list[View]:
        return [priv] if self.teacher_view == "privileged" else [view, priv]

    def _check_no_privileged(self, X_priv_val):
        if X_priv_val is not None:
            raise ValueError("X_priv_val was given without X_priv. Give both, or neither.")
        if self.beta > 0 or self.gamma > 0:
            warnings.warn(
                f"X_priv was not given, so beta={self.beta} and gamma={self.gamma} have nothing "
                "to distil: the student learns from the labels alone. Pass X_priv to fit, or set "
                "beta=0 and gamma=0.",
                PrivilegedInformationWarning,
                stacklevel=4,
            )

    def _check_privileged(self, X_priv, X_priv_val, X, X_val, train) -> tuple[View, np.ndarray]:
        """Return the privileged view of the rows of X and X_val, and which of them have one.

        Sets priv_transformer_ and priv_shape_.
        """
        X_priv = as_array(X_priv)
        check_same_length(X_priv, _num_samples(X), "X_priv", "X")
        if X_priv_val is not None:
            if X_val is None:
                raise ValueError("X_priv_val was given without X_val. Give both, or neither.")
            X_priv_val = as_array(X_priv_val)
            check_same_length(X_priv_val, _num_samples(X_val), "X_priv_val", "X_val")
        known = train[has_information(X_priv, "X_priv")[train]]
        if not len(known):
            raise ValueError(
                "X_priv is NaN throughout in every training row, so no teacher can be trained. "
                "Give privileged information for some rows, or leave X_priv out."
            )
        self.priv_transformer_ = None
        if self.priv_transformer is not None:
            transformer = clone(self.priv_transformer)
            self.priv_transformer_ = transformer.fit(_safe_indexing(X_priv, known))
        priv, seen = self._privileged_view(X_priv, "X_priv")
        if X_val is None:
            return priv, seen
        n_val = _num_samples(X_val)
        series_val = np.zeros((n_val, *priv.series.shape[1:]), dtype=np.float32)
        seen_val = np.zeros(n_val, dtype=bool)
        if X_priv_val is not None:
            priv_val, seen_val = self._privileged_view(X_priv_val, "X_priv_val")
            series_val = priv_val.series
        series = np.concatenate([priv.series, series_val])
        return View(series, priv.per_column), np.concatenate([seen, seen_val])

    def _privileged_view(self, X_priv, name: str) -> tuple[View, np.ndarray]:
        """Check X_priv; its first call sets priv_shape_, the others hold against it."""
        priv, seen = privileged_view(X_priv, self.priv_transformer_, self.n_channels_priv, name)
        shape = priv.series.shape[1:]
        fitted_shape: Shape = getattr(self, "priv_shape_", shape)
        if shape != fitted_shape:
            raise ValueError(
                f"{name} has series of (T, C) = {shape}, but X_priv in fit had {fitted_shape}. "
                "Give the same dates and bands."
            )
        self.priv_shape_ = shape
        return priv, seen

    def _check_features(self, view: View, teacher_views: list[View]) -> None:
        """Build both nets once, so that what does not fit is an error before any training."""
        n_classes = len(self.classes_)
        widths = {
            role: feature_width(self._net(role), role, shapes, n_classes)
            for role, shapes in [
                ("teacher", [v.series.shape[1:] for v in teacher_views]),
                ("student", [view.series.shape[1:]]),
            ]
        }
        if self.beta == 0:
            return
        for role, width in widths.items():
            if width == 0:
                raise ValueError(
                    f"beta={self.beta} compares features, but the {role}'s network returns logits "
                    "alone. Set beta=0, or return (logits, features)."
                )
        if widths["teacher"] != widths["student"]:
            raise ValueError(
                f"beta={self.beta} compares the teacher's {widths['teacher']} features with the "
                f"student's {widths['student']}. Make the widths equal, or set beta=0."
            )

    def _teacher_rows(self, labels, seen, train, valid, groups, split_seed):
        """Return the teacher's training and validation rows: those with privileged information.

        Where no validation row has any, some training rows validate the teacher.
        """
        train, valid = train[seen[train]], valid[seen[valid]]
        if len(valid) or self.validation_fraction == 0:
            return train, valid
        held_out_of = None if groups is None else _safe_indexing(groups, train)
        kept, held_out = hold_out(
            labels[train], self.validation_fraction, groups=held_out_of, random_state=split_seed
        )
        return train[kept], train[held_out]
