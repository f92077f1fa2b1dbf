"""The paper's protocol, what privileged information gains, areas of a map, and figures of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
