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
# 1,000 simulated fields of which 200 train and 800 test, twice over, and 300 pairs. Nets of two
# members in place of eight, no trial before the lesson and two splits, so that 18 fits take a
# minute. For evidence, take the default and `cv=None`, which is ten splits.
import matplotlib.pyplot as plt
from sklearn.model_selection import StratifiedShuffleSplit

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import LabelEfficiencyDisplay, label_efficiency, worth_in_labels
from sklearn_gkd.networks import SeriesNet

sits = make_sits(1000, n_unlabeled=300, random_state=0)
net = SeriesNet("ensemble", module__n_members=2, max_epochs=None)
results = label_efficiency(
    GKDClassifier(net, net, distillation="always"),
    sits.X_s1,
    sits.y,
    sits.X_s2,
    X_unlabeled=sits.X_unlabeled,
    X_priv_unlabeled=sits.X_priv_unlabeled,
    n_labels=[50, 100, 200],
    n_pairs=[300],
    cv=StratifiedShuffleSplit(2, train_size=200, test_size=800, random_state=0),
    random_state=0,
)

# %%
# Mean weighted F-measure.
f_measures = results.query("metric == 'f_measure'")
table = f_measures.pivot_table(index=["n_labels", "n_pairs"], columns="method", values="value")
print(table.round(3).to_string())

# %%
# ``labels_alone``: how many labels the student alone needs for the score that the pairs reach.
print(worth_in_labels(results).round(3).to_string())

# %%
# The same as a picture: the dotted lines lead from the score with pairs to those labels.
LabelEfficiencyDisplay.from_results(results)
plt.show()
