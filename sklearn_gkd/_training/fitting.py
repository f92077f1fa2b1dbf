"""How a net is trained: whole batches from memory, the best epoch kept, seeds, device.

skorch runs the loop. What it is given here is the network behind the scaling of its inputs, an
iterator of in-memory batches, and the callbacks that keep the best epoch.
"""

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from sklearn_gkd._common.files import fingerprint
from sklearn_gkd._common.series import View
from sklearn_gkd._training.checkpoints import Checkpoint, restore, training_state
from sklearn_gkd._training.cohort import Candidates, is_stackable, train_candidates
from sklearn_gkd._training.predicting import (
    PREDICTION_BATCH,
    Standardized,
    prediction_batch,
)
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd._training.resolving import split_callbacks
from sklearn_gkd.exceptions import InterruptedFitWarning
from sklearn_gkd.losses import row_weights


class Batches:
    """Iterates over a TensorDataset in whole batches; a last batch of one row joins the one before.

    Batch normalisation cannot train on a single row.
    """

    def __init__(
        self, dataset: TensorDataset, batch_size: int, n_views: int, *, shuffle: bool = False
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.n_views = n_views
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
        n_rows = len(self.dataset)
        order = torch.randperm(n_rows) if self.shuffle else torch.arange(n_rows)
        order = order.to(self.dataset.tensors[0].device)
        starts = list(range(0, n_rows, self.batch_size))
        if len(starts) > 1 and n_rows - starts[-1] == 1:
            starts.pop()
        for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
            tensors = self.dataset[order[start:stop]]
            yield tensors[: self.n_views], tensors[self.n_views :]


class _DivergedError(Exception):
    """The loss is no number any more."""


class ValidationAccuracy(Callback):
    """Records ``valid_acc`` each epoch, counts the complete epochs, and ends one without a loss.

    With class_weight, each row counts by the weight of its class, as it does in the loss.
    """

    def __init__(self, class_weight: np.ndarray | None = None):
        self.class_weight = class_weight

    def on_train_begin(self, net, **kwargs):
        """Start counting epochs."""
        self.n_epochs_ = 0

    def on_epoch_begin(self, net, **kwargs):
        """Start counting rows."""
        self.correct_ = self.total_ = 0.0

    def on_batch_end(self, net, batch, training, y_pred=None, **kwargs):
        """Count the rows of a validation batch that are classified as labelled."""
        if training:
            if not math.isfinite(net.history[-1, "batches", -1, "train_loss"]):
                raise _DivergedError
        else:
            labels = batch[1][0]
            weights = row_weights(labels, self.class_weight)
            self.correct_ += weights[y_pred[0].argmax(dim=1) == labels].sum().item()
            self.total_ += weights.sum().item()

    def on_epoch_end(self, net, **kwargs):
        """Record the share of correct rows, and whether it is the best so far."""
        if self.total_:
            accuracy = self.correct_ / self.total_
            earlier = [epoch["valid_acc"] for epoch in net.history[:-1]]
            net.history.record("valid_acc", accuracy)
            net.history.record("valid_acc_best", accuracy > max(earlier, default=-1.0))
        self.n_epochs_ += 1


def fit_net(
    net: NeuralNet,
    views: Sequence[View],
    targets: Sequence[np.ndarray | Tensor],
    train: np.ndarray,
    valid: np.ndarray,
    *,
    n_classes: int,
    criterion: Callable[[], nn.Module],
    class_weight: np.ndarray | None,
    n_iter_no_change: int | None,
    device: torch.device,
    seed: int,
    fit_task: Task,
    role: str,
    checkpoint: str | os.PathLike | None,
) -> NeuralNet:
    """Train a net and keep the epoch that is best on the validation rows.

    Parameters
    ----------
    net : NeuralNet
        As `as_net` returns it: its module is a network.
    views : sequence of View
        What the network looks at, for all rows.
    targets : sequence of array or Tensor
        What the criterion is given, for all rows; the class codes first.
    train, valid : ndarray of int
        Training and validation rows. Without validation rows, the last epoch is kept.
    n_classes : int
        Number of classes.
    criterion : callable
        Returns the loss, which is called as ``loss((logits, features), targets)``.
    class_weight : ndarray of shape (n_classes,) or None
        Weight of the rows of each class in the validation accuracy.
    n_iter_no_change : int or None
        Number of epochs without a better one after which training ends.
    device : torch.device
        Where to train.
    seed : int
        Rules the initial weights, the batches and the dropout.
    fit_task : Task
        The fit that the net is trained for.
    role : str
        "teacher", or the name of the net that the estimator predicts with.
    checkpoint : str, path-like or None
        Folder where the state of the training is kept, to go on from there.

    Returns
    -------
    NeuralNet
        On the CPU, in evaluation mode, without what only training needs.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, unless an epoch of the net that the estimator predicts with is complete: then
        there is an `InterruptedFitWarning`, and the best epoch so far is kept.
    ValueError
        Where the loss is no number any more, unless there was an epoch before and validation rows
        to tell the best: then an `InterruptedFitWarning`, and the best epoch is kept.
    """
    stackable = is_stackable(net, criterion)
    checkpoint_of = None
    if checkpoint is not None:
        params = {k: v for k, v in net.get_params().items() if k not in ("lr", "verbose")}
        data = [tuple(view) for view in views], [np.asarray(target) for target in targets]
        settings = train, valid, n_classes, class_weight, n_iter_no_change, device.type, seed
        checkpoint_of = _named_by(checkpoint, role, type(net), params, data, settings)

    def rows(index: np.ndarray) -> TensorDataset:
        arrays = [*(view.series[index] for view in views), *(target[index] for target in targets)]
        return TensorDataset(*(torch.as_tensor(array, device=device) for array in arrays))

    unwanted, given = split_callbacks(net)
    callbacks: list = [("gkd_accuracy", ValidationAccuracy(class_weight))]
    if len(valid):
        best = EarlyStopping(
            "valid_acc", net.max_epochs, 0, lower_is_better=False, sink=noop, load_best=True
        )
        callbacks.append(("gkd_best_epoch", best))
    net.callbacks = callbacks + given
    net.set_params(
        **{f"callbacks__{name}": None for name in unwanted},
        module=Standardized,
        module__network=net.module,
        module__scalings=[View(v.series[train], v.per_column).scaling() for v in views],
        module__shapes=[view.series.shape[1:] for view in views],
        module__n_classes=n_classes,
        criterion=criterion,
        predict_nonlinearity=_softmax,
        device=device,
        iterator_train=Batches,
        iterator_train__n_views=len(views),
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        iterator_valid__n_views=len(views),
        iterator_valid__batch_size=PREDICTION_BATCH,
        train_split=predefined_split(rows(valid)) if len(valid) else None,
    )
    if stackable and checkpoint_of and isinstance(checkpoint, Candidates):
        with seeded(seed, device):
            train_candidates(
                net,
                rows(train),
                checkpoint,
                criterion,
                checkpoint_of,
                class_weight,
                n_iter_no_change,
            )
    state_file = checkpoint_of(criterion, net.lr) if checkpoint_of else None
    with seeded(seed, device):
        _train(net, rows(train), n_iter_no_change, fit_task, role, state_file)
    epochs = list(net.history)
    net.trim_for_prediction()
    net.history.extend(epochs)
    net.module_.cpu().eval().zero_grad()
    net.device = "cpu"
    return net


def _named_by(
    folder: str | os.PathLike, role: str, *content: Any
) -> Callable[[Any, Any], Checkpoint]:
    """Return a function of criterion and learning rate: the checkpoint of such a training."""
    key = fingerprint(content)

    def checkpoint(criterion: Any, lr: Any) -> Checkpoint:
        number = float(lr) if isinstance(lr, Real) else lr  # numpy's as Python's
        return Checkpoint(folder, role, [key, criterion, number])

    return checkpoint


def _train(
    net: NeuralNet,
    data: TensorDataset,
    n_iter_no_change: int | None,
    fit_task: Task,
    role: str,
    checkpoint: Checkpoint | None,
) -> None:
    """Train epoch by epoch: skorch would take an interrupt for the end of the training."""
    net.initialize()
    net.iterator_valid__batch_size = prediction_batch(net.module_)
    net.notify("on_train_begin", X=data, y=None)
    callbacks = dict(net.callbacks_)
    accuracy, best = callbacks["gkd_accuracy"], callbacks.get("gkd_best_epoch")
    state = checkpoint.read() if checkpoint else None
    if state:
        restore(net, best, state)
        accuracy.n_epochs_ = len(net.history)
        if state["finished"]:
            return
    task = fit_task.subtask(role, net.max_epochs)
    ended_by = _epochs(net, data, n_iter_no_change, best, task, role, checkpoint)
    n_complete = accuracy.n_epochs_
    diverged = isinstance(ended_by, _DivergedError)
    message = f"The training of the {role} was interrupted after "
    if diverged:
        message = (
            f"The loss of the {role} is no number any more in epoch {n_complete + 1}, at a "
            f"learning rate of {net.lr:g}. Give a smaller one, and X and X_priv without extreme "
            "values. This was after "
        )
    message += f"{n_complete} of {net.max_epochs} epochs"
    if ended_by and not (n_complete and (best if diverged else role != "teacher")):
        raise ValueError(f"{message}.") if diverged else ended_by
    net.notify("on_train_end", X=data, y=None)
    task.end()
    if ended_by:
        del net.history[n_complete:]
        kept = "best of them" if best else "last state"
        warnings.warn(f"{message}; the {kept} is kept.", InterruptedFitWarning, stacklevel=6)
    elif checkpoint:
        checkpoint.write(training_state(net, best) | {"finished": True})


def _epochs(
    net: NeuralNet,
    data: TensorDataset,
    n_iter_no_change: int | None,
    best: EarlyStopping | None,
    task: Task,
    role: str,
    checkpoint: Checkpoint | None,
) -> BaseException | None:
    """Train the epochs that are left, and return what ended them before their time."""
    n_before = len(net.history)
    bar = tqdm(
        total=net.max_epochs, initial=n_before, desc=role, unit="epoch", disable=net.verbose != 1
    )
    with bar:
        try:
            for _ in range(n_before, net.max_epochs):
                if best and best.misses_ == n_iter_no_change:
                    break
                epoch_task = task.subtask("epoch")
                net.fit_loop(data, epochs=1)
                epoch = net.history[-1]
                epoch["batches"].clear()
                bar.set_postfix({k: epoch[k] for k in ("train_loss", "valid_acc") if k in epoch})
                bar.update()
                if checkpoint:
                    checkpoint.write_when_due(
                        lambda: training_state(net, best) | {"finished": False}
                    )
                predicts = role != "teacher"
                if epoch_task.end((lambda: {f"{role}_": _snapshot(net)}) if predicts else None):
                    break
        except (KeyboardInterrupt, _DivergedError) as error:
            stopped_early = any(
                isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience
                for _, callback in net.callbacks_
            )
            return None if stopped_early else error
    return None


def _snapshot(net: NeuralNet) -> NeuralNet:
    """Return a net that predicts on the CPU as this one does now, in the midst of training."""
    snapshot = object.__new__(type(net))
    module = copy.deepcopy(net.module_).cpu().eval()
    vars(snapshot).update(vars(net), module_=module, device="cpu")
    return snapshot


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)
