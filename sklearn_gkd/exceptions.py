"""Warnings that a user may want to filter or turn into errors."""

__all__ = ["InterruptedFitWarning", "PrivilegedInformationWarning"]


class InterruptedFitWarning(UserWarning):
    """Training was interrupted (Ctrl-C), and the best epoch so far is kept."""


class PrivilegedInformationWarning(UserWarning):
    """Distillation was asked for (beta or gamma above 0), but X_priv is missing, or no help."""
