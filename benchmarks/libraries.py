"""Other libraries with the classifiers in them: what holds, in a table.

pip install mlxtend optuna scikit-optimize shap imbalanced-learn cloudpickle
python benchmarks/libraries.py
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

SITS = make_sits(120, random_state=0)
X, X_PRIV, Y = SITS.X_s1.reshape(120, -1), SITS.X_s2.reshape(120, -1), SITS.y
NET = SeriesNet("mlp", module__width=16, module__features=8, module__head=8, max_epochs=5, lr=1e-2)
GKD = GKDClassifier(NET, NET, random_state=0)
ALONE = SeriesClassifier(NET, random_state=0)


def adaboost() -> None:
    """Weigh rows by AdaBoost."""
    _check_classes(AdaBoostClassifier(ALONE, n_estimators=2, random_state=0).fit(X, Y))


def bagging_and_stacking() -> None:
    """Draw rows and columns (bagging), and fit on folds (stacking)."""
    _check_classes(BaggingClassifier(ALONE, 2, max_features=0.5, random_state=0).fit(X, Y))
    stack = StackingClassifier([("gkd", ALONE)], LogisticRegression(), cv=2)
    _check_classes(stack.fit(X, Y))


def joblib_backends() -> None:
    """Find the same scores in processes, threads and one by one."""
    scores = []
    for backend in ("sequential", "loky", "threading", "multiprocessing"):
        with joblib.parallel_config(backend, n_jobs=2):
            scores.append(cross_val_score(GKD, X, Y, cv=2, params={"X_priv": X_PRIV}))
    assert all((found == scores[0]).all() for found in scores), scores


def cloudpickle_in_another_process() -> None:
    """Predict in a fresh process by a class of this script, as on Ray."""
    import cloudpickle

    class Mine(SeriesClassifier):
        pass

    clf = Mine(clone(NET), random_state=0).fit(X, Y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clf.pickle"
        path.write_bytes(cloudpickle.dumps((clf, X, clf.predict_proba(X))))
        code = (
            "import pickle, sys; clf, X, P = pickle.load(open(sys.argv[1], 'rb')); "
            "assert (clf.predict_proba(X) == P).all()"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def mlxtend() -> None:
    """Select columns by a score, and vote."""
    from mlxtend.classifier import EnsembleVoteClassifier
    from mlxtend.feature_selection import SequentialFeatureSelector

    selector = SequentialFeatureSelector(ALONE, k_features=2, cv=2, fixed_features=(0,))
    assert selector.fit(X[:, :4], Y).transform(X[:, :4]).shape == (120, 2)
    vote = EnsembleVoteClassifier([ALONE, LogisticRegression(max_iter=500)], voting="soft")
    assert vote.fit(X, Y).predict(X).shape == (120,)


def optuna() -> None:
    """Study the loss, with X_priv in each fold."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        clf = clone(GKD).set_params(gamma=trial.suggest_float("gamma", 0.1, 10, log=True))
        return cross_val_score(clf, X, Y, cv=2, params={"X_priv": X_PRIV}).mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=3)
    assert 0 <= study.best_value <= 1


def scikit_optimize() -> None:
    """Search by Gaussian processes, with X_priv in each fold."""
    from skopt import BayesSearchCV
    from skopt.space import Real

    search = BayesSearchCV(GKD, {"gamma": Real(0.1, 10)}, n_iter=2, cv=2, random_state=0)
    search.fit(X, Y, X_priv=X_PRIV)
    _check_classes(search)


def shap() -> None:
    """Explain predictions by values of the columns that add up to them."""
    import shap

    clf = clone(ALONE).fit(X[:, :6], Y)
    explain = shap.explainers.Permutation(clf.predict_proba, X[:20, :6], seed=0)
    values = explain(X[:3, :6])
    total = values.base_values + values.values.sum(axis=1)
    np.testing.assert_allclose(total, clf.predict_proba(X[:3, :6]), atol=1e-6)


def imbalanced_learn() -> None:
    """Sample rows before a classifier; with X_priv of all rows, the error says what to do."""
    from imblearn.pipeline import make_pipeline
    from imblearn.under_sampling import RandomUnderSampler

    pipeline = make_pipeline(RandomUnderSampler(random_state=0), ALONE)
    _check_classes(pipeline.fit(X, Y))
    pipeline = make_pipeline(RandomUnderSampler(random_state=0), GKD)
    try:
        pipeline.fit(X, Y, gkdclassifier__X_priv=X_PRIV)
    except ValueError as error:
        if "X_priv has 120 rows" in str(error):
            return
    raise AssertionError("rows of X were paired with X_priv of other rows, or refused for another")


def grid_search() -> None:
    """Search twice, and find the same table."""
    searches = [
        GridSearchCV(GKD, {"gamma": [0, 1]}, cv=2).fit(X, Y, X_priv=X_PRIV) for _ in range(2)
    ]
    scores = [found.cv_results_["mean_test_score"] for found in searches]
    np.testing.assert_array_equal(*scores)


TRIALS: dict[Callable[[], None], str] = {
    grid_search: "scikit-learn",
    adaboost: "scikit-learn",
    bagging_and_stacking: "scikit-learn",
    joblib_backends: "joblib",
    cloudpickle_in_another_process: "cloudpickle",
    imbalanced_learn: "imbalanced-learn",
    mlxtend: "mlxtend",
    optuna: "optuna",
    scikit_optimize: "scikit-optimize",
    shap: "shap",
}


def _check_classes(fitted) -> None:
    """Check that what was fitted predicts classes of Y better than chance."""
    assert accuracy_score(Y, fitted.predict(X)) > 1 / len(np.unique(Y))


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    warnings.simplefilter("ignore")
    print("| library | what | result |\n|---|---|---|")
    failed = False
    for trial, package in TRIALS.items():
        try:
            trial()
            result = "holds"
        except Exception as error:
            failed, result = True, f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        print(
            f"| {package} {version(package)} | {trial.__doc__.rstrip('.')} | {result} |", flush=True
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
