"""An epoch of teacher and of student, beside textbook skorch and beside a loop written by hand.

The workload is the paper's: 4,298 training rows of 31 x 2 and 23 x 5 values, 7 classes, batches of
32 rows, its CNN and its MLP; 1,719 rows validate each epoch.

- *textbook skorch*: `NeuralNet` with its own DataLoader, callbacks and Adam, and a student whose
  loss runs the teacher forward at each step.
- *loop by hand*: plain PyTorch, with our networks and losses, fused Adam, in-memory batches and
  targets computed once.
"""

from functools import partial
from typing import ClassVar

import measuring
import torch
from measuring import Ratio
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sklearn_gkd import PAPER_SETTINGS, GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.losses import DistillationLoss, LabelLoss
from sklearn_gkd.networks import CNN, MLP, SeriesNet

BATCH = PAPER_SETTINGS["batch_size"]
LR = PAPER_SETTINGS["lr"]
Adam = torch.optim.Adam


class Clock(Callback):
    """Notes when a net's epochs begin and end: the last begins at [-2], its training ends at [-1].

    The notes are the class's, as skorch copies callbacks.
    """

    noted: ClassVar[dict[str, list[float]]] = {}

    def __init__(self, name):
        self.name = name

    def on_epoch_begin(self, net, **kwargs):
        """Note when an epoch begins."""
        self.noted.setdefault(self.name, []).append(measuring.now())

    def on_train_end(self, net, **kwargs):
        """Note when the training ends."""
        self.noted[self.name].append(measuring.now())


class Rows:
    """The training and validation rows: standardised tensors, and the arrays they come from."""

    def __init__(self, n_train: int, n_valid: int, device: str):
        self.device = device
        sits = make_sits(n_train + n_valid, random_state=0)
        self.train, self.valid = slice(n_train), slice(n_train, None)
        self.arrays = [sits.X_s1, sits.X_s2, sits.y]
        codes = {name: code for code, name in enumerate(sorted(set(sits.y)))}
        self.labels = torch.tensor([codes[name] for name in sits.y], device=device)
        self.n_classes = len(codes)
        self.views = []
        for X in self.arrays[:2]:
            view = torch.tensor(X, device=device)
            known = view[self.train].flatten(0, 1)
            self.views.append((view - known.mean(0)) / known.std(0))
        self.shapes = [tuple(view.shape[1:]) for view in self.views]


def ours(rows: Rows) -> dict[str, float]:
    """Return the seconds of a later epoch of both nets of a GKDClassifier."""
    Clock.noted.clear()
    nets = {
        role: SeriesNet(
            PAPER_SETTINGS[role],
            lr=LR,
            batch_size=BATCH,
            max_epochs=2,
            callbacks=[("clock", Clock(role))],
        )
        for role in ("teacher", "student")
    }
    (X, X_val), (X_priv, X_priv_val), (y, y_val) = (
        (array[rows.train], array[rows.valid]) for array in rows.arrays
    )
    clf = GKDClassifier(**nets, device=rows.device, random_state=0)
    clf.fit(X, y, X_priv=X_priv, X_val=X_val, y_val=y_val, X_priv_val=X_priv_val)
    return {role: times[-1] - times[-2] for role, times in Clock.noted.items()}


class OfDict(nn.Module):
    """A network for skorch's dicts of inputs."""

    def __init__(self, network, names):
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, **views):
        """Return logits and features."""
        return self.network(*(views[name] for name in self.names))


class TextbookTeacher(NeuralNet):
    """A teacher as skorch's documentation would have it."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the cross-entropy."""
        return F.cross_entropy(y_pred[0], y_true)


class TextbookStudent(NeuralNet):
    """A student whose loss asks the teacher at each step."""

    def __init__(self, *args, teacher, **kwargs):
        self.teacher = teacher
        super().__init__(*args, **kwargs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the paper's loss."""
        logits, features = y_pred
        with torch.no_grad():
            teacher_logits, teacher_features = self.teacher(**X)
        kd = F.kl_div(logits.log_softmax(1), teacher_logits.softmax(1), reduction="batchmean")
        rec = (features.sigmoid() - teacher_features.sigmoid()).square().sum(1).mean()
        return F.cross_entropy(logits, y_true) + rec + 10 * kd


class Stock(nn.Module):
    """A network of ours with PyTorch's own dropout."""

    def __init__(self, network):
        super().__init__()
        for module in list(network.modules()):
            if isinstance(module, nn.Dropout):
                module.__class__ = nn.Dropout
        self.network = network

    def forward(self, *views):
        """Return logits and features."""
        return self.network(*views)


def textbook(rows: Rows, networks: dict[str, nn.Module]) -> dict[str, NeuralNet]:
    """Return both nets, initialized."""
    parts = [
        Dataset(
            {"s1": rows.views[0][part].cpu(), "s2": rows.views[1][part].cpu()},
            rows.labels[part].cpu(),
        )
        for part in (rows.train, rows.valid)
    ]
    common = {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": Adam,
        "lr": LR,
        "batch_size": BATCH,
        "train_split": predefined_split(parts[1]),
        "verbose": 0,
        "device": rows.device,
    }
    teacher_module = OfDict(Stock(networks["teacher"]), ["s1", "s2"])
    student_module = OfDict(Stock(networks["student"]), ["s1"])
    nets = {
        "teacher": TextbookTeacher(teacher_module, **common),
        "student": TextbookStudent(student_module, teacher=teacher_module.eval(), **common),
    }
    for net in nets.values():
        net.initialize()
        net.data = parts[0]
    return nets


class ByHand:
    """A training loop written out for one net."""

    def __init__(self, network, views, targets, loss, rows: Rows):
        self.network, self.views, self.targets, self.loss = network, views, targets, loss
        self.rows = rows
        self.optimizer = Adam(network.parameters(), lr=LR, fused=True)
        self.best = -1.0

    def epoch(self) -> None:
        """Train an epoch, validate, and keep the weights where it is the best."""
        views, targets = (
            [tensor[self.rows.train] for tensor in tensors]
            for tensors in (self.views, self.targets)
        )
        self.network.train()
        for batch in torch.randperm(len(targets[0]), device=self.rows.device).split(BATCH):
            self.optimizer.zero_grad()
            output = self.network(*(view[batch] for view in views))
            self.loss(output, [target[batch] for target in targets]).backward()
            self.optimizer.step()
        self.network.eval()
        labels = self.rows.labels[self.rows.valid]
        n_rows = measuring.prediction_batch(self.network)
        with torch.inference_mode():
            parts = zip(*(view[self.rows.valid].split(n_rows) for view in self.views), strict=True)
            logits = torch.cat([self.network(*part)[0] for part in parts])
        accuracy = (logits.argmax(1) == labels).float().mean().item()
        if accuracy > self.best:
            self.best = accuracy
            self.kept = {name: value.clone() for name, value in self.network.state_dict().items()}


def by_hand(rows: Rows, networks: dict[str, nn.Module]) -> dict[str, ByHand]:
    """Return both loops."""
    n_rows = measuring.prediction_batch(networks["teacher"])
    with torch.no_grad():
        parts = zip(*(view.split(n_rows) for view in rows.views), strict=True)
        outputs = [networks["teacher"].eval()(*part) for part in parts]
    taught = [torch.cat(tensors) for tensors in zip(*outputs, strict=True)]
    targets = [rows.labels, *taught, torch.ones(len(rows.labels), device=rows.device)]
    student = ByHand(networks["student"], rows.views[:1], targets, DistillationLoss(), rows)
    teacher = ByHand(networks["teacher"], rows.views, targets[:1], LabelLoss(), rows)
    return {"teacher": teacher, "student": student}


def flops(network: nn.Module, views: list[torch.Tensor]) -> int:
    """Count those of one training step; in double precision, as the counter misses oneDNN's."""
    with FlopCounterMode(display=False) as counter:
        logits, features = network.double().train()(*(view[:BATCH].double() for view in views))
        (logits.sum() + features.sum()).backward()
    return counter.get_total_flops()


def new_networks(rows: Rows) -> dict[str, nn.Module]:
    """Return the paper's two networks."""
    return {
        "teacher": CNN(rows.shapes, rows.n_classes).to(rows.device),
        "student": MLP(rows.shapes[:1], rows.n_classes).to(rows.device),
    }


def fit_memory(rows: Rows) -> float:
    """Return 3 x the data, the nets and their optimizers over the memory that fit adds."""
    networks = new_networks(rows)
    weights = sum(
        4 * sum(p.nbytes for p in network.parameters()) for network in networks.values()
    )  # weights, gradients, and the two moments of Adam
    data = sum(array.nbytes for array in rows.arrays[:2])
    del networks
    return (3 * data + weights) / measuring.memory_added(partial(ours, rows))


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.add_device(measuring.parser(__doc__)).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = Rows(*((640, 256) if args.short else (4298, 1719)), args.device)
    memory = fit_memory(rows) if args.device == "cpu" else None
    skorch_nets, loops = textbook(rows, new_networks(rows)), by_hand(rows, new_networks(rows))
    functions = {}
    for role in ("teacher", "student"):
        net = skorch_nets[role]
        functions[f"textbook {role}"] = partial(net.fit_loop, net.data, epochs=1)
        functions[f"hand {role}"] = loops[role].epoch
    epochs: dict[str, float] = {}

    def ours_teacher() -> float:
        epochs.update(ours(rows))
        return epochs["teacher"]

    functions["ours teacher"] = ours_teacher
    functions["ours student"] = lambda: epochs["student"]
    for function in functions.values():
        function()
    seconds = measuring.in_turns(functions, 5)
    rate = measuring.matrix_rate(args.device)
    n_steps = -(-rows.train.stop // BATCH)
    ratios = []
    for role, network in new_networks(rows).items():
        ours_seconds = seconds[f"ours {role}"]
        work = n_steps * flops(network, rows.views if role == "teacher" else rows.views[:1])
        goal = {"teacher": 1.7, "student": 3.0}[role]
        ratios += [
            Ratio(
                f"{role} epoch: textbook skorch / ours",
                seconds[f"textbook {role}"] / ours_seconds,
                goal,
            ),
            Ratio(
                f"{role} epoch: loop by hand / ours", seconds[f"hand {role}"] / ours_seconds, 0.95
            ),
            Ratio(
                f"{role} steps: share of the matrix-product rate",
                work / ours_seconds / rate,
                0.6 if role == "teacher" else None,
            ),
        ]
    if memory:
        ratios.append(Ratio("fit: (3 x data + nets + optimizers) / memory added", memory, 1.0))
    for name, value in seconds.items():
        print(f"{name:20s} {value:8.3f} s an epoch")
    print(f"matrix products      {rate / 1e9:8.0f} GFLOP/s")
    measuring.report("training", ratios, args)


if __name__ == "__main__":
    main()
