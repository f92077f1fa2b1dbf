"""Train one net: whole batches from memory, the best epoch kept, its state in a store.

skorch runs the loop. What it is given here is the network behind the scaling of its inputs, an
iterator of in-memory batches, and the callbacks that keep the best epoch and lower the rate.
"""

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from sklearn.base import clone
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from sklearn_gkd._common.checks import warn
from sklearn_gkd._training.batches import Batches
from sklearn_gkd._training.callbacks import score_labelled_rows
from sklearn_gkd._training.checkpoints import Checkpoint, Store, restore, training_state
from sklearn_gkd._training.predicting import Standardized, prediction_batch, prediction_params
from sklearn_gkd._training.progress import Task
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd._training.training import Outcome, Training
from sklearn_gkd.exceptions import InterruptedFitWarning
from sklearn_gkd.losses import sample_weight_of


class _DivergedError(Exception):
    """The loss became NaN or infinite."""


class ValidationScore(Callback):
    """Records the score of each epoch, counts the complete epochs, and ends one without a loss."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start counting epochs."""
        self.n_epochs_ = 0

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start counting points."""
        self.points_ = self.most_ = 0.0

    def on_batch_end(
        self, net: NeuralNet, batch: Any, training: bool, y_pred: Any = None, **kwargs: Any
    ) -> None:
        """Count the points of a validation batch."""
        if training:
            if not math.isfinite(net.history[-1, "batches", -1, "train_loss"]):
                raise _DivergedError
        else:
            targets = batch[1]
            points, most = self.outcome.score(y_pred[0], targets[0], sample_weight_of(targets))
            self.points_ += points.item()
            self.most_ += most.item()

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Record the points for the weight of all rows, and whether they are the best so far."""
        if self.most_:
            score = self.points_ / self.most_
            name = self.outcome.score_name
            earlier = [epoch[name] for epoch in net.history[:-1]]
            net.history.record(name, score)
            net.history.record(f"{name}_best", score > max(earlier, default=-math.inf))
        self.n_epochs_ += 1


class RateShares(Callback):
    """Takes the steps of each epoch at a share of the learning rate, whatever else changes that."""

    def __init__(self, shares: Sequence[float]):
        self.shares = shares

    def on_batch_begin(self, net: NeuralNet, batch: Any, training: bool, **kwargs: Any) -> None:
        """Go down to the share for a step."""
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]
        if training:
            share = self.shares[len(net.history) - 1]
            self._set(net, [rate * share for rate in self.rates_])

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Come back to the whole rate, from which a scheduler goes on."""
        self._set(net, self.rates_)

    def _set(self, net: NeuralNet, rates: Sequence[float]) -> None:
        for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
            group["lr"] = rate


def fit_net(training: Training, store: Store, fit_task: Task) -> NeuralNet:
    """Train a net and keep the epoch that is best on the validation rows.

    Parameters
    ----------
    training : Training
        What is trained.
    store : Store
        Where the state of the training is kept, to go on from there.
    fit_task : Task
        The fit that the net is trained for.

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
        Where the loss became NaN or infinite, unless there was an epoch before and validation rows
        to tell the best: then an `InterruptedFitWarning`, and the best epoch is kept.
    """
    checkpoint = store.checkpoint(training)
    net = prepare(training)
    data = training.dataset(training.train)
    with seeded(training.seed, training.device):
        net.initialize()
        net.iterator_valid__batch_size = prediction_batch(net.module_)
        score_labelled_rows(net)
        net.notify("on_train_begin", X=data, y=None)
        if not resume(net, checkpoint):
            train(net, data, training, checkpoint, fit_task)
    return trim(net)


def prepare(training: Training) -> NeuralNet:
    """Return the skorch net that a training trains, not initialized."""
    net = clone(training.net).set_params(**training.budget._asdict())
    unused, given = _split_callbacks(net)
    callbacks: list[tuple[str, Callback]] = [
        ("gkd_score", ValidationScore(training.outcome)),
        ("gkd_rate", RateShares(training.rate_shares)),
    ]
    if len(training.valid):
        best = EarlyStopping(
            training.outcome.score_name,
            net.max_epochs,
            0,
            lower_is_better=False,
            sink=noop,
            load_best=True,
        )
        callbacks.append(("gkd_best_epoch", best))
    net.callbacks = callbacks + given
    valid = training.dataset(training.valid) if len(training.valid) else None
    if isinstance(net, NeuralNetClassifier):
        net.classes = range(training.outcome.n_outputs)
    return net.set_params(
        **{f"callbacks__{name}": None for name in unused},
        module=Standardized,
        module__network=net.module,
        module__scalings=training.scalings(),
        module__shapes=training.shapes,
        module__n_classes=training.outcome.n_outputs,
        module__output_bias=training.output_bias(),
        module__averages=training.outcome.averages,
        criterion=partial(training.outcome.loss, training.weights),
        device=training.device,
        iterator_train=Batches,
        iterator_train__n_views=len(training.views),
        iterator_train__shuffle=True,
        train_split=None if valid is None else predefined_split(valid),
        **prediction_params(training.shapes, training.outcome.averages),
    )


def resume(net: NeuralNet, checkpoint: Checkpoint | None) -> bool:
    """Bring a net to where its training was left, and return whether it was finished."""
    state = checkpoint.read() if checkpoint else None
    if state is None:
        return False
    restore(net, _best_epoch(net), state)
    _score(net).n_epochs_ = len(net.history)
    return state["finished"]


def train(
    net: NeuralNet,
    data: TensorDataset,
    training: Training,
    checkpoint: Checkpoint | None,
    fit_task: Task,
) -> None:
    """Train epoch by epoch: skorch would take an interrupt for the end of the training."""
    task = fit_task.subtask(training.role, net.max_epochs)
    ended_by = _epochs(net, data, training, checkpoint, task)
    report = _report_or_raise(net, training, ended_by) if ended_by else None
    net.notify("on_train_end", X=data, y=None)
    task.end()
    if report:
        del net.history[_score(net).n_epochs_ :]
        warn(report, InterruptedFitWarning)
    elif checkpoint and not task.cut_short:
        checkpoint.write(training_state(net, _best_epoch(net)) | {"finished": True})


def trim(net: NeuralNet) -> NeuralNet:
    """Move a trained net to the CPU, and drop what only training needs."""
    epochs = [{**epoch, "batches": []} for epoch in net.history]
    net.trim_for_prediction()
    net.history.extend(epochs)
    net.module_.cpu().eval().zero_grad()
    net.device = "cpu"
    return net


def _epochs(
    net: NeuralNet,
    data: TensorDataset,
    training: Training,
    checkpoint: Checkpoint | None,
    task: Task,
) -> BaseException | None:
    """Train the epochs that are left, and return what ended them before their time."""
    n_before, best = len(net.history), _best_epoch(net)
    bar = tqdm(
        total=net.max_epochs,
        initial=n_before,
        desc=training.role,
        unit="epoch",
        disable=net.verbose != 1,
    )
    with bar:
        try:
            for _ in range(n_before, net.max_epochs):
                if best and best.misses_ == training.n_iter_no_change:
                    break
                epoch_task = task.subtask("epoch")
                net.fit_loop(data, epochs=1)
                epoch = net.history[-1]
                del epoch["batches"][:-1]  # the last one names the files of skorch's checkpoints
                shown = ("train_loss", training.outcome.score_name)
                bar.set_postfix({name: epoch[name] for name in shown if name in epoch})
                bar.update()
                if checkpoint:
                    checkpoint.write_when_due(
                        lambda: training_state(net, best) | {"finished": False}
                    )
                if epoch_task.end(
                    (lambda: {f"{training.role}_": _snapshot(net)}) if training.predicts else None
                ):
                    task.cut()
                    break
        except (KeyboardInterrupt, _DivergedError) as error:
            stopped_early = any(
                isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience
                for _, callback in net.callbacks_
            )
            return None if stopped_early else error
    return None


def _report_or_raise(net: NeuralNet, training: Training, ended_by: BaseException) -> str:
    """Return what to warn of where a training ended early, or raise where nothing can be kept."""
    n_complete, best, role = _score(net).n_epochs_, _best_epoch(net), training.role
    diverged = isinstance(ended_by, _DivergedError)
    message = f"The training of the {role} was interrupted after "
    if diverged:
        message = (
            f"The loss of the {role} became NaN or infinite in epoch {n_complete + 1}, at a "
            f"learning rate of {net.lr:g}. Give a smaller one, and series without extreme values. "
            "This was after "
        )
    message += f"{n_complete} of {net.max_epochs} epochs"
    if not (n_complete and (best if diverged else training.predicts)):
        raise ValueError(f"{message}.") if diverged else ended_by
    return f"{message}; the {'best of them' if best else 'last state'} is kept."


def _snapshot(net: NeuralNet) -> NeuralNet:
    """Return a net that predicts on the CPU as this one does now, in the midst of training."""
    snapshot = object.__new__(type(net))
    module = copy.deepcopy(net.module_).cpu().eval()
    vars(snapshot).update(vars(net), module_=module, device="cpu")
    return snapshot


def _split_callbacks(net: NeuralNet) -> tuple[list[str], list[Any]]:
    """Return the names of skorch's callbacks that are not used, and those that were given."""
    names = [name for name, _ in net.get_default_callbacks()]
    if net.callbacks == "disable":
        return names, []
    # ValidationScore takes the place of a classifier's own, the bar that of the table.
    unused = {"valid_acc", "print_log"} if net.verbose == 1 else {"valid_acc"}
    return [name for name in names if name in unused], list(net.callbacks or [])


def _score(net: NeuralNet) -> ValidationScore:
    return dict(net.callbacks_)["gkd_score"]


def _best_epoch(net: NeuralNet) -> EarlyStopping | None:
    return dict(net.callbacks_).get("gkd_best_epoch")
