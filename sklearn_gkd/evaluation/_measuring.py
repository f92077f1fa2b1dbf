"""Fit methods on the same splits and score them, as all that measures a gain does."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.parallel import Parallel
from tqdm.auto import tqdm

from sklearn_gkd._common.compat import num_samples, safe_indexing
from sklearn_gkd._common.labels import check_rows
from sklearn_gkd._common.series import as_array, as_column
from sklearn_gkd._common.splitting import folds, hold_out
from sklearn_gkd._estimators._privileged import Pair, check_pairs, has_information
from sklearn_gkd._estimators._targets import read_y
from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._training.randomness import draw_seeds
from sklearn_gkd.evaluation._controls import Split


class Data(NamedTuple):
    """Rows with a label, and pairs without one, None where there are none.

    The y is of classes, (n,), or of numbers, (n, k).
    """

    X: Any
    y: np.ndarray
    X_priv: Any
    groups: np.ndarray | None
    X_unlabeled: Any
    X_priv_unlabeled: Any

    @classmethod
    def checked(
        cls,
        estimator: TaughtEstimator,
        X: Any,
        y: Any,
        X_priv: Any,
        groups: Any,
        X_unlabeled: Any,
        X_priv_unlabeled: Any,
    ) -> "Data":
        """Return the arguments as arrays, or raise an error that names the wrong one."""
        check_rows(X=X, y=y, X_priv=X_priv, groups=groups)
        X, X_priv, y = as_array(X, "X"), as_array(X_priv, "X_priv"), read_y(estimator, y)
        groups = None if groups is None else as_column(groups, "groups")
        has_information(X_priv)
        check_pairs(
            Pair("X", X, "X_priv", X_priv),
            Pair("X_unlabeled", X_unlabeled, "X_priv_unlabeled", X_priv_unlabeled, False),
        )
        n_rows = num_samples(X)
        for name, values in [("y", y), ("groups", groups)]:
            if values is not None and len(values) != n_rows:
                raise ValueError(
                    f"{name} has {len(values)} rows and X has {n_rows}. Give one for each row."
                )
        if X_unlabeled is not None:
            X_unlabeled = as_array(X_unlabeled, "X_unlabeled")
            X_priv_unlabeled = as_array(X_priv_unlabeled, "X_priv_unlabeled")
        return cls(X, y, X_priv, groups, X_unlabeled, X_priv_unlabeled)

    @property
    def pairs(self) -> np.ndarray:
        """The rows of X_unlabeled whose X_priv_unlabeled can teach."""
        if self.X_unlabeled is None:
            return np.arange(0)
        return np.flatnonzero(has_information(self.X_priv_unlabeled, "X_priv_unlabeled"))

    def splits(self, cv: Any, rng: np.random.RandomState) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the training and test rows of each split: of None, ten random ones."""
        if cv is None:
            return [hold_out(self.y, 0.3, groups=self.groups, random_state=rng) for _ in range(10)]
        [seed] = draw_seeds(rng, 1)
        return folds(cv, self.y, np.arange(len(self.y)), self.groups, seed, "cv")

    def split(self, train: np.ndarray, test: np.ndarray, pairs: np.ndarray) -> Split:
        """Return what methods are given, with these rows of X_unlabeled as pairs."""
        unlabeled = {}
        for name in ("X_unlabeled", "X_priv_unlabeled"):
            unlabeled[name] = safe_indexing(getattr(self, name), pairs) if len(pairs) else None
        return Split(
            X=safe_indexing(self.X, train),
            y=self.y[train],
            X_priv=safe_indexing(self.X_priv, train),
            groups=None if self.groups is None else self.groups[train],
            X_test=safe_indexing(self.X, test),
            X_priv_test=safe_indexing(self.X_priv, test),
            **unlabeled,
        )


def check_estimator(estimator: Any) -> None:
    """Raise an error unless the estimator distils."""
    if not isinstance(estimator, TaughtEstimator):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, whose student and teacher cannot be told "
            "apart. Give a GKDClassifier or GKDRegressor, and transform X before; X_priv has "
            "priv_transformer."
        )
    estimator._validate_params()
    if isinstance(estimator.teacher, FrozenEstimator):
        raise ValueError(
            "estimator has a FrozenEstimator as its teacher, which can be no control's, and may "
            "know the rows that are held out. Give it unfitted: it is fitted in each split."
        )
    if estimator.beta == 0 and estimator.gamma == 0:
        raise ValueError(
            "estimator has beta=0 and gamma=0: it has no teacher, and X_priv gains nothing. Set "
            "one of them above 0."
        )


def measure(
    fit: Callable[..., Any],
    estimator: TaughtEstimator,
    seed: int,
    data: Data,
    train: np.ndarray,
    test: np.ndarray,
    pairs: np.ndarray,
) -> list[dict[str, float]]:
    """Return the scores of each method of one fit on these rows."""
    fitted = fit(
        clone(estimator).set_params(memory=None, random_state=seed), data.split(train, test, pairs)
    )
    methods = fitted if isinstance(fitted, tuple) else [fitted]
    return [one.scores(data.y[test]) for one in methods]


def run(fits: Iterable[Any], n_jobs: int | None) -> list[Any]:
    """Run delayed fits, with a bar where there is a screen, and return what each returns."""
    fits = list(fits)
    measured = Parallel(n_jobs=n_jobs, return_as="generator")(fits)
    return list(tqdm(measured, total=len(fits), unit="fit", disable=None))
