from ._architectures import CNN, MLP, NETWORKS, MLPEnsemble
from ._net import SeriesNet

__all__ = [
    "CNN",
    "MLP",
    "NETWORKS",
    "MLPEnsemble",
    "SeriesNet",
]
