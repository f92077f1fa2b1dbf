"""
Optical images for some objects only
====================================

Clouds leave many training objects without a usable optical series. Such a row of X_priv is NaN
throughout: it teaches the student by its label alone. The other way round, radar and optical pairs
without a label are plentiful, and teach by the teacher's word alone (`X_unlabeled`). Here is what
either is worth, from all of the optical series down to none.
"""

# %%
# 1,200 simulated objects: 400 with a label, 400 pairs without, 400 to test.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import SeriesNet

sits = make_sits(1200, random_state=0)
labelled, rest = train_test_split(np.arange(1200), train_size=400, stratify=sits.y, random_state=0)
unlabelled, test = train_test_split(rest, train_size=400, stratify=sits.y[rest], random_state=0)
net = SeriesNet("ensemble", module__n_members=4, max_epochs=20)

# %%
# Optical series are taken away from more and more of the labelled objects.
rng = np.random.RandomState(0)
order = rng.permutation(labelled)
rows = []
for share in (1.0, 0.4, 0.1):
    optical = sits.X_s2.copy()
    optical[order[int(share * len(order)) :]] = np.nan
    for seed in range(2):
        clf = GKDClassifier(net, net, random_state=seed)
        clf.fit(sits.X_s1[labelled], sits.y[labelled], X_priv=optical[labelled])
        rows.append((share, "labelled rows", clf.score(sits.X_s1[test], sits.y[test])))
        clf.fit(
            sits.X_s1[labelled],
            sits.y[labelled],
            X_priv=optical[labelled],
            X_unlabeled=sits.X_s1[unlabelled],
            X_priv_unlabeled=sits.X_s2[unlabelled],
        )
        rows.append((share, "and unlabelled pairs", clf.score(sits.X_s1[test], sits.y[test])))
for seed in range(2):
    clf = GKDClassifier(student=net, beta=0, gamma=0, random_state=seed)
    clf.fit(sits.X_s1[labelled], sits.y[labelled])
    rows.append((0.0, "labelled rows", clf.score(sits.X_s1[test], sits.y[test])))

# %%
# Mean accuracy on the test objects, which have radar alone, over two seeds. The teacher's terms
# of the loss are averaged over all rows, those that it has not seen included: a teacher of few
# objects says little. On pairs without a label its word is all there is, so it is tried first:
# where it does not help, a warning says so, and the student learns from the labels alone.
results = pd.DataFrame(rows, columns=["share", "taught by", "accuracy"])
table = results.pivot_table(index="share", columns="taught by", values="accuracy")
print(table.round(3).to_string())

# %%
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, group in results.groupby("taught by"):
    by_share = group.groupby("share")["accuracy"]
    ax.errorbar(by_share.mean().index, by_share.mean(), yerr=by_share.std(), fmt="o-", label=name)
ax.set(
    xlabel="share of the labelled objects that have an optical series",
    ylabel="accuracy of the student, on radar alone",
)
ax.legend()
plt.show()
