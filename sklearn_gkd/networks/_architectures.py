"""The paper's networks (Tables 2, 3 and 4), and an ensemble of small ones."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sklearn_gkd.networks._layers import Dropout, Linear, MemberBatchNorm, MemberLinear
from sklearn_gkd.networks._sources import masked, shown

Shapes = Sequence[tuple[int, ...]]

Averages = Literal["probabilities", "outputs"]


class Head(nn.Sequential):
    """The fully connected block of Table 3: BN(FC, ReLU) twice, then a linear layer."""

    def __init__(self, n_inputs: int, width: int, n_classes: int):
        super().__init__(
            *_dense(n_inputs, width),
            *_dense(width, width),
            Linear(width, n_classes),
        )


class CNN(nn.Module):
    """One branch of 1-D convolutions over time for each view, then the head (Tables 2 and 3).

    Each convolution is Dropout(BatchNorm(ReLU(Conv))) with stride 1 and 'same' padding, so that
    any series length works; its outputs are averaged over time. With two views this is the paper's
    teacher, with one its CNN competitor. The features are the branches' averages, side by side; of
    several sources, the mean over those that a row has. The branch of images has a few 2-D
    convolutions instead, each of which but the last halves height and width, and is averaged over
    what is left of them.

    Parameters
    ----------
    shapes : sequence of (T, C) or (H, W, C)
        Number of steps and channels of each view of series; height, width and channels of images.
    n_classes : int
        Number of classes.
    filters, kernels : sequence of int
        Filters and kernel size of each convolution over time (Table 2).
    image_filters : sequence of int, default=(32, 64, 128)
        Filters of the 3 x 3 convolutions over an image, before a last one of filters[-1].
    head : int, default=512
        Width of the fully connected block (Table 3).
    dropout : float, default=0.3
        Share of the convolutions' outputs that is dropped while training.
    n_sources : int, default=1
        How many views, the last ones, are sources, of which a row may lack some.

    Examples
    --------
    >>> import torch
    >>> from sklearn_gkd.networks import CNN
    >>> teacher = CNN([(31, 2), (23, 5)], n_classes=7)
    >>> logits, features = teacher(torch.zeros(4, 31, 2), torch.zeros(4, 23, 5))
    >>> logits.shape, features.shape
    (torch.Size([4, 7]), torch.Size([4, 1024]))
    """

    def __init__(
        self,
        shapes: Shapes,
        n_classes: int,
        *,
        filters: Sequence[int] = (128, 128, 256, 256, 256, 256, 512, 512, 512),
        kernels: Sequence[int] = (5, 5, 3, 3, 3, 3, 3, 1, 1),
        image_filters: Sequence[int] = (32, 64, 128),
        head: int = 512,
        dropout: float = 0.3,
        n_sources: int = 1,
    ):
        super().__init__()
        self.n_sources, self.width = n_sources, filters[-1]
        self.branches = nn.ModuleList(
            _over_time(n_channels, filters, kernels, dropout)
            if len(sizes) == 1
            else _over_image(n_channels, [*image_filters, filters[-1]], dropout)
            for *sizes, n_channels in shapes
        )
        self.head = Head((len(shapes) - n_sources + 1) * filters[-1], head, n_classes)

    def forward(self, *views: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Classify the series of each view.

        Parameters
        ----------
        *views : Tensor of shape (n, T, C) or (n, H, W, C)
            A tensor for each view.
        present : Tensor of bool of shape (n, n_views), default=None
            The views that each row has; a source that it lacks may be anything finite. None: all.

        Returns
        -------
        tuple of Tensor
            Logits and features, of shapes (n, n_classes) and
            (n, (n_views - n_sources + 1) * filters[-1]).
        """
        n_own = len(views) - self.n_sources if self.n_sources > 1 else len(views)
        averages = [self._average(number, views[number]) for number in range(n_own)]
        if self.n_sources > 1:
            averages.append(self._mean_of_sources(views, present))
        features = torch.cat(averages, dim=1)
        return self.head(features), features

    def _average(self, number: int, view: Tensor) -> Tensor:
        """Return what a branch makes of its view, averaged over time or over the image."""
        return self.branches[number](view.movedim(-1, 1)).flatten(2).mean(dim=2)

    def _mean_of_sources(self, views: Sequence[Tensor], present: Tensor | None) -> Tensor:
        """Return the mean of the branches of the sources that a row has.

        In training a branch sees none but the rows that have its source, so that the others do not
        reach its batch normalisation, which cannot do with a single row.
        """
        seen = shown(views, present, self.n_sources, self.training)
        shares = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
        mean = shares.new_zeros(len(shares), self.width)
        for number, share in enumerate(shares.T, start=len(views) - self.n_sources):
            rows = torch.arange(len(share), device=share.device)
            if self.training:
                rows = rows[share > 0]
                if len(rows) < 2:
                    continue
            average = self._average(number, views[number][rows])
            mean = mean.index_add(0, rows, average * share[rows, None])
        return mean


class MLP(nn.Module):
    """Three wide layers over the flattened views, then features and the head (Tables 4 and 3).

    With one view this is the paper's student.

    Parameters
    ----------
    shapes : sequence of (T, C) or (H, W, C)
        Shape of a row of each view.
    n_classes : int
        Number of classes.
    width : int, default=2048
        Units of each of the three Dropout(BatchNorm(ReLU(FC))) layers (Table 4).
    features : int, default=1024
        Units of the layer of features (Table 4).
    feature_activation : nn.Module class, default=nn.Identity
        Activation of the layer of features: none in the student, `nn.ReLU` in the paper's MLP
        competitor.
    head : int, default=512
        Width of the fully connected block (Table 3).
    dropout : float, default=0.3
        Share of the wide layers' outputs that is dropped while training. The paper does not state
        it; this is its CNN's.
    n_sources : int, default=1
        As in `CNN`: what a row lacks adds nothing to the first layer.

    Examples
    --------
    >>> import torch
    >>> from sklearn_gkd.networks import MLP
    >>> student = MLP([(31, 2)], n_classes=7)
    >>> logits, features = student(torch.zeros(4, 31, 2))
    >>> logits.shape, features.shape
    (torch.Size([4, 7]), torch.Size([4, 1024]))
    """

    def __init__(
        self,
        shapes: Shapes,
        n_classes: int,
        *,
        width: int = 2048,
        features: int = 1024,
        feature_activation: type[nn.Module] = nn.Identity,
        head: int = 512,
        dropout: float = 0.3,
        n_sources: int = 1,
    ):
        super().__init__()
        self.n_sources = n_sources
        n_inputs = sum(map(math.prod, shapes))
        self.body = nn.Sequential(
            *_dense(n_inputs, width),
            Dropout(dropout),
            *_dense(width, width),
            Dropout(dropout),
            *_dense(width, width),
            Dropout(dropout),
            Linear(width, features),
            feature_activation(),
        )
        self.head = Head(features, head, n_classes)

    def forward(self, *views: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Classify the series of each view.

        Parameters
        ----------
        *views : Tensor of shape (n, T, C) or (n, H, W, C)
            A tensor for each view.
        present : Tensor of bool of shape (n, n_views), default=None
            As in `CNN`.

        Returns
        -------
        tuple of Tensor
            Logits and features, of shapes (n, n_classes) and (n, features).
        """
        views = masked(views, present, self.n_sources, self.training)
        features = self.body(as_table(views))
        return self.head(features), features


class MLPEnsemble(nn.Module):
    """Several small MLPs that learn side by side, each for itself, and decide by their mean.

    The members see the same batches, and differ by initial weights and dropout. Each is an `MLP`
    of these sizes; together they are computed as one, by batched matrix products, several times
    as fast as one by one.

    Parameters
    ----------
    shapes : sequence of (T, C) or (H, W, C)
        Shape of a row of each view.
    n_classes : int
        Number of classes.
    n_members : int, default=8
        Number of MLPs.
    width, features, head : int, default=128, 128 and 64
        Of each member, as in `MLP`.
    dropout : float, default=0.3
        Share of the wide layers' outputs that is dropped while training.
    n_sources : int, default=1
        As in `MLP`.

    Attributes
    ----------
    averages : {"probabilities", "outputs"}
        What they decide by the mean of. It is "probabilities" unless an estimator of a quantity
        sets it.

    Examples
    --------
    >>> import torch
    >>> from sklearn_gkd.networks import MLPEnsemble
    >>> student = MLPEnsemble([(31, 2)], n_classes=7)
    >>> logits, features = student(torch.zeros(4, 31, 2))
    >>> logits.shape, features.shape
    (torch.Size([4, 8, 7]), torch.Size([4, 1024]))
    >>> student.eval()(torch.zeros(4, 31, 2))[0].shape
    torch.Size([4, 7])
    """

    averages: Averages = "probabilities"

    def __init__(
        self,
        shapes: Shapes,
        n_classes: int,
        *,
        n_members: int = 8,
        width: int = 128,
        features: int = 128,
        head: int = 64,
        dropout: float = 0.3,
        n_sources: int = 1,
    ):
        super().__init__()
        self.n_members, self.n_sources = n_members, n_sources
        n_inputs = sum(map(math.prod, shapes))

        def dense(n_inputs: int, n_outputs: int) -> list[nn.Module]:
            linear = MemberLinear(n_members, n_inputs, n_outputs)
            return [linear, nn.ReLU(), MemberBatchNorm(n_members, n_outputs)]

        self.body = nn.Sequential(
            *dense(n_inputs, width),
            Dropout(dropout),
            *dense(width, width),
            Dropout(dropout),
            *dense(width, width),
            Dropout(dropout),
            MemberLinear(n_members, width, features),
        )
        self.head = nn.Sequential(
            *dense(features, head), *dense(head, head), MemberLinear(n_members, head, n_classes)
        )

    def forward(self, *views: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Classify the series of each view.

        Parameters
        ----------
        *views : Tensor of shape (n, T, C) or (n, H, W, C)
            A tensor for each view.
        present : Tensor of bool of shape (n, n_views), default=None
            As in `CNN`.

        Returns
        -------
        tuple of Tensor
            Logits and features. The logits are each member's, (n, n_members, n_classes), in
            training, and otherwise those of their `mean_decision`, (n, n_classes). The
            features are the members', side by side, (n, n_members * features).
        """
        views = masked(views, present, self.n_sources, self.training)
        logits, features = (of_member.transpose(0, 1) for of_member in self.of_members(views))
        if not self.training:
            logits = mean_decision(logits, self.averages)
        return logits, features.flatten(1)

    def of_members(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Classify the series of each view by each member.

        Parameters
        ----------
        views : sequence of Tensor of shape (n, T, C)
            A tensor for each view.

        Returns
        -------
        tuple of Tensor
            Logits and features, of shapes (n_members, n, n_classes) and (n_members, n, features).
        """
        features = self.body(as_table(views).expand(self.n_members, -1, -1))
        return self.head(features), features


def as_table(views: Sequence[Tensor]) -> Tensor:
    """Return the views of each row side by side, (n, all their values)."""
    return torch.cat([view.flatten(1) for view in views], dim=1)


def mean_decision(logits: Tensor, averages: Averages) -> Tensor:
    """Return the members' mean, (..., k, n_classes) without k.

    It is that of their outputs, or the logarithms of that of their probabilities.
    """
    if averages == "outputs":
        return logits.mean(dim=-2)
    return logits.softmax(dim=-1).mean(dim=-2).clamp(min=1e-30).log()


def _dense(n_inputs: int, n_outputs: int) -> list[nn.Module]:
    return [Linear(n_inputs, n_outputs), nn.ReLU(), nn.BatchNorm1d(n_outputs)]


def _over_time(
    n_channels: int, filters: Sequence[int], kernels: Sequence[int], dropout: float
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_inputs, n_filters, kernel in zip(
        [n_channels, *filters[:-1]], filters, kernels, strict=True
    ):
        layers += [
            nn.Conv1d(n_inputs, n_filters, kernel, padding="same"),
            nn.ReLU(),
            nn.BatchNorm1d(n_filters),
            Dropout(dropout),
        ]
    return nn.Sequential(*layers)


def _over_image(n_channels: int, filters: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_inputs, n_filters in zip([n_channels, *filters[:-1]], filters, strict=True):
        layers += [
            nn.Conv2d(n_inputs, n_filters, 3, padding="same"),
            nn.ReLU(),
            nn.BatchNorm2d(n_filters),
            nn.MaxPool2d(2, ceil_mode=True),
            Dropout(dropout),
        ]
    del layers[-2]  # the last is averaged, over what is left of the image
    return nn.Sequential(*layers)


NETWORKS: dict[str, type[nn.Module]] = {"cnn": CNN, "mlp": MLP, "ensemble": MLPEnsemble}
