"""
A grid search over the three terms of the loss
==============================================

The student learns from labels (alpha), the teacher's features (beta) and the teacher's decisions
(gamma). `GridSearchCV` weighs them like any other parameters, with X_priv in its call. With
`memory`, candidates that would train the same teacher share it: one teacher a fold, whatever the
size of the grid. (`GKDGridSearchCV`, in its place, needs no memory and also trains the students
side by side.) A random forest takes the same call beside it.
"""

# %%
# 900 simulated objects. Narrow nets, so that 12 candidates x 3 folds take a minute.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, train_test_split

from sklearn_gkd import GKDClassifier, IgnorePrivileged
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

sits = make_sits(900, random_state=0)
X_train, X_test, optical_train, _, y_train, y_test = train_test_split(
    sits.X_s1, sits.X_s2, sits.y, test_size=0.3, stratify=sits.y, random_state=0
)
net = SeriesNet("mlp", module__width=256, module__features=128, module__head=64, max_epochs=15)

# %%
# Eight weights of the loss and, in the same grid, four plain students: beta and gamma are 0.
grid = [
    {"alpha": [0.3, 1], "beta": [0, 1], "gamma": [1, 10]},
    {"alpha": [1], "beta": [0], "gamma": [0], "student__module__dropout": [0, 0.2, 0.4, 0.6]},
]
with TemporaryDirectory() as folder:
    clf = GKDClassifier(net, net, memory=folder, random_state=0)
    search = GridSearchCV(clf, grid, cv=3).fit(X_train, y_train, X_priv=optical_train)

forest = GridSearchCV(
    IgnorePrivileged(RandomForestClassifier(random_state=0)),
    {"estimator__max_depth": [10, 20, 40]},
    cv=3,
).fit(X_train, y_train, X_priv=optical_train)

# %%
# The best of each, on the folds and on rows that no search has seen.
table = pd.DataFrame(
    {
        name: {
            "chosen": best.best_params_,
            "folds": best.best_score_,
            "test": best.score(X_test, y_test),
        }
        for name, best in {"GKD": search, "random forest": forest}.items()
    }
).T
print(table.to_string())

# %%
# Every candidate of the search, the best on top.
results = pd.DataFrame(search.cv_results_).sort_values("mean_test_score")
labels = [
    ", ".join(f"{name.split('__')[-1]}={value:g}" for name, value in params.items())
    for params in results["params"]
]
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ax.errorbar(results["mean_test_score"], labels, xerr=results["std_test_score"], fmt="o")
ax.axvline(forest.best_score_, color="0.5", linestyle="--", label="random forest")
ax.set(xlabel="accuracy, mean and standard deviation over 3 folds", title="Candidates")
ax.legend(loc="lower right")
plt.show()
