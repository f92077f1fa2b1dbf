from ._containers import as_stack
from ._maps import predict_map
from ._objects import object_series, training_set
from ._opening import open_stack
from ._orbits import join_orbits
from ._patches import object_patches
from ._resample import resample_stack
from ._sampling import sample_pairs
from ._vectors import predict_objects

__all__ = [
    "as_stack",
    "join_orbits",
    "object_patches",
    "object_series",
    "open_stack",
    "predict_map",
    "predict_objects",
    "resample_stack",
    "sample_pairs",
    "training_set",
]
