from ._maps import predict_map
from ._objects import object_series, training_set
from ._sampling import sample_pairs
from ._stacks import open_stack
from ._vectors import predict_objects

__all__ = [
    "object_series",
    "open_stack",
    "predict_map",
    "predict_objects",
    "sample_pairs",
    "training_set",
]
