"""The classifier that is taught by privileged information."""

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import HasMethods, fit_context
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._estimators._net_classifier import NetClassifier
from sklearn_gkd._estimators._privileged import (
    Pair,
    check_pairs,
)
from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._estimators._teacher import (
    check_teacher,
    teach,
    teacher_outputs,
)
from sklearn_gkd._training.callbacks import check_callbacks
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.resolving import feature_width, resolve_device
from sklearn_gkd._training.torch_state import plain_torch
from sklearn_gkd.losses import LossWeights


class GKDClassifier(TaughtEstimator, NetClassifier):
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
        `predict_proba`, which is cloned and fitted on its views side by side in a table; one that
        is fitted already, on classes of y, stays so as ``FrozenEstimator(teacher)``. It has no
        features: beta must then be 0.
    alpha : float, default=1.0
        Weight of the labels.
    beta : float, default=0.1
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
    distillation : {"auto", "always"}, default="auto"
        With pairs without a label, ``"auto"`` first tries whether their lesson helps, by small nets
        trained on two thirds of the labelled rows and tested on the others, three times. Where the
        teacher does not lead, and students that distil are no better than others, or where it leads
        a little, and they are clearly worse, a `PrivilegedInformationWarning` says so, and the
        student learns from the labels alone.
        ``"always"`` distils as the method is published.
    priv_transformer : transformer, default=None
        Cloned, fitted on the training rows of X_priv and applied to X_priv, for instance
        `eo.GapFiller`.
    n_channels, n_channels_priv : int, default=None
        Number C of channels of a 2-D X and of a 2-D X_priv (after priv_transformer): columns are
        time-major, ``t * C + c``. None: read off column names such as ``VV_d012`` or
        ``VV_2016-01-12``, and one channel where there are none (a transformer returns an array
        without names unless ``set_output`` asks for a frame). A 3-D array needs none.
    max_epochs : int, default=None
        Passes of each net over its training rows. None: 300 over the fourth root of their number,
        which is 113 for 50 rows, 54 for 1,000 and 30 for 10,000.
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
    memory : str, path-like or joblib.Memory, default=None
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
        The fitted student, all that `predict` uses. Its ``history`` has a row an epoch; its own
        `predict` and `predict_proba` take series in raw units and give class codes and
        probabilities in the order of ``classes_``.
    teacher_ : skorch.NeuralNet or classifier
        The fitted teacher, where one was trained: not with beta=0 and gamma=0, nor where its
        targets came from `memory`. Delete it to save a smaller file.
    distillation_ : Distillation
        Where there was a teacher: whether the student learnt from it (``used``), and the log losses
        on held-out rows that decided it (``loss_alone``, ``loss_teacher``, ``loss_distilled``; NaN
        where nothing was tried).
    n_iter_ : int
        Number of epochs that the student was trained for.
    priv_transformer_ : transformer or None
        The fitted clone.
    priv_reader_ : object
        What reads X_priv as fit did.
    series_shape_, priv_shape_ : tuple of int
        (T, C) of X and of X_priv.
    n_features_in_ : int
        T * C of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, where X was a DataFrame.

    See Also
    --------
    PAPER_SETTINGS : The paper's hyperparameters, for ``GKDClassifier(**PAPER_SETTINGS)``.
    SeriesClassifier : One net on X alone.
    IgnorePrivileged : Lets any other classifier take the same calls.

    Notes
    -----
    The defaults were chosen on validation rows alone, of splits of real data that the benchmarks
    do not use. There, the mean of eight small nets was worth three to five points of F-measure
    over one wide net, and training on all rows up to five over the choice of an epoch by a fifth
    of them. On four data sets of 50, 200 and 800 labels, no fixed number of 40 to 1,000 steps was
    more than 0.3 points better on average than the passes of max_epochs=None. Other weights,
    temperatures, learning rates, schedules and batches differed by less than the splits do, but
    for gamma=10, the paper's, which was a point or two worse than 1 where rows are few, for
    features of full weight where X_priv says little, and for decisions out of fold, which did harm
    where every row has a label. ``benchmarks/results/evidence.md`` has what the defaults give,
    beside every control.

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

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetClassifier._parameter_constraints,
        **TaughtEstimator._parameter_constraints,
        "teacher": [str, NeuralNet, callable, HasMethods(["fit", "predict_proba"])],
    }

    def __init__(
        self,
        teacher="ensemble",
        student="ensemble",
        *,
        alpha=1.0,
        beta=0.1,
        gamma=1.0,
        temperature=1.0,
        teacher_view="both",
        teacher_cv=None,
        distillation="auto",
        priv_transformer=None,
        n_channels=None,
        n_channels_priv=None,
        max_epochs=None,
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
        self.distillation = distillation
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
    @plain_torch()
    def fit(
        self,
        X,
        y,
        X_priv=None,
        *,
        sample_weight=None,
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
            `PrivilegedInformationWarning` says so. Where two arguments are pandas objects, the
            labels of their rows must agree. A step of a Pipeline that drops or adds rows, as
            imbalanced-learn's samplers do, does so with X and y alone: draw the rows of both
            before, ``rows, y = sampler.fit_resample(np.arange(len(y))[:, None], y)`` and fit on
            ``X[rows.ravel()], y, X_priv=X_priv[rows.ravel()]``.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in every term of both nets' losses, beside `class_weight`, and in
            their validation accuracy; only ratios matter. A row of weight 0 is left out before
            all else: errors that number rows count without it. Scaling weighs the others alike.
            Rows of X_val and X_unlabeled weigh 1, as the mean training row does. A teacher that
            is not a network is fitted with these weights too, and must take them.
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
            Itself, fitted.

        Raises
        ------
        ValueError
            Where an argument is not as described; the message says which, what came and what to
            do. The estimator is then as it was before.
        """
        one_of_each = self.teacher_cv is None and X_unlabeled is None
        task = Task.of_fit(self, X, y, 2 if one_of_each else None)
        with fresh_fit(self):
            check_rows(X=X, y=y, X_priv=X_priv, sample_weight=sample_weight, groups=groups)
            check_rows(X_val=X_val, y_val=y_val, X_priv_val=X_priv_val)
            split_seed, teacher_seed, student_seed = self._draw_seeds(3)
            weights, (X, y, X_priv, groups) = self._leave_out_weightless(
                sample_weight, X, y=y, X_priv=X_priv, groups=groups
            )
            rows, classes = self._check_rows(X, y, weights, X_val, y_val, groups, split_seed)
            self._warn_of_unused(len(rows.valid))
            student = self._net("student")
            width = feature_width(student, "student", [rows.view.shape], classes.n_outputs)
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
                labels = self.classes_[rows.codes]
                privileged = self._read_privileged(pairs, labels, rows.train)
                if self.beta > 0 or self.gamma > 0:
                    lesson = self._lesson(
                        rows, privileged, classes, groups, split_seed, teacher_seed
                    )
                    check_teacher(self.beta, lesson, width)
                    targets, teacher = teach(lesson, self.memory, self._states(), task)
                    if teacher is not None:
                        self.teacher_ = teacher
                        self._teacher_codes_ = lesson.codes_of(teacher)
                    of_loss = map(float, (self.alpha, self.beta, self.gamma, self.temperature))
                    weights = LossWeights(*of_loss)
                    self.distillation_ = self._try_distillation(
                        lesson, rows, student, weights, groups, task
                    )
                    if self.distillation_.used:
                        rows = rows.with_taught(privileged.seen)
                        taught = {"taught": targets, "weights": weights}
            self.student_ = self._fit_net(student, rows, classes, student_seed, task, **taught)
        task.end({})
        return self

    @plain_torch()
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
        check_pairs(Pair("X", X, "X_priv", X_priv))
        view, seen = self.priv_reader_.read(X_priv, "X_priv")
        if not seen.all():
            raise ValueError(
                f"X_priv is NaN throughout in {np.sum(~seen)} of its {len(seen)} rows, of which "
                "the teacher can tell nothing. Leave these rows out."
            )
        views = self._seen_by_teacher(series, view.series)
        device = resolve_device(self.device)
        codes = getattr(self, "_teacher_codes_", None)
        logits, _ = teacher_outputs(self.teacher_, codes, views, len(self.classes_), device)
        return logits.double().softmax(dim=1).numpy()
