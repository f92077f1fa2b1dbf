"""
A map before the season ends
============================

A map of this year's land cover is due in June, when half of the season's images are still to come.
For the fields of past years the whole season is there. So the season so far is X, which training
and the map both have, and the whole season is X_priv, which training alone has. Pairs without a
label need nothing but the images of a season that is over.
"""

# %%
# Simulated optical series: 100 fields with a label, 300 pairs without, 2,000 to test. Nets
# of two members in place of eight, so that all takes a minute.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import scores
from sklearn_gkd.networks import MLPEnsemble


class Small(MLPEnsemble):
    """The default's network, of two members in place of eight."""

    def __init__(self, shapes, n_classes):
        super().__init__(shapes, n_classes, n_members=2)


def f_measure(y_true, y_pred):
    """Return the weighted F-measure."""
    return scores(y_true, y_pred)["f_measure"]


# %%
# The teacher sees the whole season, which has the season so far in it: its view is X_priv.
sits = make_sits(2100, n_unlabeled=300, random_state=0)
season, season_test, y, y_test = train_test_split(
    sits.X_s2, sits.y, train_size=100, stratify=sits.y, random_state=0
)
rows = {}
for due in ("2016-06-01", "2016-07-01"):
    so_far = sits.dates_s2 < due
    X, X_test = season[:, so_far], season_test[:, so_far]
    forest = IgnorePrivileged(RandomForestClassifier(300, random_state=0)).fit(X, y)
    alone = SeriesClassifier(Small, random_state=0).fit(X, y)
    student = GKDClassifier(Small, Small, teacher_view="privileged", random_state=0)
    student.fit(
        X,
        y,
        X_priv=season,
        X_unlabeled=sits.X_priv_unlabeled[:, so_far],
        X_priv_unlabeled=sits.X_priv_unlabeled,
    )
    rows[due] = {
        "random forest": f_measure(y_test, forest.predict(X_test)),
        "student alone": f_measure(y_test, alone.predict(X_test)),
        "GKD, 300 pairs": f_measure(y_test, student.predict(X_test)),
    }
whole = SeriesClassifier(Small, random_state=0).fit(season, y)
bound = f_measure(y_test, whole.predict(season_test))

# %%
# Weighted F-measure by the day on which the map is due, and what the whole season would give. This
# is one draw of a hundred labels: `label_efficiency` and `privileged_gain` tell how sure a gain is.
table = pd.DataFrame(rows).T
print(table.round(3).to_string())
print(f"student alone, whole season: {bound:.3f}")

# %%
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, colour in zip(table, ["0.7", "0.4", "tab:blue"], strict=True):
    ax.plot(table.index, table[name], "o-", color=colour, label=name)
ax.axhline(bound, color="tab:orange", linestyle="--", label="student alone, whole season")
ax.set(xlabel="day on which the map is due", ylabel="weighted F-measure")
figure.legend(loc="outside lower center", ncols=2)
plt.show()
