"""Skorch net to give as teacher or student."""

from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from skorch import NeuralNet
from torch import nn


class SeriesNet(ClassifierMixin, NeuralNet):
    """Skorch net for a network on series, to give as teacher or student.

    It holds its network's parameters, learning rate, epochs, batch size, optimizer and callbacks,
    each a nested parameter of the estimator that it is given to (``student__lr``,
    ``student__module__width``). The estimator sets the rest when it fits.

    Parameters
    ----------
    module : str or nn.Module class, default="mlp"
        A name in `NETWORKS`, or a network as described in `networks`.
    criterion : nn.Module class, default=CrossEntropyLoss
        As in skorch. A student's is set by the estimator.
    optimizer : callable, default=Adam with one fused kernel
        As in skorch.
    lr : float or None, default=1e-3
        Learning rate.
    max_epochs : int or None, default=40
        Number of passes over the training rows.
    batch_size : int or None, default=64
        Rows in each training step. Of these three, None as in `GKDClassifier`.
    verbose : int, default=0
        1 shows a bar, 2 prints a line an epoch.
    **kwargs
        Any other parameter of `skorch.NeuralNet`; ``module__<name>`` is handed to the network.

    Notes
    -----
    skorch's callbacks score, save and freeze as they do elsewhere: a score is of the rows that have
    a label, whose classes are codes (places in ``classes_``), and parameters go by the network's
    own names (``Freezer("body.*")``, ``optimizer__param_groups=[("head.*", {"lr": 1e-4})]``). What
    looks at validation rows needs some: `validation_fraction` or `X_val`.

    They log each net. A search clones them, so it must be possible to copy them:
    ``MlflowLogger(terminate_after_train=False, create_artifact=False, epoch_suffix="_student")``
    can be, within ``mlflow.start_run()``; TensorBoard's writer cannot, and must be made in
    ``on_train_begin`` of a subclass::

        class Log(TensorBoard):
            def on_train_begin(self, net, **kwargs):
                self.writer = SummaryWriter(self.writer)

        SeriesNet("mlp", callbacks=[("log", Log("runs/student"))])

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier
    >>> from sklearn_gkd.networks import SeriesNet
    >>> clf = GKDClassifier(student=SeriesNet("mlp", module__width=256))
    >>> clf.set_params(student__module__dropout=0.5).get_params()["student__module__dropout"]
    0.5
    """

    def __init__(
        self,
        module: Any = "mlp",
        *,
        criterion: Any = nn.CrossEntropyLoss,
        optimizer: Any = partial(torch.optim.Adam, fused=True),  # noqa: B008
        lr: float | None = 1e-3,
        max_epochs: int | None = 40,
        batch_size: int | None = 64,
        verbose: int = 0,
        **kwargs: Any,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            verbose=verbose,
            **kwargs,
        )

    @property
    def classes_(self) -> np.ndarray:
        """Class codes: places in the estimator's ``classes_``."""
        return np.arange(self.module__n_classes)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class codes, places in the estimator's ``classes_``.

        A net that has learnt a quantity predicts its numbers, as standardised by the estimator.

        Parameters
        ----------
        X : array-like or list of array-like
            The view, or each of them, as in `predict_proba`.

        Returns
        -------
        ndarray of int of shape (n,), or of float32 of shape (n, k)
            Codes of the classes, or the numbers.
        """
        predicted = self.predict_proba(X)
        of_numbers = getattr(self, "module__averages", None) == "outputs"
        return predicted if of_numbers else predicted.argmax(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class, by the net that an estimator has fitted.

        Parameters
        ----------
        X : array-like or list of array-like
            Series in the units that fit saw, (n, T, C) or (n, T * C), without gaps. A teacher's
            are a list: X, and X_priv after ``priv_transformer_``.

        Returns
        -------
        ndarray of float32 of shape (n, n_classes)
            Columns in the order of the estimator's ``classes_``.
        """
        return super().predict_proba(X)

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict[str, Any]:
        """Return the parameters; without `deep`, those of skorch only where they were changed.

        These are what `clone` needs, and what a repr should show.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the network's and the optimizer's, too.
        **kwargs
            As in skorch.

        Returns
        -------
        dict
            Parameters by name.
        """
        params = super().get_params(deep=deep, **kwargs)
        if deep:
            return params
        own = {
            n
            for c in type(self).__mro__
            if issubclass(c, SeriesNet)
            for n in signature(c).parameters
        }
        defaults = {
            name: parameter.default
            for name, parameter in signature(NeuralNet).parameters.items()
            if name not in own
        }
        return {
            name: value
            for name, value in params.items()
            if name != "_params_to_validate" and not is_alike(value, defaults.get(name, own))
        }


def is_alike(value: Any, default: Any) -> bool:
    """Return whether a value is the default, or a copy of it as pickle makes them."""
    contents = [getattr(v, "__dict__", v) for v in (value, default)]
    return value is default or (type(value) is type(default) and contents[0] == contents[1])
