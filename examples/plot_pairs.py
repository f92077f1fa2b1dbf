"""
What a pair is worth in labels
==============================

Pairs without a label, fields that both sensors have seen and nobody has visited, cost nothing
where both image stacks are at hand. How many visits do they save? `label_efficiency` measures the
score by the number of labels, with and without pairs: of the estimator, of the same net alone, and
of one that is taught by itself on the same pairs. With your own data it is the same call; where
there are no X_unlabeled, training rows without their label take their place.
"""

# %%
# 2,000 simulated fields of which 400 train and 1,600 test, three times over, and 300 pairs. Nets of
# two members in place of eight, and three splits, so that 54 fits take a minute. For evidence,
# take the default's nets and `cv=None`, which is ten splits.
from sklearn.model_selection import StratifiedShuffleSplit

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import LabelEfficiencyDisplay, label_efficiency, worth_in_labels
from sklearn_gkd.networks import MLPEnsemble


class Small(MLPEnsemble):
    """The default's network, of two members in place of eight."""

    def __init__(self, shapes, n_classes):
        super().__init__(shapes, n_classes, n_members=2)


sits = make_sits(2000, n_unlabeled=300, random_state=0)
results = label_efficiency(
    GKDClassifier(Small, Small),
    sits.X_s1,
    sits.y,
    sits.X_s2,
    X_unlabeled=sits.X_unlabeled,
    X_priv_unlabeled=sits.X_priv_unlabeled,
    n_labels=[50, 150, 400],
    n_pairs=[0, 300],
    cv=StratifiedShuffleSplit(3, train_size=400, test_size=1600, random_state=0),
    random_state=0,
)

# %%
# Mean weighted F-measure. Where the trial that precedes a lesson of pairs says no, a warning tells
# so, and the estimator is the student alone; of few labels it has few rows to judge by.
f_measures = results.query("metric == 'f_measure'")
table = f_measures.pivot_table(index=["n_labels", "n_pairs"], columns="method", values="value")
print(table.round(3).to_string())

# %%
# ``labels_alone``: how many labels the student alone needs for the score that the pairs reach.
print(worth_in_labels(results).round(3).to_string())

# %%
# The same as a picture: the dotted lines lead from the score with pairs to those labels.
display = LabelEfficiencyDisplay.from_results(results)
display.figure_.savefig("pairs.png", dpi=120)
