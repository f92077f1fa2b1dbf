"""Grid search over the loss, whose candidates are trained side by side."""

from collections.abc import Callable
from numbers import Real
from tempfile import TemporaryDirectory
from typing import Any, Self

from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, ParameterGrid
from skorch import NeuralNet

from sklearn_gkd._estimators._taught import TaughtEstimator
from sklearn_gkd._search._candidates import Candidates
from sklearn_gkd._training.checkpoints import Store
from sklearn_gkd._training.training import Setting
from sklearn_gkd.losses import LossWeights

SIDE_BY_SIDE = ("alpha", "beta", "gamma", "temperature", "student__lr")


class GKDGridSearchCV(GridSearchCV):
    """GridSearchCV that trains a GKDClassifier or GKDRegressor for many losses side by side.

    Candidates that differ in alpha, beta, gamma, temperature or student__lr alone have the same
    data, initial weights, batches and dropout, so their students learn side by side, by batched
    matrix products, each with its own validation record and best epoch; and the teacher is fitted
    once for each fold. Scores are those of `GridSearchCV`, but for the order of floating-point
    sums, which over many epochs can move one as another seed would. All else is `GridSearchCV`'s:
    parameters, routing, errors and attributes; but the first candidate of a cohort has the time of
    all.

    Students are trained so that are a `SeriesNet` of "mlp" or "ensemble" with Adam, AdamW or SGD,
    without callbacks, and small enough to gain from it: no layer has more than 2**18 weights, as
    an MLP of width 512 has. Others are trained one by one, as are candidates that differ in
    something else. With several processes, each trains a cohort.

    Parameters
    ----------
    estimator : estimator
        A GKDClassifier or GKDRegressor, or a Pipeline or other estimator with one as a parameter.
        Without a random_state, its candidates are all given the same seeds.
    param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, \
return_train_score : object
        As in `sklearn.model_selection.GridSearchCV`.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, \
refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in `sklearn.model_selection.GridSearchCV`.

    See Also
    --------
    GKDClassifier : With ``memory``, any search fits each teacher once.

    Notes
    -----
    How much faster it is than GridSearchCV with ``memory`` is in ``benchmarks/results/speed.md``:
    the narrower the student, the more. The default student is an ensemble, whose members are
    trained side by side already, and gains little where each process has one thread. Until the
    search ends, each candidate's student lies in a temporary folder, or in the estimator's
    ``checkpoint``.

    Examples
    --------
    >>> from sklearn_gkd import GKDClassifier, GKDGridSearchCV
    >>> from sklearn_gkd.datasets import make_sits
    >>> from sklearn_gkd.networks import SeriesNet
    >>> sits = make_sits(120, random_state=0)
    >>> student = SeriesNet("mlp", module__width=32, module__features=32, max_epochs=5)
    >>> clf = GKDClassifier(student=student, teacher=student, random_state=0)
    >>> grid = {"alpha": [0.5, 1], "gamma": [0, 1, 10]}
    >>> search = GKDGridSearchCV(clf, grid, cv=3).fit(sits.X_s1, sits.y, X_priv=sits.X_s2)
    >>> len(search.cv_results_["params"])
    6
    """

    estimator: BaseEstimator

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit every candidate on every fold, and the best on all rows.

        Parameters
        ----------
        X, y : array-like
            As in `GKDClassifier.fit`.
        **params
            X_priv and the other keywords of `GKDClassifier.fit`. What has as many rows as X is
            sliced with X in each fold; pairs without a label go whole to each, unless they happen
            to be as many.

        Returns
        -------
        self
            Itself, fitted.
        """
        prefix, taught = _taught_within(self.estimator)
        if taught is None:
            return super().fit(X, y, **params)
        given, memory = self.estimator, taught.memory
        groups = self._groups(prefix, taught)
        with TemporaryDirectory(prefix="sklearn_gkd_", ignore_cleanup_errors=True) as folder:
            self.estimator = clone(given)
            candidates = Candidates(taught.checkpoint or folder, groups)
            _keep_in(self.estimator, memory or folder, candidates)
            try:
                super().fit(X, y, **params)
            finally:
                self.estimator = given
        if hasattr(self, "best_estimator_"):
            _keep_in(self.best_estimator_, memory, None)
        return self

    def _run_search(
        self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None
    ) -> None:
        """Search as GridSearchCV does; the refit that follows has no candidates beside it."""
        known = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        super()._run_search(evaluate_candidates, **known)
        _, taught = _taught_within(self.estimator)
        if taught is not None and isinstance(taught._store, Candidates):
            taught._store.groups = []

    def _groups(self, prefix: str, taught: TaughtEstimator) -> list[list[Setting]]:
        """Return what the candidates that distil can be trained side by side, by all else."""
        if any(getattr(one, "_skl_callbacks", None) for one in (self, taught)):
            return []  # they follow each fit
        varied = {f"{prefix}{name}" for name in SIDE_BY_SIDE}
        groups: dict[str, list[Setting]] = {}
        for candidate in ParameterGrid(self.param_grid):
            params = (
                {"temperature": 1.0}
                | taught.get_params(deep=False)
                | {
                    name.removeprefix(prefix): value
                    for name, value in candidate.items()
                    if name.startswith(prefix)
                }
            )
            student = params["student"]
            params.setdefault(
                "student__lr", student.lr if isinstance(student, NeuralNet) else params["lr"]
            )
            *weights, lr = (params[name] for name in SIDE_BY_SIDE)
            if all(isinstance(value, Real) for value in weights) and isinstance(lr, Real | None):
                lr = None if lr is None else float(lr)
                setting = Setting(LossWeights(*map(float, weights)), lr)
                if _distils(setting):
                    others = [item for item in candidate.items() if item[0] not in varied]
                    groups.setdefault(repr(others), []).append(setting)
        return list(groups.values())


def _keep_in(estimator: BaseEstimator, memory: Any, store: Store | None) -> None:
    """Set where the one that distils in an estimator keeps its teachers and its trainings."""
    _, taught = _taught_within(estimator)
    if taught is not None:
        taught.set_params(memory=memory)
        taught._store = store


def _distils(setting: Setting) -> bool:
    alpha, beta, gamma, temperature = setting.weights
    learns = setting.lr is None or setting.lr > 0
    return min(alpha, beta, gamma) >= 0 and beta + gamma > 0 and temperature > 0 and learns


def _taught_within(estimator: BaseEstimator) -> tuple[str, TaughtEstimator | None]:
    """Return the prefix of the parameters of the one that distils in an estimator, and itself."""
    if isinstance(estimator, TaughtEstimator):
        return "", estimator
    found = [
        (f"{name}__", value)
        for name, value in estimator.get_params().items()
        if isinstance(value, TaughtEstimator)
    ]
    return found[0] if len(found) == 1 else ("", None)
