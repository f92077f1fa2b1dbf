"""Steps before a classifier as torch modules, which compute in an ONNX graph what the steps do."""

from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from torch import Tensor, nn

from sklearn_gkd.eo._base import SeriesTransformer
from sklearn_gkd.eo._dates import as_days
from sklearn_gkd.eo._indices import INDICES
from sklearn_gkd.eo._optical import CloudMask, SpectralIndices
from sklearn_gkd.eo._time import GapFiller, Resample


def as_module(name: str, step: Any) -> nn.Module:
    """Return the module of a step, or raise a TypeError that names it."""
    if type(step) in _OF_SERIES:
        return _OF_SERIES[type(step)](step)
    if type(step) in _SCALERS and not getattr(step, "clip", False):
        return _Affine(*_affine(step))
    if (shape := reshaped_to(step)) is not None:
        return nn.Unflatten(1, shape) if len(shape) == 2 else nn.Flatten()
    raise TypeError(
        f"Step {name!r} is {step!r}, which to_onnx does not export. It exports "
        f"{', '.join(f'eo.{cls.__name__}' for cls in _OF_SERIES)}, StandardScaler, MinMaxScaler, "
        "MaxAbsScaler and RobustScaler without clip, and "
        'FunctionTransformer(np.reshape, kw_args={"shape": (-1, ...)}).'
    )


def reshaped_to(step: Any) -> tuple[int, ...] | None:
    """Return the shape of a row that a step reshapes to, None where it does something else."""
    if not (isinstance(step, FunctionTransformer) and step.func is np.reshape):
        return None
    kw_args = step.kw_args or {}
    if kw_args.keys() not in ({"shape"}, {"newshape"}):  # the name before numpy 2.1
        return None
    [(n_rows, *shape)] = kw_args.values()
    return tuple(shape) if n_rows == -1 else None


class _Affine(nn.Module):
    """A scaler of scikit-learn, in double precision as there."""

    factor: Tensor
    offset: Tensor

    def __init__(self, factor: Any, offset: Any):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        return (X.double() * self.factor + self.offset).float()


def _affine(scaler: Any) -> tuple[Any, Any]:
    """Return the factor and the offset of each column."""
    if type(scaler) is MinMaxScaler:
        return scaler.scale_, scaler.min_
    centre: Any = None
    if type(scaler) is RobustScaler:
        centre = scaler.center_
    if type(scaler) is StandardScaler and scaler.with_mean:
        centre = scaler.mean_
    factor = 1.0 if scaler.scale_ is None else 1 / scaler.scale_
    return factor, 0.0 if centre is None else -centre * factor


class _OfSeries(nn.Module):
    """A transformer of series, which come as (n, T, C) or as tables (n, T * C)."""

    def __init__(self, transformer: SeriesTransformer):
        super().__init__()
        self.shape = transformer.series_shape_

    def forward(self, X: Tensor) -> Tensor:
        series = self.transform(X.reshape(-1, *self.shape))
        return series if X.dim() == 3 else series.flatten(1)

    def transform(self, series: Tensor) -> Tensor:
        raise NotImplementedError


class _CloudMask(_OfSeries):
    def __init__(self, mask: CloudMask):
        super().__init__(mask)
        self.mask = range(self.shape[1])[mask.channel]
        self.clouds = np.ravel(mask.clouds).astype(np.float64, casting="safe").tolist()

    def transform(self, series: Tensor) -> Tensor:
        mask = series[:, :, self.mask]
        cloudy = mask.isnan()
        for value in self.clouds:
            cloudy = cloudy | (mask.double() == value)
        if all(value % 1 == 0 for value in self.clouds):
            cloudy = cloudy | (mask != mask.round())
        others = torch.cat([series[:, :, : self.mask], series[:, :, self.mask + 1 :]], dim=2)
        return torch.where(cloudy[..., None], torch.nan, others)


class _SpectralIndices(_OfSeries):
    offset: Tensor

    def __init__(self, indices: SpectralIndices):
        super().__init__(indices)
        offset = np.reshape(indices.offset, (-1, 1)).astype(np.float64)
        self.register_buffer("offset", torch.tensor(offset))
        for index in indices.indices:
            if index not in INDICES:
                raise TypeError(
                    f"{index} of SpectralIndices is one of spyndex, which to_onnx does not export. "
                    f"Those of eo.INDICES are: {', '.join(INDICES)}."
                )
        self.pairs = indices._channels_of_indices()

    def transform(self, series: Tensor) -> Tensor:
        series = series + self.offset.to(series.dtype)
        appended = [self._index(series[:, :, a], series[:, :, b]) for a, b in self.pairs]
        return torch.cat([series, *(index[..., None] for index in appended)], dim=2)

    def _index(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = a.clamp(min=0), b.clamp(min=0)
        total = a + b
        return torch.where(total != 0, (a - b) / total, 0.0)


class _Interpolating(_OfSeries):
    """A transformer that interpolates in time, step by step: ONNX has no running maximum."""

    days: Tensor

    def __init__(self, transformer: SeriesTransformer, days: np.ndarray):
        super().__init__(transformer)
        self.register_buffer("days", torch.tensor(days))

    def observed(self, series: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the last value observed up to each step and its day, and the first from it on."""
        steps = range(self.shape[0])
        return *self._nearest(series, steps), *self._nearest(series, steps[::-1])

    def _nearest(self, series: Tensor, steps: range) -> tuple[Tensor, Tensor]:
        """Return the last observed value, NaN if none, and its day, going through these steps."""
        value = torch.full_like(series[:, 0], torch.nan)
        at = torch.zeros_like(value, dtype=torch.float64)
        found = {}
        for step in steps:
            observed = ~series[:, step].isnan()
            value = torch.where(observed, series[:, step], value)
            at = torch.where(observed, self.days[step], at)
            found[step] = value, at
        values, ats = zip(*(found[step] for step in sorted(found)), strict=True)
        return torch.stack(values, dim=1), torch.stack(ats, dim=1)


def _between(
    before: Tensor, day_before: Tensor, after: Tensor, day_after: Tensor, day: Tensor
) -> Tensor:
    """Interpolate between two values, or take one of them where the other is NaN."""
    first, last = before.isnan(), after.isnan()
    before, after = torch.where(first, after, before), torch.where(last, before, after)
    day_before, day_after = (
        torch.where(first, day_after, day_before),
        torch.where(last, day_before, day_after),
    )
    span = day_after - day_before
    weight = (day - day_before) / torch.where(span > 0, span, torch.inf)
    return (before + weight * (after - before)).float()


class _GapFiller(_Interpolating):
    medians: Tensor

    def __init__(self, filler: GapFiller):
        super().__init__(filler, filler.days_)
        self.register_buffer("medians", torch.tensor(filler.medians_, dtype=torch.float32))

    def transform(self, series: Tensor) -> Tensor:
        unseen = series.isnan().all(dim=1, keepdim=True)
        series = torch.where(unseen, self.medians, series)
        filled = _between(*self.observed(series), self.days[:, None])
        return torch.where(series.isnan(), filled, series)


class _Resample(_Interpolating):
    to_days: Tensor
    last: Tensor
    first: Tensor

    def __init__(self, resample: Resample):
        days, to_days = as_days(resample.dates, "dates"), as_days(resample.to_dates, "to_dates")
        super().__init__(resample, days)
        self.register_buffer("to_days", torch.tensor(to_days))
        last = np.searchsorted(days, to_days, side="right") - 1
        self.register_buffer("last", torch.tensor(last))
        self.register_buffer("first", torch.tensor(np.searchsorted(days, to_days, side="left")))

    def transform(self, series: Tensor) -> Tensor:
        before, day_before, after, day_after = self.observed(series)
        # Before the first step and after the last, nothing is observed.
        nothing = torch.full_like(series[:, :1], torch.nan)
        no_day = torch.zeros_like(day_before[:, :1])
        return _between(
            torch.cat([nothing, before], dim=1).index_select(1, self.last + 1),
            torch.cat([no_day, day_before], dim=1).index_select(1, self.last + 1),
            torch.cat([after, nothing], dim=1).index_select(1, self.first),
            torch.cat([day_after, no_day], dim=1).index_select(1, self.first),
            self.to_days[:, None],
        )


_SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)

_OF_SERIES: dict[type, Any] = {
    CloudMask: _CloudMask,
    GapFiller: _GapFiller,
    Resample: _Resample,
    SpectralIndices: _SpectralIndices,
}
