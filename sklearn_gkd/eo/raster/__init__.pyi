from ._containers import as_stack
from ._maps import predict_map
from ._objects import object_series, predict_objects, training_set
from ._opening import open_stack

__all__ = [
    "as_stack",
    "object_series",
    "open_stack",
    "predict_map",
    "predict_objects",
    "training_set",
]
