"""
A map before the season ends
============================

A map of this year's land cover is due in June, when half of the season's images are still to come.
For the fields of past years the whole season is there. So the season so far is X, which training
and the map both have, and the whole season is X_priv, which training alone has. Pairs without a
label need nothing but the images of a season that is over.
"""

# %%
# Simulated optical series: 100 fields with a label, 300 pairs without, 2,000 to test, in two
# draws. Nets of two members in place of eight, so that all takes a minute.
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
rows = []
for draw in range(2):
    sits = make_sits(2100, n_unlabeled=300, random_state=draw)
    season, season_test, y, y_test = train_test_split(
        sits.X_s2, sits.y, train_size=100, stratify=sits.y, random_state=draw
    )
    for due in ("2016-05-01", "2016-06-01", "2016-07-01"):
        so_far = sits.dates_s2 < due
        X, X_test = season[:, so_far], season_test[:, so_far]
        forest = IgnorePrivileged(RandomForestClassifier(300, random_state=draw)).fit(X, y)
        alone = SeriesClassifier(Small, random_state=draw).fit(X, y)
        student = GKDClassifier(Small, Small, teacher_view="privileged", random_state=draw)
        student.fit(
            X,
            y,
            X_priv=season,
            X_unlabeled=sits.X_priv_unlabeled[:, so_far],
            X_priv_unlabeled=sits.X_priv_unlabeled,
        )
        for name, clf in {
            "random forest": forest,
            "student alone": alone,
            "GKD, 300 pairs": student,
        }.items():
            rows.append((due, name, f_measure(y_test, clf.predict(X_test))))
    whole = SeriesClassifier(Small, random_state=draw).fit(season, y)
    rows.append(("whole season", "student alone", f_measure(y_test, whole.predict(season_test))))

# %%
# Mean weighted F-measure by the day on which the map is due, and what the whole season would give.
results = pd.DataFrame(rows, columns=["due", "method", "f_measure"])
methods = ["random forest", "student alone", "GKD, 300 pairs"]
table = results.pivot_table(index="due", columns="method", values="f_measure")[methods]
print(table.round(3).to_string())

# %%
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
so_far = results[results["due"] != "whole season"]
for name, colour in zip(methods, ["0.7", "0.4", "tab:blue"], strict=True):
    by_date = so_far[so_far["method"] == name].groupby("due")["f_measure"]
    ax.errorbar(
        by_date.mean().index, by_date.mean(), yerr=by_date.std(), fmt="o-", capsize=3, color=colour,
        label=name,
    )  # fmt: skip
bound = table.loc["whole season", "student alone"]
ax.axhline(bound, color="tab:orange", linestyle="--", label="student alone, whole season")
ax.set(xlabel="day on which the map is due", ylabel="weighted F-measure, 2 draws")
ax.legend()
figure.savefig("early_season.png", dpi=120)
