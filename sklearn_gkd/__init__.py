"""Generalized knowledge distillation (learning under privileged information) for scikit-learn."""

from sklearn_gkd.baselines import IgnorePrivileged, SITSClassifier
from sklearn_gkd.classifier import PAPER_SETTINGS, GKDClassifier
from sklearn_gkd.exceptions import InterruptedFitWarning, PrivilegedInformationWarning

__all__ = [
    "PAPER_SETTINGS",
    "GKDClassifier",
    "IgnorePrivileged",
    "InterruptedFitWarning",
    "PrivilegedInformationWarning",
    "SITSClassifier",
]
__version__ = "0.1.0.dev0"
