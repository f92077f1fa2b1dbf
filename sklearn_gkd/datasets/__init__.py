"""Radar and optical series of the same objects: simulated, fetched, or from a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
