"""Radar images: power to decibels and back, and a speckle filter."""

from numbers import Integral
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

from sklearn_gkd._common.compat import Interval, validate_params
from sklearn_gkd._common.series import as_array

LOWEST, HIGHEST = -300, 100  # dB, far beyond what any radar measures


def to_decibel(power: Any) -> np.ndarray:
    """Return radar power in decibels, 10 log10 of it; zero and less become NaN.

    Parameters
    ----------
    power : array-like
        Backscatter in linear power.

    Returns
    -------
    ndarray of the shape of power
        In dB; float32 if power is, float64 otherwise.

    Examples
    --------
    >>> from sklearn_gkd.eo import to_decibel
    >>> to_decibel([1.0, 0.1, 0.0])
    array([  0., -10.,  nan])
    """
    power = _floats(power, "power")
    return 10 * np.log10(np.where(power > 0, power, np.nan))


def from_decibel(decibel: Any) -> np.ndarray:
    """Return the linear power of radar backscatter in dB.

    Parameters
    ----------
    decibel : array-like
        In dB.

    Returns
    -------
    ndarray of the shape of decibel
        Of float32 if decibel is, float64 otherwise.

    Raises
    ------
    ValueError
        If values lie outside of -300 to 100 dB, as digital numbers and hundredths of dB do.

    Examples
    --------
    >>> from sklearn_gkd.eo import from_decibel
    >>> from_decibel([0.0, -10.0])
    array([1. , 0.1])
    """
    decibel = _floats(decibel, "decibel")
    finite = decibel[np.isfinite(decibel)]
    outside = finite[(finite < LOWEST) | (finite > HIGHEST)]
    if len(outside):
        raise ValueError(
            f"decibel has {outside[0]:g}, and backscatter lies within {LOWEST} to {HIGHEST} dB. "
            "Calibrate digital numbers, divide scaled ones, and replace what stands for no data "
            "by NaN."
        )
    return 10 ** (decibel / 10)


@validate_params(
    {"stack": ["array-like"], "window": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def despeckle(stack: Any, window: int = 7) -> np.ndarray:
    """Filter speckle out of a stack of radar images, each with the help of all dates.

    The multitemporal filter of Quegan and Yu (2001), for images whose speckle is independent:
    J_k = E[I_k] / M * sum_i I_i / E[I_i], where E is the mean over a window. Each pixel keeps its
    own ratio to its surroundings, averaged over the dates, so that fields stay sharp.

    Parameters
    ----------
    stack : array-like of shape (T, height, width)
        Images of one polarisation, orbit and track in linear power (not in dB: `from_decibel`
        first), NaN where there is no observation.
    window : int, default=7
        Height and width of the window, in pixels.

    Returns
    -------
    ndarray of shape (T, height, width)
        In linear power; NaN where the stack is. float32 if it is, float64 otherwise.

    Raises
    ------
    ValueError
        If the stack is not 3-D, or has negative values, as decibels have.

    References
    ----------
    S. Quegan, J. J. Yu (2001), "Filtering of multichannel SAR images", IEEE Transactions on
    Geoscience and Remote Sensing 39(11), Eq. 18.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gkd.eo import despeckle
    >>> rng = np.random.RandomState(0)
    >>> stack = rng.gamma(4, 1 / 4, size=(30, 50, 50))
    >>> float(stack.std().round(2)), float(despeckle(stack).std().round(2))
    (0.5, 0.12)
    """
    stack = _floats(stack, "stack")
    if stack.ndim != 3:
        raise ValueError(f"stack has shape {stack.shape}. Give (T, height, width).")
    if (stack < 0).any():
        raise ValueError(
            "stack has negative values, as decibels have and linear power has not. Give "
            "from_decibel(stack)."
        )
    observed = ~np.isnan(stack)
    local = (1, window, window)
    share = uniform_filter(observed.astype(stack.dtype), local, mode="nearest")
    known = np.where(observed, stack, 0)
    sums = uniform_filter(known, local, mode="nearest")
    # Running sums leave rounding, of either sign, where all is 0.
    sums[maximum_filter(known, local, mode="nearest") == 0] = 0
    means = sums / np.where(share > 0, share, np.nan)
    ratios = np.divide(stack, means, out=np.ones_like(stack), where=means > 0)
    ratios[~observed] = 0
    n_dates = observed.sum(axis=0)
    mean_ratio = ratios.sum(axis=0) / np.maximum(n_dates, 1)
    return np.where(observed, means * mean_ratio, np.nan).astype(stack.dtype)


def _floats(values: Any, name: str) -> np.ndarray:
    values = np.asarray(as_array(values, name))
    return values if values.dtype == np.float32 else values.astype(np.float64)
