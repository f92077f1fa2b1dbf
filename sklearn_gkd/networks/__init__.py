"""The paper's networks (Tables 2, 3 and 4), and the skorch net that trains one.

A network is an `nn.Module` class called as ``Network(shapes, n_classes, **module_params)``, where
``shapes`` holds one (T, C) for each view, or (H, W, C) for one of images. Its ``forward(*views)``
takes one float tensor of shape (n, T, C) or (n, H, W, C) for each view and returns ``(logits,
features)``, or logits alone. A network of k members that learn side by side returns the logits of
each, (n, k, n_classes), while it is in training. Of a regressor, n_classes is how many numbers a
row has, and the logits are these, standardised.

Of a teacher of several sources the last views may be missing in some rows. A network that learns
from such rows declares ``forward(*views, present)``, where ``present`` is a bool tensor of shape
(n, n_views); a view that a row lacks is 0. ``n_sources``, where it is a parameter, is their number.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
