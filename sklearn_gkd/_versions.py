"""Versions of what results depend on, to be told in a bug report."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

import sklearn_gkd

DEPENDENCIES = [
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "torch",
    "skorch",
    "joblib",
    "tqdm",
    "filelock",
    "safetensors",
    "lazy-loader",
    "matplotlib",
    "rasterio",
    "geopandas",
    "xarray",
    "onnx",
    "distributed",
]


def show_versions() -> None:
    """Print the versions of the system, of Python, and of what this package depends on.

    Examples
    --------
    >>> from sklearn_gkd import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System:
        python: ...
    """
    sections: dict[str, dict[str, object]] = {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
        },
        "Python dependencies": {
            "sklearn-gkd": sklearn_gkd.__version__,
            **{name: _version(name) for name in DEPENDENCIES},
        },
        "PyTorch": {
            "threads": torch.get_num_threads(),
            "CUDA": torch.version.cuda or "built without",
            "GPUs": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }
    for title, values in sections.items():
        print(f"{title}:")
        for name, value in values.items():
            print(f"{name:>14}: {value}")
        print()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
