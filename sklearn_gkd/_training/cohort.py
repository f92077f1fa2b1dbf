"""Students that differ only in their loss or learning rate, trained side by side as one net.

Such candidates of a search have data, seed, initial weights, batches and dropout in common. In a
stack, each learns what it would learn by itself, but for the order of floating-point sums.
"""

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from skorch import NeuralNet
from torch import Tensor, nn
from torch.utils.data import Dataset

from sklearn_gkd._training.checkpoints import Checkpoint
from sklearn_gkd.losses import DistillationLoss, row_weights
from sklearn_gkd.networks._architectures import MLP, MLPEnsemble, mean_decision
from sklearn_gkd.networks._layers import Dropout, MemberBatchNorm, MemberLinear
from sklearn_gkd.networks._net import SeriesNet

# What gains, measured on CPUs of 1 to 4 threads; of more, each net by itself is as fast.
LARGEST = 2**18  # weights of a candidate's layer

WIDEST = 8192  # units side by side


class Setting(NamedTuple):
    """What the candidates of a stack differ in."""

    alpha: float
    beta: float
    gamma: float
    temperature: float
    lr: float

    def terms(self) -> tuple[bool, bool]:
        """Return whether the loss compares decisions, and whether it compares features."""
        return self.alpha + self.gamma > 0, self.beta > 0


class Candidates(os.PathLike):
    """A checkpoint folder of a search: the first fit of several candidates trains them all.

    Parameters
    ----------
    folder : path-like
        Where the candidates' states are kept, and what `expect` writes.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def expect(self, groups: Sequence[Sequence[Setting]]) -> None:
        """Tell the fits to come their settings, grouped by all other parameters; none ends it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "candidates.json").write_text(json.dumps(groups))

    def stack_of(self, own: Setting, n_units: int) -> list[Setting]:
        """Return the candidates of one's stack, where each has layers of n_units.

        They are those of every group that it is in. Those without the same terms in their loss are
        apart: a layer that no term reaches does not learn, and its weights do not decay.
        """
        path = self.folder / "candidates.json"
        groups = json.loads(path.read_text()) if path.exists() else []
        mine = [{Setting(*values) for values in group} for group in groups if [*own] in group]
        if not mine:
            return []
        settings = sorted(s for s in set.intersection(*mine) if s.terms() == own.terms())
        n_stacks = -(-len(settings) * n_units // WIDEST)
        return settings[settings.index(own) % n_stacks :: n_stacks]


class Stack(MLPEnsemble):
    """The m candidates of a network, computed by batched matrix products.

    Parameters
    ----------
    network : MLP or MLPEnsemble
        What each of them is at the start.
    n_candidates : int
        m.
    """

    def __init__(self, network: MLP | MLPEnsemble, n_candidates: int):
        nn.Module.__init__(self)
        self.n_candidates = n_candidates
        self.n_members = n_candidates * getattr(network, "n_members", 1)
        with torch.random.fork_rng(devices=[]):
            for part in ("body", "head"):
                layers = [_of_candidates(layer, n_candidates) for layer in getattr(network, part)]
                setattr(self, part, nn.Sequential(*layers))
        self.single = {name: value.shape for name, value in network.state_dict().items()}
        values = self.state_dict()
        for name, value in network.state_dict().items():
            one = value.T if value.ndim == 2 else value
            repeated = one.repeat(n_candidates, *[1] * (one.ndim - 1)) if one.ndim else one
            values[name].copy_(repeated.reshape(values[name].shape))

    def forward(self, *views: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (m, n, k, n_classes) and features (m, n, n_features) of k members.

        In evaluation k is 1: the logarithms of the members' mean probabilities.
        """
        logits, features = (
            values.unflatten(0, (self.n_candidates, -1)).transpose(1, 2)
            for values in self.of_members(views)
        )
        if not self.training:
            logits = mean_decision(logits).unsqueeze(2)
        return logits, features.flatten(2)

    def candidate(self, number: int) -> dict[str, Tensor]:
        """Return a copy of the state of one candidate's network."""
        state = {}
        for name, value in self.state_dict().items():
            shape = self.single[name]
            own = value.unflatten(0, (self.n_candidates, -1))[number] if shape else value
            state[name] = (own[0].T if len(shape) == 2 else own.reshape(shape)).clone()
        return state


class _SharedDropout(Dropout):
    """Dropout that drops the same units of each candidate."""

    def __init__(self, p: float, n_candidates: int):
        super().__init__(p)
        self.n_candidates = n_candidates

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        of_each = x.unflatten(0, (self.n_candidates, -1))
        return (of_each * super().forward(x.new_ones(of_each.shape[1:]))).flatten(0, 1)


def _of_candidates(layer: nn.Module, n_candidates: int) -> nn.Module:
    match layer:
        case nn.Linear():
            return MemberLinear(n_candidates, layer.in_features, layer.out_features)
        case MemberLinear():
            n_members, n_inputs, n_outputs = layer.weight.shape
            return MemberLinear(n_candidates * n_members, n_inputs, n_outputs)
        case nn.BatchNorm1d():
            n_members = getattr(layer, "n_members", 1)
            return MemberBatchNorm(n_candidates * n_members, layer.num_features // n_members)
        case Dropout():
            return _SharedDropout(layer.p, n_candidates)
    return layer  # an activation


def is_stackable(net: NeuralNet, criterion: Any) -> bool:
    """Return whether a net is one that a stack trains as skorch would."""
    own = {"module", "criterion", "optimizer", "lr", "max_epochs", "batch_size", "verbose"}
    others = set(net.get_params(deep=False)) - own
    optimizer = getattr(net.optimizer, "func", net.optimizer)
    return (
        type(net) is SeriesNet
        and net.module in (MLP, MLPEnsemble)
        and getattr(criterion, "func", None) is DistillationLoss
        and all(name.startswith(("module__", "optimizer__")) for name in others)
        and not {"optimizer__param_groups", "optimizer__lr"} & others
        and optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
        and not net.verbose
    )


def train_candidates(
    net: NeuralNet,
    data: Dataset,
    candidates: Candidates,
    criterion: Any,
    checkpoint_of: Callable[[Any, Any], Checkpoint],
    class_weight: np.ndarray | None,
    n_iter_no_change: int | None,
) -> None:
    """Train one candidate and those of its stack, and write the state that each ends in.

    A candidate whose loss is no number any more gets none: its own fit says so.

    Parameters
    ----------
    net : NeuralNet
        As fit_net has set it, not initialized.
    data : Dataset
        The training rows.
    candidates : Candidates
        Those of the search.
    criterion : partial of DistillationLoss
        The candidate's own.
    checkpoint_of : callable
        Returns the checkpoint of the fit with another criterion and learning rate.
    class_weight, n_iter_no_change
        See `fit_net`.
    """
    *weights, class_weight_of_loss = criterion.args
    if checkpoint_of(criterion, net.lr).path.exists():
        return
    net.initialize()
    network = net.module_.network
    n_units = max(p.numel() for name, p in network.named_parameters() if name.endswith("bias"))
    settings = candidates.stack_of(Setting._make([*weights, net.lr]), n_units)
    if len(settings) < 2 or max(p.numel() for p in network.parameters()) > LARGEST:
        return
    done = checkpoint_of(settings, None).path.with_suffix(".trained")
    with FileLock(done.with_suffix(".lock")):
        if done.exists():
            return
        states = _train(net, data, settings, class_weight_of_loss, class_weight, n_iter_no_change)
        for setting, state in zip(settings, states, strict=True):
            if state:
                own = partial(DistillationLoss, *setting[:4], class_weight_of_loss)
                checkpoint_of(own, setting.lr).write(state)
        done.touch()


class _Record:
    """The epochs of one candidate, and the weights of the one that is kept."""

    def __init__(self) -> None:
        self.epochs: list[dict] = []
        self.weights: dict[str, Tensor] = {}
        self.misses = 0
        self.diverged = False

    def note(self, epoch: dict, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Add an epoch, and keep its weights if it is the best, or if none can be told."""
        epoch |= {
            f"{name}_best": all(_better(name, epoch[name], before[name]) for before in self.epochs)
            for name in ("train_loss", "valid_loss", "valid_acc")
            if name in epoch
        }
        self.epochs.append(epoch)
        self.misses = 0 if epoch.get("valid_acc_best", True) else self.misses + 1
        if self.misses == 0:
            self.weights = weights()


def _better(name: str, value: float, before: float) -> bool:
    return value > before if name == "valid_acc" else value < before


def _train(
    net: NeuralNet,
    data: Dataset,
    settings: list[Setting],
    class_weight_of_loss: Any,
    class_weight: np.ndarray | None,
    n_iter_no_change: int | None,
) -> Iterator[dict | None]:
    """Train a stack of the net, and yield the state in which each candidate's training ends."""
    module = copy.deepcopy(net.module_)
    module.network = Stack(module.network, len(settings)).to(net.device)
    dtype = next(module.parameters()).dtype
    alpha, beta, gamma, temperature, lr = torch.tensor(settings, dtype=dtype, device=net.device).T
    criterion = DistillationLoss(
        alpha, beta, gamma, temperature[:, None, None, None], class_weight_of_loss
    )
    args, kwargs = net.get_params_for_optimizer("optimizer", list(module.named_parameters()))
    optimizer = net.optimizer(*args, **kwargs | {"lr": max(setting.lr for setting in settings)})
    take_step = optimizer.step if (lr == lr[0]).all() else partial(_step, optimizer, lr / lr.max())
    train, valid = net.get_split_datasets(data)
    records = [_Record() for _ in settings]
    for number in range(1, net.max_epochs + 1):
        start = time.perf_counter()
        module.train()
        scores = {"train_loss": _train_epoch(net, module, criterion, take_step, train)}
        if valid is not None:
            module.eval()
            scores |= _validate(net, module, criterion, class_weight, valid)
        duration = (time.perf_counter() - start) / len(settings)
        going_on = 0
        for c, record in enumerate(records):
            record.diverged |= not scores["train_loss"][c].isfinite().item()
            if record.diverged or (record.epochs and record.misses == n_iter_no_change):
                continue
            going_on += 1
            epoch = {"batches": [], "epoch": number, "dur": duration}
            epoch |= {name: values[c].item() for name, values in scores.items()}
            record.note(epoch, partial(module.network.candidate, c))
        if not going_on:
            break
    scaling = {name: value for name, value in net.module_.named_buffers(recurse=False)}
    own_optimizer = net.optimizer_.state_dict()
    for setting, record in zip(settings, records, strict=True):
        groups = [group | {"lr": setting.lr} for group in own_optimizer["param_groups"]]
        weights = {f"network.{name}": value for name, value in record.weights.items()}
        yield (
            None
            if record.diverged
            else {
                "module": weights | scaling,
                "optimizer": own_optimizer | {"param_groups": groups},
                "history": record.epochs,
                "random": torch.get_rng_state(),
                "best": {},
                "finished": True,
            }
        )


@torch.no_grad()
def _step(optimizer: torch.optim.Optimizer, shares: Tensor) -> None:
    """Take a step, of which each candidate goes its share: in all optimizers, lr scales a step."""
    parameters = [p.unflatten(0, (len(shares), -1)) for p in optimizer.param_groups[0]["params"]]
    before = [p.clone() for p in parameters]
    optimizer.step()
    for after, start in zip(parameters, before, strict=True):
        after.copy_(start.lerp(after, shares.view(-1, *[1] * (after.ndim - 1))))


def _train_epoch(net, module, criterion, take_step, data) -> Tensor:
    """Return the mean loss of each candidate."""
    totals = []
    for views, targets in net.get_iterator(data, training=True):
        module.zero_grad()
        losses = criterion(module(views), targets)
        losses.sum().backward()
        take_step()
        totals.append(losses.detach() * len(targets[0]))
    return torch.stack(totals).sum(dim=0) / len(data)


@torch.inference_mode()
def _validate(net, module, criterion, class_weight, data) -> dict[str, Tensor]:
    """Return the mean loss and the accuracy of each candidate."""
    totals, hits, weights = [], [], []
    for views, targets in net.get_iterator(data, training=False):
        output, labels = module(views), targets[0]
        totals.append(criterion(output, targets) * len(labels))
        of_rows = row_weights(labels, class_weight)
        hits.append((output[0].squeeze(2).argmax(dim=-1) == labels).to(of_rows.dtype) @ of_rows)
        weights.append(of_rows.sum())
    return {
        "valid_loss": torch.stack(totals).sum(dim=0) / len(data),
        "valid_acc": torch.stack(hits).sum(dim=0) / torch.stack(weights).sum(),
    }
