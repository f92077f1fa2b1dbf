from ._files import load_sits
from ._french_parcels import fetch_french_parcels
from ._simulated import make_sits

__all__ = [
    "fetch_french_parcels",
    "load_sits",
    "make_sits",
]
