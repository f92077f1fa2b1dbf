"""The method: check, scale, teach, distil."""

import warnings
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import HasMethods, Interval, StrOptions, fit_context, num_samples
from sklearn_gkd._common.fitted_state import Net, Part, Sizes
from sklearn_gkd._common.series import View
from sklearn_gkd._common.splitting import teacher_folds
from sklearn_gkd._estimators._base import NetClassifier
from sklearn_gkd._estimators._privileged import PrivilegedReader, check_pairs
from sklearn_gkd._estimators._teacher import (
    Lesson,
    check_features,
    teach,
    teacher_outputs,
    teacher_rows,
)
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd._training.resolving import feature_width, resolve_device
from sklearn_gkd.exceptions import PrivilegedInformationWarning
from sklearn_gkd.losses import DistillationLoss, LabelLoss

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
    "validation_fraction": 0.2,
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
    teacher, student : str, nn.Module class or skorch net, default="ensemble"
        ``"ensemble"``, ``"mlp"``, ``"cnn"`` or another name in `networks.NETWORKS`; a network, as
        described in `networks`; or a skorch net such as `networks.SeriesNet`, whose own learning
        rate, epochs and batch size then hold, and whose parameters can be set and searched as
        ``student__lr`` or ``student__module__width``. The teacher may also be any classifier with
        `predict_proba`, which is cloned and fitted on its views side by side in a table. It has
        no features: beta must then be 0.
    alpha : float, default=1.0
        Weight of the labels.
    beta : float, default=1.0
        Weight of the teacher's features. Both nets then need features of one width.
    gamma : float, default=1.0
        Weight of the teacher's decisions. With beta=0 and gamma=0 no teacher is trained.
    temperature : float, default=1.0
        Divides both nets' logits in KD, which is multiplied by its square.
    teacher_view : {"both", "privileged"}, default="both"
        Whether the teacher sees X and X_priv [1]_, or X_priv alone [2]_.
    teacher_cv : int, splitter or iterable, default=None
        Where the teacher's decisions for its training rows come from: None, from the teacher
        itself, which may have learnt their labels by heart; an int or a splitter, from teachers
        that have not seen the row. Features always come from the one teacher.
    priv_transformer : transformer, default=None
        Cloned, fitted on the training rows of X_priv and applied to X_priv, for instance
        `eo.GapFiller`.
    n_channels, n_channels_priv : int, default=None
        Number C of channels of a 2-D X and of a 2-D X_priv (after priv_transformer): columns are
        time-major, ``t * C + c``. None stands for one channel; a 3-D array needs none.
    max_epochs : int, default=40
        Passes of each net over its training rows.
    batch_size : int, default=64
        Rows in each training step.
    lr : float, default=1e-3
        Learning rate of both nets, for Adam.
    validation_fraction : float, default=0.0
        Share of the rows, of every class alike, on which the best epoch is chosen. They are not
        trained on. With 0, all rows are, and the last epoch is kept.
    n_iter_no_change : int, default=None
        Number of epochs without a better one on the validation rows after which training ends.
        None, or no validation rows: it ends after `max_epochs`.
    class_weight : dict or "balanced", default=None
        Weight of the rows of each class in both nets' cross-entropy and validation accuracy;
        "balanced" is inversely proportional to the classes' training rows.
    memory : str or joblib.Memory, default=None
        Where the teacher's targets are kept, to be used again by every fit whose teacher would be
        the same, in this process or another: a search over alpha, beta, gamma, temperature and
        the student fits one teacher for each fold. With random_state=None too, the teacher and
        its validation rows are then always the same.
    checkpoint : str or path-like, default=None
        Folder where the state of each net's training is kept, in a file named by all that it
        depends on. A fit that was killed, called again with the same data, parameters, versions
        and number of threads, goes on from there and ends with the same bits; another starts
        anew. Writing takes at most a tenth of the time. With random_state=None the seeds are then
        always the same. Nets with callbacks cannot be kept. Delete the folder when you are done.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to train and predict; "auto" is a GPU where there is one. What is fitted is kept on
        the CPU, so that it loads anywhere.
    random_state : int, RandomState instance or None, default=None
        Rules every draw. The same seed gives the same bits on one machine.
    verbose : int, default=0
        1 shows a bar for each net, 2 prints a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    student_ : skorch.NeuralNet
        The fitted student, all that `predict` uses. Its ``history`` has a row an epoch.
    teacher_ : skorch.NeuralNet or classifier
        The fitted teacher, where one was trained: not with beta=0 and gamma=0, nor where its
        targets came from `memory`. Delete it to save a smaller file.
    priv_transformer_ : transformer or None
        The fitted clone.
    priv_reader_ : views.PrivilegedReader
        What reads X_priv as fit did.
    series_shape_, priv_shape_ : tuple of int
        (T, C) of X and of X_priv.
    n_features_in_ : int
        T * C of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where X was a DataFrame.

    See Also
    --------
    PAPER_SETTINGS : The paper's hyperparameters, for ``GKDClassifier(**PAPER_SETTINGS)``.
    SeriesClassifier : One net on X alone.
    IgnorePrivileged : Lets any other classifier take the same calls.

    Notes
    -----
    The defaults were chosen on validation rows alone, of splits of two real data sets that the
    benchmarks do not use. There, the mean of eight small nets was worth three to five points of
    F-measure over one wide net, and training on all rows up to five over the choice of an epoch by
    a fifth of them. Other weights, temperatures, learning rates, batches and epochs differed by
    less than the splits do, but for gamma=10, the paper's, which was a point or two worse than 1
    where rows are few, and decisions out of fold, which did harm where every row has a label.
    ``benchmarks/results/evidence.md`` has what the defaults give, beside every control.

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
        "X_unlabeled": True,
        "X_priv_unlabeled": True,
        "X_val": True,
        "y_val": True,
        "X_priv_val": True,
    }

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetClassifier._parameter_constraints,
        "teacher": [str, NeuralNet, callable, HasMethods(["fit", "predict_proba"])],
        "student": [str, NeuralNet, callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "teacher_view": [StrOptions({"both", "privileged"})],
        "teacher_cv": ["cv_object"],
        "priv_transformer": [HasMethods(["fit", "transform"]), None],
        "n_channels_priv": NetClassifier._parameter_constraints["n_channels"],
        "memory": [str, HasMethods(["cache"]), None],
    }

    def __init__(
        self,
        teacher="ensemble",
        student="ensemble",
        *,
        alpha=1.0,
        beta=1.0,
        gamma=1.0,
        temperature=1.0,
        teacher_view="both",
        teacher_cv=None,
        priv_transformer=None,
        n_channels=None,
        n_channels_priv=None,
        max_epochs=40,
        batch_size=64,
        lr=1e-3,
        validation_fraction=0.0,
        n_iter_no_change=None,
        class_weight=None,
        memory=None,
        checkpoint=None,
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
        self.teacher_cv = teacher_cv
        self.priv_transformer = priv_transformer
        self.n_channels = n_channels
        self.n_channels_priv = n_channels_priv
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.memory = memory
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X,
        y,
        X_priv=None,
        *,
        groups=None,
        X_unlabeled=None,
        X_priv_unlabeled=None,
        X_val=None,
        y_val=None,
        X_priv_val=None,
    ):
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
            No group has rows on both sides of the split into training and validation rows, nor of
            those of teacher_cv.
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

        Raises
        ------
        ValueError
            Where an argument is not as described; the message says which, what came and what to
            do. The estimator is then as it was before.
        """
        task = Task.of_fit(self, X, y, None if self.teacher_cv is not None else 2)
        with fresh_fit(self):
            split_seed, teacher_seed, student_seed = self._draw_seeds(3)
            view, labels, train, valid = self._check_rows(X, y, X_val, y_val, groups, split_seed)
            weights = self._class_weights(labels[train])
            loss: Callable[[], nn.Module] = partial(LabelLoss, weights)
            targets: tuple[Tensor, ...] = ()
            student = self._net("student")
            width = feature_width(student, "student", [view.shape], len(self.classes_))
            pairs = [
                ("X", X, "X_priv", X_priv),
                ("X_val", X_val, "X_priv_val", X_priv_val),
                ("X_unlabeled", X_unlabeled, "X_priv_unlabeled", X_priv_unlabeled),
            ]
            check_pairs(pairs)
            if X_priv is None:
                self._warn_of_plain_student()
            else:
                if X_unlabeled is not None:
                    view = view.followed_by(self._check_series(X_unlabeled, "X_unlabeled"))
                    labels = np.append(labels, np.full(len(view.series) - len(labels), -1))
                priv, seen = self._read_privileged(pairs, self.classes_[labels], train)
            if X_priv is not None and (self.beta > 0 or self.gamma > 0):
                views = self._seen_by_teacher(view, priv)
                check_features(self.beta, self._teacher(), views, width, len(self.classes_))
                lesson = self._lesson(
                    views, labels, seen, train, valid, weights, groups, split_seed, teacher_seed
                )
                targets, teacher = teach(lesson, self.memory, task)
                if teacher is not None:
                    self.teacher_ = teacher
                train = np.append(train, np.flatnonzero(seen & (labels < 0)))
                terms = (self.alpha, self.beta, self.gamma, self.temperature)
                loss = partial(DistillationLoss, *map(float, terms), weights)
            self.student_ = self._fit_net(
                student, [view], [labels, *targets], train, valid, loss, weights, student_seed, task
            )
        task.end({})
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
        check_is_fitted(
            self,
            "teacher_",
            msg="This %(name)s has no teacher_: it was not fitted, or without X_priv, or with "
            "beta=0 and gamma=0, or its targets came from memory. Fit it with memory=None.",
        )
        series = self._check_series(X)
        check_pairs([("X", X, "X_priv", X_priv)])
        priv, seen = self.priv_reader_.read(X_priv, "X_priv")
        if not seen.all():
            raise ValueError(
                f"X_priv is NaN throughout in {np.sum(~seen)} of its {len(seen)} rows, of which "
                "the teacher can tell nothing. Leave these rows out."
            )
        views = self._seen_by_teacher(series, priv.series)
        device = resolve_device(self.device)
        logits, _ = teacher_outputs(self.teacher_, views, len(self.classes_), device)
        return logits.double().softmax(dim=1).numpy()

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

    def _seen_by_teacher(self, x, priv) -> list:
        return [priv] if self.teacher_view == "privileged" else [x, priv]

    def _warn_of_plain_student(self) -> None:
        if self.beta > 0 or self.gamma > 0:
            warnings.warn(
                f"X_priv was not given, so beta={self.beta} and gamma={self.gamma} have nothing "
                "to distil: the student learns from the labels alone. Pass X_priv to fit, or set "
                "beta=0 and gamma=0.",
                PrivilegedInformationWarning,
                stacklevel=4,
            )

    def _read_privileged(self, pairs, y, train) -> tuple[View, np.ndarray]:
        """Return the privileged view of the rows of all pairs, and which of them have one."""
        (_, _, name, X_priv), *others = pairs
        reader = PrivilegedReader(self.priv_transformer, self.n_channels_priv)
        view, seen = reader.fit(X_priv, y, train).read(X_priv, name)
        for _, X_other, name_other, other in others:
            if X_other is not None:
                other_view, other_seen = (
                    reader.nothing(num_samples(X_other))
                    if other is None
                    else reader.read(other, name_other)
                )
                view, seen = view.followed_by(other_view.series), np.append(seen, other_seen)
        self.priv_reader_ = reader
        self.priv_shape_ = reader.shape
        return view, seen

    def _teacher(self) -> Any:
        """Return the unfitted teacher: a skorch net or a classifier."""
        is_network = isinstance(self.teacher, (str, type, NeuralNet))
        return self._net("teacher") if is_network else self.teacher

    def _lesson(
        self, views, labels, seen, train, valid, weights, groups, split_seed, teacher_seed
    ) -> Lesson:
        train, valid = teacher_rows(
            labels, seen, train, valid, self.validation_fraction, groups, split_seed
        )
        return Lesson(
            teacher=self._teacher(),
            views=views,
            labels=labels,
            seen=seen,
            train=train,
            valid=valid,
            folds=teacher_folds(self.teacher_cv, labels, train, groups, split_seed),
            n_classes=len(self.classes_),
            class_weight=weights,
            n_iter_no_change=self.n_iter_no_change,
            device=resolve_device(self.device),
            seed=teacher_seed,
            checkpoint=self.checkpoint,
        )
