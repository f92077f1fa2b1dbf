from ._allowed import Unsaved
from ._onnx import to_onnx
from ._safetensors import load_model, save_model

__all__ = [
    "Unsaved",
    "load_model",
    "save_model",
    "to_onnx",
]
