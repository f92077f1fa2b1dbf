"""
Optical images in training, radar alone on the map
==================================================

A land cover map must be made from radar (Sentinel-1), which sees through clouds. For the training
objects there are optical series (Sentinel-2) as well. A teacher learns from both sensors; a
student, which sees radar alone, learns from the labels and from the teacher. It is compared with
the same net without a teacher, and with a random forest.
"""

# %%
# 1,500 simulated objects of seven classes: 31 radar dates (VV, VH in dB) and 23 optical dates
# (four reflectances and NDVI). Series are raw: the nets scale them themselves.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import class_f_measures, scores

sits = make_sits(1500, random_state=0)
X_train, X_test, optical_train, optical_test, y_train, y_test = train_test_split(
    sits.X_s1, sits.X_s2, sits.y, test_size=0.3, stratify=sits.y, random_state=0
)

# %%
# Three classifiers of radar. Only the student is taught; the forest ignores X_priv.
student = GKDClassifier(random_state=0)
student.fit(X_train, y_train, X_priv=optical_train)
alone = SeriesClassifier(random_state=0).fit(X_train, y_train)
forest = IgnorePrivileged(RandomForestClassifier(random_state=0))
forest.fit(X_train, y_train, X_priv=optical_train)

predictions = {
    "random forest": forest.predict(X_test),
    "student alone": alone.predict(X_test),
    "student (GKD)": student.predict(X_test),
    "teacher (sees both sensors)": student.classes_[
        student.teacher_predict_proba(X_test, optical_test).argmax(axis=1)
    ],
}

# %%
# The teacher's row is the upper bound that the student is pulled towards.
table = pd.DataFrame({name: scores(y_test, y) for name, y in predictions.items()}).T
print(table.round(3).to_string())

# %%
# What the student gains, class by class.
by_class = pd.DataFrame(
    {name: class_f_measures(y_test, y, sits.class_names) for name, y in predictions.items()}
)
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
position = np.arange(len(sits.class_names))
styles = zip(by_class, "sD^o", ["0.6", "0.35", "tab:blue", "tab:orange"], strict=True)
for name, marker, colour in styles:
    ax.plot(by_class[name], position, marker, color=colour, markersize=9, label=name)
ax.hlines(position, 0, 1, color="0.9", zorder=0)
ax.set(
    yticks=position,
    yticklabels=sits.class_names,
    xlabel="F-measure",
    xlim=(0, 1.02),
    title="Radar at prediction time; optical only in the teacher's hands",
)
ax.legend(loc="lower left")

figure = Path("quickstart.png")
fig.savefig(figure, dpi=120)
print(f"Figure saved to {figure.resolve()}")
