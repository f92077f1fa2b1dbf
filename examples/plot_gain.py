"""
Is my privileged information worth it?
======================================

A student that distils may be better than the same net alone for reasons that have nothing to do
with X_priv: it was trained for longer, it has seen more rows of X, or any teacher would have
regularised it. `privileged_gain` gives the same splits and seeds to the controls that tell these
apart. With your own data it is the same call, on your series and your splits.
"""

# %%
# Simulated fields, radar as X and optical series as X_priv: 150 labels and 300 pairs without one
# to train on, 850 fields to test on, five times over. Narrow nets, few passes and no trial before
# the lesson, so that 40 fits take a minute.
import matplotlib.pyplot as plt
from sklearn.model_selection import StratifiedShuffleSplit

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import GainDisplay, gain_table, privileged_gain
from sklearn_gkd.networks import SeriesNet

sits = make_sits(1000, n_unlabeled=300, random_state=0)
net = SeriesNet("mlp", module__width=256, module__features=128, module__head=64, max_epochs=20)
results = privileged_gain(
    GKDClassifier(net, net, distillation="always"),
    sits.X_s1,
    sits.y,
    sits.X_s2,
    X_unlabeled=sits.X_unlabeled,
    X_priv_unlabeled=sits.X_priv_unlabeled,
    cv=StratifiedShuffleSplit(5, train_size=150, random_state=0),
    n_jobs=2,
    random_state=0,
)

# %%
# Read the table from the top. ``gain`` is the estimator's mean less the method's, over five splits.
# Its interval allows for the rows that the splits share. What counts is the row with ``to_beat``,
# the better of the student alone and self-distillation, whose teacher sees X alone on the same
# pairs. The teacher, which sees X_priv of the test rows, is the bound: ``recovered`` is how much of
# the way from the student alone to it a method goes.
table = gain_table(results).loc["f_measure"]
print(table.round(3).to_string())

# %%
# So is it worth it? Yes, where the gain over the method to beat lies above zero with its whole
# interval. Where the interval holds zero, these splits cannot tell: ask for more of them, or more
# test fields. ``cv=None`` takes ten splits.
to_beat = table[table["to_beat"]].iloc[0]
print(f"gain over {to_beat.name}: {to_beat['low']:+.3f} to {to_beat['high']:+.3f}")

# %%
# A gain that permuted X_priv and self-distillation show too is none of privileged information.
GainDisplay.from_results(results)
plt.show()
