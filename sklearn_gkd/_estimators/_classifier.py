"""The classifier that is taught by privileged information."""

import os
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from skorch import NeuralNet

from sklearn_gkd._common.compat import HasMethods, Interval
from sklearn_gkd._estimators._net_classifier import NetClassifier
from sklearn_gkd._estimators._taught import TaughtEstimator
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
        Weight of the labels beside beta and gamma; where no teacher teaches, it does nothing.
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
        `eo.GapFiller`. One that learns from y is refused where a teacher is asked of rows that it
        has not seen: with `teacher_cv`, and with pairs unless ``distillation="always"``.
    n_channels, n_channels_priv : int, default=None
        Number C of channels of a 2-D X and of a 2-D X_priv (after priv_transformer): columns are
        time-major, ``t * C + c``. None: read off column names such as ``VV_d012`` or
        ``VV_2016-01-12``, and one channel where there are none (a transformer returns an array
        without names unless ``set_output`` asks for a frame). A 3-D array needs none.
    priv_sources : list of (name, transformer, columns, shape), default=None
        Sources of privileged information, each a part of one table X_priv, in the place of
        `priv_transformer` and `n_channels_priv`: its name; a transformer, or "passthrough"; the
        columns, as in `sklearn.compose.ColumnTransformer` (a slice, numbers, names, a mask or a
        callable); and the number of channels C, or (T, C), or (H, W, C) of images, of what the
        transformer returns, None where its column names tell. A row lacks the sources whose
        columns are NaN throughout, and the teacher learns from the others: networks of this package
        as `networks` tells, with some of them left out at random in training; other estimators see
        NaN in their place. Parameters of a transformer are set as ``<name>__<parameter>``.
    max_epochs : int, default=None
        Passes of each net over its n training rows. None: 300 over the fourth root of n, which is
        113 for 50 rows and 54 for 1,000; of an "ensemble" on more than 1,024 rows that have a
        label, fewer: 15 for 4,096 and 12 for 10,000.
    batch_size : int, default=None
        Rows in each training step. None: 64; of an "ensemble" on more than 1,024 rows, n / 16 and
        at most 256.
    lr : float, default=None
        Learning rate of both nets, for Adam. None: 1e-3; of an "ensemble" on more than 1,024 rows,
        up to 6e-3, with the batch. Where its batches are of more than 64 rows there, its rate,
        yours too, falls to 0 in the last three tenths of its passes.
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
    priv_sources_ : list of tuple
        Of several sources, in place of priv_transformer_ and priv_shape_, the name, the fitted
        transformer, the numbers of the columns and the (T, C), or (H, W, C), of each.
    n_features_in_ : int
        T * C of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, where X was a DataFrame.

    See Also
    --------
    sklearn_gkd.PAPER_SETTINGS : The paper's, for ``GKDClassifier(**PAPER_SETTINGS)``.
    SeriesClassifier : One net on X alone.
    IgnorePrivileged : Lets any other classifier take the same calls.

    Notes
    -----
    The defaults were chosen on validation rows alone: length and rate on those of splits that the
    benchmarks use too, the others on splits that they do not. There, the mean of eight small nets
    was worth three to five points of F-measure over one wide net, and training on all rows up to
    five over the choice of an epoch by a fifth of them. On four data sets of 50, 200 and 800
    labels, no fixed number of 40 to 1,000 steps was more than 0.3 points better on average than the
    passes of max_epochs=None. On 1,600 and 2,400 rows, larger and fewer steps were 0.2 points worse
    (standard error 0.2) and took half of the time; on 4,298, less than a third. Other weights,
    temperatures, learning rates, schedules and batches differed by less than the splits do, but for
    gamma=10, the paper's, which was a point or two worse than 1 where rows are few, for features of
    full weight where X_priv says little, and for decisions out of fold, which did harm where every
    row has a label.
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetClassifier._parameter_constraints,
        **TaughtEstimator._parameter_constraints,
        "teacher": [str, NeuralNet, callable, HasMethods(["fit", "predict_proba"])],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        teacher: Any = "ensemble",
        student: Any = "ensemble",
        *,
        alpha: float = 1.0,
        beta: float = 0.1,
        gamma: float = 1.0,
        temperature: float = 1.0,
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
        class_weight: Any = None,
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
        self.temperature = temperature
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
        self.class_weight = class_weight
        self.memory = memory
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _loss_weights(self) -> LossWeights:
        return super()._loss_weights()._replace(temperature=float(self.temperature))

    @plain_torch()
    def teacher_predict_proba(self, X: Any, X_priv: Any) -> np.ndarray:
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
        return self._told_by_teacher(X, X_priv).double().softmax(dim=1).numpy()
