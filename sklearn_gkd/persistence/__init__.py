"""Fitted models in files: without pickle (safetensors and JSON), and as ONNX for other runtimes.

pickle and joblib work too, and keep everything, but what they load may run any code: they are for
files that you made yourself. `load_model` is for files of others, within the bounds of SECURITY.md.
Weights are kept on the CPU, so that models trained on a GPU load anywhere; an unpickled one
with ``device="cuda"`` predicts without a GPU after ``set_params(device="auto")``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
