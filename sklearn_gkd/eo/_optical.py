"""Transformers for optical series: cloud masks and spectral indices; public as `sits`."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import ClassVar

import numpy as np

from sklearn_gkd._common.checks import fresh_fit
from sklearn_gkd._common.compat import fit_context
from sklearn_gkd.eo._base import SeriesTransformer

INDICES = {
    "NDVI": ("B8", "B4"),  # vegetation
    "NDWI": ("B3", "B8"),  # open water (McFeeters, 1996)
    "MNDWI": ("B3", "B11"),  # open water beside buildings
    "NDMI": ("B8", "B11"),  # moisture of the leaves
    "NDRE": ("B8", "B5"),  # vegetation, by the red edge
    "NBR": ("B8", "B12"),  # burnt ground
}
"""Normalised differences (a - b) / (a + b) of two Sentinel-2 bands."""


class CloudMask(SeriesTransformer):
    """Make gaps (NaN) of the acquisitions that a cloud mask marks, and leave the mask out.

    The mask travels as a channel of the series, so that it is split and sampled with them: in a
    `priv_transformer`, ``make_pipeline(CloudMask(), GapFiller())``.

    Parameters
    ----------
    channel : int, default=-1
        Which channel is the mask.
    clouds : sequence of numbers, default=(1,)
        Values of the mask that mark an acquisition as not to be used, and so does NaN. For
        Sentinel-2's scene classification (SCL): ``(0, 1, 3, 8, 9, 10)``.
    n_channels : int, default=None
        As in `GapFiller`, with the mask.

    Attributes
    ----------
    series_shape_ : tuple (T, C)
        Steps and channels of the training series, with the mask.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns; defined when X is a table with string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import CloudMask
    >>> ndvi_and_mask = np.array([[[0.2, 0], [0.9, 1], [0.6, 0]]])
    >>> CloudMask().fit_transform(ndvi_and_mask)[:, :, 0]
    array([[0.2, nan, 0.6]])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SeriesTransformer._parameter_constraints,
        "channel": [Integral],
        "clouds": ["array-like"],
    }

    def __init__(self, channel: int = -1, *, clouds: Sequence[float] = (1,), n_channels=None):
        self.channel = channel
        self.clouds = clouds
        self.n_channels = n_channels

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the series.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, the mask among their channels.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has inf, or no such channel beside another one.
        """
        with fresh_fit(self):
            self._fit_series(X)
            n_channels = self.series_shape_[1]
            if n_channels < 2 or not -n_channels <= self.channel < n_channels:
                raise ValueError(
                    f"channel={self.channel} is to be a mask beside other channels, but X has "
                    f"{n_channels} channel(s). Add the mask to X as a channel (a table needs "
                    "n_channels), or correct channel."
                )
        return self

    def transform(self, X):
        """Return the other channels, NaN where the mask marks a cloud.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Series, the mask among their channels.

        Returns
        -------
        ndarray of shape (n, T, C - 1) or (n, T * (C - 1))
        """
        series, is_table = self._read(X)
        mask = series[:, :, self.channel]
        cloudy = np.isnan(mask) | np.isin(mask, self.clouds)
        others = np.delete(series, self.channel, axis=2)
        others[cloudy] = np.nan
        return others.reshape(len(others), -1) if is_table else others

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns but the mask's.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, where X had none.

        Returns
        -------
        ndarray of str
        """
        return np.delete(self._names_in(input_features), self.channel, axis=1).ravel()


class SpectralIndices(SeriesTransformer):
    """Append spectral indices to optical series, as further channels.

    Parameters
    ----------
    indices : sequence of str, default=("NDVI",)
        Names in `INDICES`, each a normalised difference (a - b) / (a + b) of two bands; where
        a + b is 0, it is 0. The paper appends NDVI.
    bands : sequence of str, default=("B2", "B3", "B4", "B8")
        Names of X's channels, such as B4 or B04.
    offset : float, default=0
        Added to the bands before all else. Give -1000 for Sentinel-2 products of processing
        baseline 04.00 or later (from January 2022) whose digital numbers still hold that shift.
    n_channels : int, default=None
        As in `GapFiller`.

    Attributes
    ----------
    series_shape_ : tuple (T, C)
        Steps and channels of the training series, without indices.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns; defined when X is a table with string column names.

    References
    ----------
    Ienco et al. (2020), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import SpectralIndices
    >>> reflectance = np.array([[[400.0, 600, 500, 3500]]])
    >>> SpectralIndices().fit_transform(reflectance)
    array([[[4.0e+02, 6.0e+02, 5.0e+02, 3.5e+03, 7.5e-01]]])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SeriesTransformer._parameter_constraints,
        "indices": ["array-like"],
        "bands": ["array-like"],
        "offset": [Real],
    }

    def __init__(
        self,
        indices: Sequence[str] = ("NDVI",),
        *,
        bands: Sequence[str] = ("B2", "B3", "B4", "B8"),
        offset: float = 0,
        n_channels=None,
    ):
        self.indices = indices
        self.bands = bands
        self.offset = offset
        self.n_channels = n_channels

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the series.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Reflectances, NaN where there is no observation.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has inf, if ``bands`` does not name its channels, or if an index is unknown or
            needs a band that X has not.
        """
        with fresh_fit(self):
            self._fit_series(X)
            n_channels = self.series_shape_[1]
            if len(self.bands) != n_channels:
                raise ValueError(
                    f"bands names {len(self.bands)} channels, but X has {n_channels}. Name each "
                    "channel of X in its order (a table needs n_channels)."
                )
            self._pairs()
        return self

    def transform(self, X):
        """Append the indices.

        Parameters
        ----------
        X : array-like of shape (n, T, C) or (n, T * C)
            Reflectances, NaN where there is no observation: an index is then NaN too.

        Returns
        -------
        ndarray of shape (n, T, C + n_indices) or (n, T * (C + n_indices))
        """
        series, is_table = self._read(X)
        series += self.offset
        appended = [
            _normalized_difference(series[..., a], series[..., b]) for a, b in self._pairs()
        ]
        series = np.concatenate([series, *(index[..., None] for index in appended)], axis=2)
        return series.reshape(len(series), -1) if is_table else series

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns, those of the indices after each date's bands.

        An index is named after the date's first band: ``B2_d012`` gives ``NDVI_d012``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, where X had none.

        Returns
        -------
        ndarray of str
        """
        names = self._names_in(input_features)
        added = [
            [f"{index}_{_suffix(name, step)}" for index in self.indices]
            for step, name in enumerate(names[:, 0])
        ]
        return np.concatenate([names, np.array(added, dtype=object)], axis=1).ravel()

    def _pairs(self) -> list[tuple[int, int]]:
        """Return the channels of each index."""
        channels = {_band(name): channel for channel, name in enumerate(self.bands)}
        pairs = []
        for index in self.indices:
            if index not in INDICES:
                raise ValueError(f"indices has {index!r}, which is none of {sorted(INDICES)}.")
            missing = [band for band in INDICES[index] if band not in channels]
            if missing:
                raise ValueError(
                    f"{index} needs the band {missing[0]}, which bands={tuple(self.bands)} has "
                    "not. Add it to X and to bands, or leave that index out."
                )
            a, b = INDICES[index]
            pairs.append((channels[a], channels[b]))
        return pairs


def _normalized_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = a + b
    return np.divide(a - b, total, out=np.zeros_like(total), where=total != 0)


def _band(name: str) -> str:
    """Return a Sentinel-2 band's name without a leading zero: B4 for B04."""
    return f"B{name[2:]}" if name.startswith("B0") else name


def _suffix(name: str, step: int) -> str:
    """Return what stands for the date in a column's name, or the step's number."""
    return str(name).rpartition("_")[2] if "_" in str(name) else str(step)
