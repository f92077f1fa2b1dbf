from . import raster
from ._indices import INDICES
from ._optical import CloudMask, SpectralIndices
from ._radar import despeckle, from_decibel, to_decibel
from ._time import GapFiller, Resample

__all__ = [
    "INDICES",
    "CloudMask",
    "GapFiller",
    "Resample",
    "SpectralIndices",
    "despeckle",
    "from_decibel",
    "raster",
    "to_decibel",
]
