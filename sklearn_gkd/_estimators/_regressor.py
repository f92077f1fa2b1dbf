"""The regressor that is taught by privileged information."""

import os
from typing import Any, ClassVar

import numpy as np
import torch
from skorch import NeuralNet

from sklearn_gkd._common.compat import HasMethods
from sklearn_gkd._estimators._net_regressor import NetRegressor
from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._training.torch_state import plain_torch


class GKDRegressor(TaughtEstimator, NetRegressor):
    """Regressor taught by a teacher that sees more than it (generalized knowledge distillation).

    As `GKDClassifier`, for one or more numbers of each row: biomass, yield, the moisture of leaves.
    A teacher is trained on X and on privileged information, X_priv, that only training has. A
    student, which sees X alone, then learns from the labels, the teacher's features and the
    teacher's numbers, by minimising

        alpha * LABEL + beta * REC + gamma * KD

    with LABEL the loss between the student's numbers and the labels, REC the squared distance
    between the sigmoids of the two nets' features (Eq. 2 of [1]_), and KD the squared distance
    between the two nets' numbers [2]_. All numbers are standardised by the mean and the standard
    deviation of the training rows, and predicted in the units of y.

    Parameters
    ----------
    teacher, student : str, nn.Module class or skorch net, default="ensemble"
        As in `GKDClassifier`. The teacher may also be any regressor, which is cloned and fitted on
        its views side by side in a table, in the units of y; one that is fitted already stays so as
        ``FrozenEstimator(teacher)``. It has no features: beta must then be 0.
    alpha : float, default=1.0
        Weight of the labels beside beta and gamma; where no teacher teaches, it does nothing.
    beta : float, default=0.1
        Weight of the teacher's features. Both nets then need features of one width.
    gamma : float, default=1.0
        Weight of the teacher's numbers. With beta=0 and gamma=0 no teacher is trained.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        Loss of both nets with the labels, and of validation rows. Huber's is linear beyond one
        standard deviation.
    teacher_view, teacher_cv : object
        As in `GKDClassifier`.
    distillation : {"auto", "always"}, default="auto"
        As in `GKDClassifier`, by the squared error in the place of the log loss.
    priv_transformer, n_channels, n_channels_priv, priv_sources, max_epochs, batch_size, \
lr : object
        As in `GKDClassifier`.
    validation_fraction : float, default=0.0
        Share of the rows, drawn at random, on which the best epoch is chosen: that of the least
        loss with the labels. They are not trained on.
    n_iter_no_change, memory, checkpoint, device, random_state, verbose : object
        As in `GKDClassifier`.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape () or (k,)
        Mean and standard deviation of the training rows' y, by which it is standardised.
    student_ : skorch.NeuralNet
        The fitted student, all that `predict` uses. Its own `predict` gives standardised numbers;
        its ``history`` has minus the loss of the validation rows as ``valid_score``.
    teacher_ : skorch.NeuralNet or regressor
        The fitted teacher, where one was trained.
    distillation_ : Distillation
        As in `GKDClassifier`, with mean squared errors of the standardised y.
    n_iter_, priv_transformer_, priv_reader_, series_shape_, priv_shape_, priv_sources_, \
n_features_in_, feature_names_in_
        As in `GKDClassifier`.

    See Also
    --------
    SeriesRegressor : One net on X alone.
    IgnorePrivileged : Lets any other regressor take the same calls.

    Notes
    -----
    The defaults are those of `GKDClassifier`, and were not chosen for quantities.

    References
    ----------
    .. [1] D. Ienco, Y. J. E. Gbodjo, R. Gaetano, R. Interdonato (2020), "Generalized Knowledge
       Distillation for Multi-Sensor Remote Sensing Classification: an application to land cover
       mapping".
    .. [2] D. Lopez-Paz, L. Bottou, B. Schoelkopf, V. Vapnik (2016), "Unifying distillation and
       privileged information", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd import GKDRegressor
    >>> rng = np.random.default_rng(0)
    >>> X_priv = rng.normal(size=(100, 6, 2))
    >>> X = X_priv + rng.normal(size=(100, 6, 2))
    >>> reg = GKDRegressor(max_epochs=2, random_state=0)
    >>> reg.fit(X, X_priv.mean(axis=(1, 2)), X_priv=X_priv).predict(X).shape
    (100,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetRegressor._parameter_constraints,
        **TaughtEstimator._parameter_constraints,
        "teacher": [str, NeuralNet, callable, HasMethods(["fit", "predict"])],
    }

    def __init__(
        self,
        teacher: Any = "ensemble",
        student: Any = "ensemble",
        *,
        alpha: float = 1.0,
        beta: float = 0.1,
        gamma: float = 1.0,
        loss: str = "squared_error",
        teacher_view: str = "both",
        teacher_cv: Any = None,
        distillation: str = "auto",
        priv_transformer: Any = None,
        n_channels: int | None = None,
        n_channels_priv: int | None = None,
        priv_sources: Any = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        validation_fraction: float = 0.0,
        n_iter_no_change: int | None = None,
        memory: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.loss = loss
        self.teacher_view = teacher_view
        self.teacher_cv = teacher_cv
        self.distillation = distillation
        self.priv_transformer = priv_transformer
        self.n_channels = n_channels
        self.n_channels_priv = n_channels_priv
        self.priv_sources = priv_sources
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.memory = memory
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @plain_torch()
    def teacher_predict(self, X: Any, X_priv: Any) -> np.ndarray:
        """Predict the quantity by the teacher, which sees X_priv too.

        This is the upper bound that the student is compared with.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, in the units that `fit` saw.
        X_priv : array-like of shape (n, T', C') or (n, T' * C')
            Their privileged information; no row may be NaN throughout.

        Returns
        -------
        ndarray of shape (n,) or (n, k)
            As the y of `fit`.
        """
        return self._target.decode(self._told_by_teacher(X, X_priv))
