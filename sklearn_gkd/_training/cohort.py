"""Train a cohort: nets that differ only in the weights of their loss or in their learning rate.

They have data, seed, initial weights, batches and dropout in common, and are trained side by side
as one net: each learns what it would learn by itself, but for the order of floating-point sums.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from sklearn_gkd._training.fitting import prepare
from sklearn_gkd._training.randomness import seeded
from sklearn_gkd._training.training import Outcome, Setting, Training
from sklearn_gkd.losses import LossWeights, sample_weight_of
from sklearn_gkd.networks._architectures import MLP, Averages, MLPEnsemble, mean_decision
from sklearn_gkd.networks._layers import Dropout, MemberBatchNorm, MemberLinear
from sklearn_gkd.networks._net import SeriesNet


class CohortNetwork(MLPEnsemble):
    """The m nets of a cohort, computed by batched matrix products.

    Parameters
    ----------
    network : MLP or MLPEnsemble
        What each of them is at the start.
    n_nets : int
        m.
    averages : {"probabilities", "outputs"}
        See `MLPEnsemble`.
    """

    def __init__(self, network: MLP | MLPEnsemble, n_nets: int, averages: Averages):
        nn.Module.__init__(self)
        self.averages = averages
        self.n_nets = n_nets
        self.n_members = n_nets * getattr(network, "n_members", 1)
        with torch.random.fork_rng(devices=[]):
            for part in ("body", "head"):
                layers = [_side_by_side(layer, n_nets) for layer in getattr(network, part)]
                setattr(self, part, nn.Sequential(*layers))
        self.single = {name: value.shape for name, value in network.state_dict().items()}
        values = self.state_dict()
        for name, value in network.state_dict().items():
            one = value.T if value.ndim == 2 else value
            repeated = one.repeat(n_nets, *[1] * (one.ndim - 1)) if one.ndim else one
            values[name].copy_(repeated.reshape(values[name].shape))

    def forward(self, *views: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits (m, n, k, n_classes) and features (m, n, n_features) of k members.

        In evaluation k is 1: the members' `mean_decision`.
        """
        logits, features = (
            values.unflatten(0, (self.n_nets, -1)).transpose(1, 2)
            for values in self.of_members(views)
        )
        if not self.training:
            logits = mean_decision(logits, self.averages).unsqueeze(2)
        return logits, features.flatten(2)

    def of_net(self, number: int) -> dict[str, Tensor]:
        """Return a copy of the state of one net's network."""
        state = {}
        for name, value in self.state_dict().items():
            shape = self.single[name]
            own = value.unflatten(0, (self.n_nets, -1))[number] if shape else value
            state[name] = (own[0].T if len(shape) == 2 else own.reshape(shape)).clone()
        return state


class _SharedDropout(Dropout):
    """Dropout that drops the same units of each net."""

    def __init__(self, p: float, n_nets: int):
        super().__init__(p)
        self.n_nets = n_nets

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        of_each = x.unflatten(0, (self.n_nets, -1))
        return (of_each * super().forward(x.new_ones(of_each.shape[1:]))).flatten(0, 1)


def _side_by_side(layer: nn.Module, n_nets: int) -> nn.Module:
    match layer:
        case nn.Linear():
            return MemberLinear(n_nets, layer.in_features, layer.out_features)
        case MemberLinear():
            n_members, n_inputs, n_outputs = layer.weight.shape
            return MemberLinear(n_nets * n_members, n_inputs, n_outputs)
        case nn.BatchNorm1d():
            n_members = getattr(layer, "n_members", 1)
            return MemberBatchNorm(n_nets * n_members, layer.num_features // n_members)
        case Dropout():
            return _SharedDropout(layer.p, n_nets)
    return layer  # an activation


def can_join(training: Training) -> bool:
    """Return whether a cohort trains this net as skorch would: one that distils, of known parts."""
    net = training.net
    own = {"module", "criterion", "optimizer", "lr", "max_epochs", "batch_size", "verbose"}
    others = set(net.get_params(deep=False)) - own
    optimizer = getattr(net.optimizer, "func", net.optimizer)
    return (
        type(net) is SeriesNet
        and net.module in (MLP, MLPEnsemble)
        and training.weights is not None
        and all(name.startswith(("module__", "optimizer__")) for name in others)
        and not {"optimizer__param_groups", "optimizer__lr"} & others
        and optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
        and not net.verbose
    )


def layer_sizes(training: Training) -> tuple[int, int]:
    """Return the units and the weights of the largest layers of a net that can join a cohort."""
    with torch.device("meta"):
        network = training.net.module(
            training.shapes, training.outcome.n_outputs, **training.net.get_params_for("module")
        )
    parameters = dict(network.named_parameters())
    n_units = max(p.numel() for name, p in parameters.items() if name.endswith("bias"))
    return n_units, max(p.numel() for p in parameters.values())


def train_cohort(
    training: Training, settings: Sequence[Setting]
) -> Iterator[dict[str, Any] | None]:
    """Train a net in each setting, and yield the state in which each one's training ends.

    Parameters
    ----------
    training : Training
        Of one of the nets.
    settings : sequence of Setting
        Those of all.

    Yields
    ------
    dict or None
        What `checkpoints.restore` takes; None where the loss became NaN or infinite.
    """
    with seeded(training.seed, training.device):
        net = prepare(training).initialize()
        module = copy.deepcopy(net.module_)
        network = CohortNetwork(module.network, len(settings), training.outcome.averages)
        module.network = network.to(net.device)
        records = _train(net, module, training, settings, network.of_net)
        scaling = dict(net.module_.named_buffers(recurse=False))
        optimizer = net.optimizer_.state_dict()
        for setting, record in zip(settings, records, strict=True):
            groups = [group | {"lr": setting.lr} for group in optimizer["param_groups"]]
            weights = {f"network.{name}": value for name, value in record.weights.items()}
            yield (
                None
                if record.diverged
                else {
                    "module": weights | scaling,
                    "optimizer": optimizer | {"param_groups": groups},
                    "history": record.epochs,
                    "random": torch.get_rng_state(),
                    "best": {},
                    "finished": True,
                }
            )


class _Record:
    """The epochs of one net, and the weights of the one that is kept."""

    def __init__(self, score_name: str) -> None:
        self.score_name = score_name
        self.epochs: list[dict[str, Any]] = []
        self.weights: dict[str, Tensor] = {}
        self.misses = 0
        self.diverged = False

    def note(self, epoch: dict[str, Any], weights: Callable[[], dict[str, Tensor]]) -> None:
        """Add an epoch, and keep its weights if it is the best, or if none can be told."""
        epoch |= {
            f"{name}_best": all(_better(name, epoch[name], before[name]) for before in self.epochs)
            for name in ("train_loss", "valid_loss", self.score_name)
            if name in epoch
        }
        self.epochs.append(epoch)
        self.misses = 0 if epoch.get(f"{self.score_name}_best", True) else self.misses + 1
        if self.misses == 0:
            self.weights = weights()


def _better(name: str, value: float, before: float) -> bool:
    return value < before if name.endswith("_loss") else value > before


def _train(
    net: NeuralNet,
    module: nn.Module,
    training: Training,
    settings: Sequence[Setting],
    weights_of: Callable[[int], dict[str, Tensor]],
) -> list[_Record]:
    """Train the nets of a module side by side, and return what is kept of each."""
    lr = _as_tensor([setting.lr for setting in settings], module)
    criterion = training.outcome.loss(_side_by_side_weights(settings, module))
    args, kwargs = net.get_params_for_optimizer("optimizer", list(module.named_parameters()))
    largest = max(setting.lr for setting in settings)
    optimizer = net.optimizer(*args, **kwargs | {"lr": largest})
    take_step = optimizer.step if (lr == lr[0]).all() else partial(_step, optimizer, lr / lr.max())
    train, valid = net.get_split_datasets(training.dataset(training.train))
    records = [_Record(training.outcome.score_name) for _ in settings]
    for number, share in enumerate(training.rate_shares, start=1):
        start = time.perf_counter()
        optimizer.param_groups[0]["lr"] = largest * share
        module.train()
        scores = {"train_loss": _train_epoch(net, module, criterion, take_step, train)}
        if valid is not None:
            module.eval()
            scores |= _validate(net, module, criterion, training.outcome, valid)
        duration = (time.perf_counter() - start) / len(settings)
        going_on = 0
        for c, record in enumerate(records):
            record.diverged |= not scores["train_loss"][c].isfinite().item()
            if record.diverged or (record.epochs and record.misses == training.n_iter_no_change):
                continue
            going_on += 1
            epoch = {"batches": [], "epoch": number, "dur": duration}
            epoch |= {name: values[c].item() for name, values in scores.items()}
            record.note(epoch, partial(weights_of, c))
        if not going_on:
            break
    return records


def _side_by_side_weights(settings: Sequence[Setting], module: nn.Module) -> LossWeights:
    """Return the loss weights of all nets, of the shapes that `LossWeights` asks for."""
    weights = _as_tensor([setting.weights for setting in settings], module)
    alpha, beta, gamma, temperature = weights.T
    return LossWeights(alpha, beta, gamma, temperature[:, None, None, None])


def _as_tensor(values: Sequence[float], module: nn.Module) -> Tensor:
    parameter = next(module.parameters())
    return torch.tensor(values, dtype=parameter.dtype, device=parameter.device)


@torch.no_grad()
def _step(optimizer: torch.optim.Optimizer, shares: Tensor) -> None:
    """Take a step, of which each net goes its share: in all optimizers, lr scales a step."""
    parameters = [p.unflatten(0, (len(shares), -1)) for p in optimizer.param_groups[0]["params"]]
    before = [p.clone() for p in parameters]
    optimizer.step()
    for after, start in zip(parameters, before, strict=True):
        after.copy_(start.lerp(after, shares.view(-1, *[1] * (after.ndim - 1))))


def _train_epoch(
    net: NeuralNet,
    module: nn.Module,
    criterion: nn.Module,
    take_step: Callable[[], None],
    data: TensorDataset,
) -> Tensor:
    """Return the mean loss of each net."""
    totals = []
    for views, targets in net.get_iterator(data, training=True):
        module.zero_grad()
        losses = criterion(module(views), targets)
        losses.sum().backward()
        take_step()
        totals.append(losses.detach() * len(targets[0]))
    return torch.stack(totals).sum(dim=0) / len(data)


@torch.inference_mode()
def _validate(
    net: NeuralNet, module: nn.Module, criterion: nn.Module, outcome: Outcome, data: TensorDataset
) -> dict[str, Tensor]:
    """Return the mean loss and the score of each net."""
    totals, points, most = [], [], []
    for views, targets in net.get_iterator(data, training=False):
        output = module(views)
        totals.append(criterion(output, targets) * len(targets[0]))
        logits, weights = output[0].squeeze(2), sample_weight_of(targets)
        scored, best = outcome.score(logits, targets[0], weights)
        points.append(scored)
        most.append(best)
    return {
        "valid_loss": torch.stack(totals).sum(dim=0) / len(data),
        outcome.score_name: torch.stack(points).sum(dim=0) / torch.stack(most).sum(),
    }
