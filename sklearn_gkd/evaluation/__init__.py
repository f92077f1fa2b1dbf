"""Evaluation: the paper's protocol, the gain beside controls, areas of a map, and figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
