"""
A double camera of which one failed
===================================

An aircraft carried two cameras over the training area, one of colours and one of infrared, and the
infrared one failed on a third of the flights. Neither is there for prediction, which has radar
alone. `priv_sources` names the two: the teacher learns from whatever a row has.
"""

# %%
# Simulated objects: radar series, and four optical bands in the place of the cameras. 200 have a
# label, 300 are pairs without one, and 400 are to test.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

sits = make_sits(600, n_unlabeled=300, random_state=0)
labelled, test = np.arange(200), np.arange(200, 600)
n_dates = sits.X_s2.shape[1]
rng = np.random.default_rng(0)


def cameras(optical):
    """Return both cameras side by side in a table, and take the infrared from a third of it."""
    colours = optical[:, :, :3].reshape(len(optical), -1)
    infrared = optical[:, :, 3].copy()
    infrared[rng.uniform(size=len(optical)) < 1 / 3] = np.nan
    return np.hstack([colours, infrared])


both, both_unlabelled = cameras(sits.X_s2), cameras(sits.X_priv_unlabeled)

# %%
# A source is a name, a transformer or "passthrough", columns of X_priv as in a
# `sklearn.compose.ColumnTransformer`, and its shape: (T, C), or the number C of its channels. Rows
# where its columns are NaN throughout lack it.
colours = ("colours", "passthrough", slice(0, 3 * n_dates), (n_dates, 3))
infrared = ("infrared", "passthrough", slice(3 * n_dates, None), (n_dates, 1))
net = SeriesNet("ensemble", module__n_members=4, max_epochs=20)
clf = GKDClassifier(net, net, priv_sources=[colours, infrared], random_state=0)
pairs = {"X_unlabeled": sits.X_unlabeled, "X_priv_unlabeled": both_unlabelled}
clf.fit(sits.X_s1[labelled], sits.y[labelled], X_priv=both[labelled], **pairs)

# %%
# One teacher serves rows that have both cameras and rows that have either.
whole = test[~np.isnan(both[test]).any(axis=1)]
no_colours, no_infrared = both.copy(), both.copy()
no_colours[:, colours[2]] = no_infrared[:, infrared[2]] = np.nan
for name, table in [("both", both), ("colours", no_infrared), ("infrared", no_colours)]:
    proba = clf.teacher_predict_proba(sits.X_s1[whole], table[whole])
    accuracy = np.mean(clf.classes_[proba.argmax(axis=1)] == sits.y[whole])
    print(f"teacher with {name}: {accuracy:.3f}")

# %%
# The student, on radar alone, beside what one does without `priv_sources`: leave out the rows
# without infrared, or one of the cameras altogether. Two seeds each: an illustration.
complete, complete_unlabelled = (
    np.where(np.isnan(table).any(axis=1, keepdims=True), np.nan, table)
    for table in (both, both_unlabelled)
)
teachers = {
    "rows with both": ([colours, infrared], complete, complete_unlabelled),
    "colours": ([colours], both, both_unlabelled),
    "infrared": ([infrared], both, both_unlabelled),
    "both, as sources": ([colours, infrared], both, both_unlabelled),
}
rows = []
for seed in range(2):
    alone = GKDClassifier(student=net, beta=0, gamma=0, random_state=seed)
    alone.fit(sits.X_s1[labelled], sits.y[labelled])
    rows.append(("labels alone", alone.score(sits.X_s1[test], sits.y[test])))
    for name, (sources, table, table_unlabelled) in teachers.items():
        clf = GKDClassifier(net, net, priv_sources=sources, random_state=seed)
        pairs["X_priv_unlabeled"] = table_unlabelled
        clf.fit(sits.X_s1[labelled], sits.y[labelled], X_priv=table[labelled], **pairs)
        rows.append((name, clf.score(sits.X_s1[test], sits.y[test])))
results = pd.DataFrame(rows, columns=["taught by", "accuracy"])
mean = results.groupby("taught by", sort=False)["accuracy"].mean()
print(mean.round(3).to_string())

# %%
fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(results["accuracy"], results["taught by"], "o", color="0.7")
ax.plot(mean, mean.index, "o", color="tab:blue")
ax.set(xlabel="accuracy of the student on radar alone, of two seeds and their mean")
ax.invert_yaxis()
plt.show()
