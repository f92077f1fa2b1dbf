"""Transformers for optical series: cloud masks and spectral indices."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from sklearn_gkd._common.checks import as_numbers, counted
from sklearn_gkd.eo._base import SeriesTransformer
from sklearn_gkd.eo._indices import bands_of, channels_of, compute


class CloudMask(SeriesTransformer):
    """Make gaps (NaN) of the acquisitions that a cloud mask marks, and leave the mask out.

    The mask is a channel of the series, so that it is split and sampled with them: in a
    `priv_transformer`, ``make_pipeline(CloudMask(), GapFiller())``. Series (n, T, C) become
    (n, T, C - 1), and tables (n, T * C) become (n, T * (C - 1)), in the units of X.

    Parameters
    ----------
    channel : int, default=-1
        Which channel is the mask.
    clouds : sequence of numbers, default=(1,)
        Values of the mask at which an acquisition is not used; nor is it where the mask is NaN or,
        where these values are whole, lies between whole numbers, as a mean of masks does.
        For Sentinel-2's scene classification (SCL): ``(0, 1, 3, 8, 9, 10)``.
    n_channels : int, default=None
        As in `GapFiller`, with the mask.

    Attributes
    ----------
    series_shape_ : tuple (T, C)
        Steps and channels of the training series, with the mask.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns; defined when X is a table with string column names.

    Raises
    ------
    ValueError
        By `fit`, if X has inf, if ``n_channels`` does not divide its columns, if ``clouds`` are not
        numbers, or if X has no such channel beside another one; by `transform`, if X has inf, or
        other dates or channels than in `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import CloudMask
    >>> ndvi_and_mask = np.array([[[0.2, 0], [0.9, 1], [0.6, 0]]])
    >>> CloudMask().fit_transform(ndvi_and_mask)[:, :, 0]
    array([[0.2, nan, 0.6]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SeriesTransformer._parameter_constraints,
        "channel": [Integral],
        "clouds": ["array-like"],
    }

    def __init__(
        self, channel: int = -1, *, clouds: Sequence[float] = (1,), n_channels: int | None = None
    ):
        self.channel = channel
        self.clouds = clouds
        self.n_channels = n_channels

    def _learn(self, series: np.ndarray) -> None:
        as_numbers(self.clouds, "clouds")
        n_channels = series.shape[2]
        if n_channels < 2 or not -n_channels <= self.channel < n_channels:
            raise ValueError(
                f"channel={self.channel} is to be a mask beside other channels, but X has "
                f"{counted(n_channels, 'channel')}. Add the mask to X as a channel (a table needs "
                "n_channels), or correct channel."
            )

    def _transform(self, series: np.ndarray) -> np.ndarray:
        mask = series[:, :, self.channel]
        cloudy = np.isnan(mask) | np.isin(mask, self.clouds)
        if not np.mod(list(self.clouds), 1).any():
            cloudy |= mask % 1 != 0  # averaged or interpolated, between cloudy and clear
        others = np.delete(series, self.channel, axis=2)
        others[cloudy] = np.nan
        return others

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns but the mask's.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, where X had none.

        Returns
        -------
        ndarray of str
            One for each column of `transform`.
        """
        return np.delete(self._names_in(input_features), self.channel, axis=1).ravel()


class SpectralIndices(SeriesTransformer):
    """Append spectral indices to optical series, as further channels.

    Series (n, T, C) become (n, T, C + n_indices), and tables (n, T * C) become
    (n, T * (C + n_indices)). Bands stay in the units of X, with `offset` added. An index is NaN
    where one of its bands is: a negative value, which no surface reflects, counts as 0 in it.

    Parameters
    ----------
    indices : sequence of str, default=("NDVI",)
        Names in `INDICES`, each a normalised difference (a - b) / (a + b) of two bands, between -1
        and 1; where both are 0 or less, it is 0. The paper appends NDVI. With the extra
        ``indices``, also names in ``spyndex.indices``, such as EVI, that need Sentinel-2's bands
        and constants alone: these are those of spyndex (in SAVI, L is 1), and where the units
        matter, bands must be reflectances from 0 to 1.
    bands : sequence of str, default=("B2", "B3", "B4", "B8")
        Names of X's channels: those of Sentinel-2, such as B4 or B04, or, for any sensor, those by
        which STAC calls them, such as red, nir, nir08 or swir16. Landsat's own are refused or,
        worse, taken for Sentinel-2's: rename them so.
    offset : float or array-like of shape (T,), default=0
        Added to the bands before all else. Give -1000 for Sentinel-2 products of processing
        baseline 04.00 or later (from 25 January 2022) whose digital numbers still hold that shift,
        and one for each date where a season has both; -7272.7 (-0.2 / 0.0000275) for the digital
        numbers of Landsat's Collection 2.
    n_channels : int, default=None
        As in `GapFiller`.

    Attributes
    ----------
    series_shape_ : tuple (T, C)
        Steps and channels of the training series, without indices.
    n_features_in_ : int
        T * C.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns; defined when X is a table with string column names.

    Raises
    ------
    ValueError
        By `fit`, if X has inf, if ``n_channels`` does not divide its columns, if ``bands`` does
        not name each channel, or if an index is unknown or needs a band that is not in ``bands``;
        by `transform`, if X has inf, or other dates or channels than in `fit`.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SeriesTransformer._parameter_constraints,
        "indices": ["array-like"],
        "bands": ["array-like"],
        "offset": [Real, "array-like"],
    }

    def __init__(
        self,
        indices: Sequence[str] = ("NDVI",),
        *,
        bands: Sequence[str] = ("B2", "B3", "B4", "B8"),
        offset: float | Sequence[float] = 0,
        n_channels: int | None = None,
    ):
        self.indices = indices
        self.bands = bands
        self.offset = offset
        self.n_channels = n_channels

    def _learn(self, series: np.ndarray) -> None:
        n_channels = series.shape[2]
        if len(self.bands) != n_channels:
            raise ValueError(
                f"bands names {counted(len(self.bands), 'channel')}, but X has {n_channels}. Name "
                "each channel of X in its order (a table needs n_channels)."
            )
        if np.shape(self.offset) not in ((), series.shape[1:2]):
            raise ValueError(
                f"offset has shape {np.shape(self.offset)}. Give a number, or {series.shape[1]}, "
                "one for each date."
            )
        if not np.isfinite(np.asarray(self.offset, dtype=float)).all():
            raise ValueError(f"offset is {self.offset!r}. Give finite numbers.")
        self._channels_of_indices()

    def _transform(self, series: np.ndarray) -> np.ndarray:
        series += np.reshape(self.offset, (-1, 1)).astype(series.dtype)
        appended = [
            compute(index, [series[..., channel] for channel in channels])
            for index, channels in zip(self.indices, self._channels_of_indices(), strict=True)
        ]
        return np.concatenate([series, *(index[..., None] for index in appended)], axis=2)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, those of the indices after each date's bands.

        An index is named after the date's first band: ``B2_d012`` gives ``NDVI_d012``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, where X had none.

        Returns
        -------
        ndarray of str
            One for each column of `transform`.
        """
        names = self._names_in(input_features)
        added = [
            [f"{index}_{_suffix(name, step)}" for index in self.indices]
            for step, name in enumerate(names[:, 0])
        ]
        return np.concatenate([names, np.array(added, dtype=object)], axis=1).ravel()

    def _channels_of_indices(self) -> list[list[int]]:
        """Return the numbers of the channels of each index."""
        channels = channels_of(self.bands)
        found = []
        for index in self.indices:
            missing = [band for band in bands_of(index) if band not in channels]
            if missing:
                raise ValueError(
                    f"{index} needs the band {missing[0]}, which is not in "
                    f"bands={tuple(self.bands)}. Add it to X and to bands, or leave that index out."
                )
            found.append([channels[band] for band in bands_of(index)])
        return found


def _suffix(name: str, step: int) -> str:
    """Return the date in a column's name, or the step's number where the name has none."""
    return str(name).rpartition("_")[2] if "_" in str(name) else str(step)
