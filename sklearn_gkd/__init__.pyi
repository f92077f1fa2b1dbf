from . import datasets, eo, evaluation, exceptions, losses, networks, persistence
from ._estimators._baselines import SeriesClassifier, SeriesRegressor
from ._estimators._classifier import GKDClassifier
from ._estimators._ignoring import IgnorePrivileged
from ._estimators._paper import PAPER_SETTINGS
from ._estimators._regressor import GKDRegressor
from ._search._grid_search import GKDGridSearchCV
from ._versions import show_versions
from .exceptions import InterruptedFitWarning, PrivilegedInformationWarning

__all__ = [
    "PAPER_SETTINGS",
    "GKDClassifier",
    "GKDGridSearchCV",
    "GKDRegressor",
    "IgnorePrivileged",
    "InterruptedFitWarning",
    "PrivilegedInformationWarning",
    "SeriesClassifier",
    "SeriesRegressor",
    "datasets",
    "eo",
    "evaluation",
    "exceptions",
    "losses",
    "networks",
    "persistence",
    "show_versions",
]
__version__: str
