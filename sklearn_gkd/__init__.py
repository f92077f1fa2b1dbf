"""Generalized knowledge distillation (learning under privileged information) for scikit-learn."""

from sklearn_gkd.baselines import IgnorePrivileged, SITSClassifier
from sklearn_gkd.classifier import PAPER_SETTINGS, GKDClassifier
from sklearn_gkd.exceptions import InterruptedFitWarning, PrivilegedInformationWarning
from sklearn_gkd.search import GKDGridSearchCV

__all__ = [
    "PAPER_SETTINGS",
    "GKDClassifier",
    "GKDGridSearchCV",
    "IgnorePrivileged",
    "InterruptedFitWarning",
    "PrivilegedInformationWarning",
    "SITSClassifier",
]
__version__ = "0.1.0.dev0"
