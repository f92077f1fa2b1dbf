"""
A hundred labels, five hundred pairs
====================================

A land cover map must be made from radar (Sentinel-1), which sees through clouds. A label costs a
visit to the field, so there are few. But the optical images (Sentinel-2) of past clear days show
every field that the radar images show: thousands of pairs of series, for which nobody has said what
grows there. A teacher learns from both sensors; a student, which sees radar alone, learns from the
labels and, wherever there is a pair, from the teacher.
"""

# %%
# Simulated fields of seven classes: 100 with a label, 500 pairs without, and 3,000 to test. A
# field has 31 radar dates (VV, VH in dB) and 23 optical dates (four reflectances and NDVI). Series
# are raw: the nets scale them themselves.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from sklearn_gkd import GKDClassifier, IgnorePrivileged, SeriesClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.evaluation import class_f_measures, scores

sits = make_sits(3100, n_unlabeled=500, random_state=0)
X, X_test = np.split(sits.X_s1, [100])
optical, optical_test = np.split(sits.X_s2, [100])
y, y_test = np.split(sits.y, [100])

# %%
# The student with pairs, which is the usual case. It needs no optical series to predict.
student = GKDClassifier(random_state=0)
student.fit(
    X,
    y,
    X_priv=optical,
    X_unlabeled=sits.X_unlabeled,
    X_priv_unlabeled=sits.X_priv_unlabeled,
)

# %%
# Before it is trained, small nets try on labelled fields, held out, whether the teacher's lesson
# helps. Where it does not, a warning says so, and the student learns from the labels alone.
print(student.distillation_)

# %%
# Beside it: a random forest, the same net without a teacher, and the student without pairs. The
# self-taught student has the same pairs, but its teacher sees radar alone: what it gains is not
# due to the optical series.
alone = SeriesClassifier(random_state=0).fit(X, y)
forest = IgnorePrivileged(RandomForestClassifier(300, random_state=0)).fit(X, y)
without_pairs = GKDClassifier(random_state=0).fit(X, y, X_priv=optical)
self_taught = GKDClassifier(distillation="always", random_state=0)
self_taught.fit(X, y, X_priv=X, X_unlabeled=sits.X_unlabeled, X_priv_unlabeled=sits.X_unlabeled)

predictions = {
    "random forest": forest.predict(X_test),
    "student alone": alone.predict(X_test),
    "self-taught, same pairs": self_taught.predict(X_test),
    "GKD, no pairs": without_pairs.predict(X_test),
    "GKD, 500 pairs": student.predict(X_test),
}
if student.distillation_.used:
    seen_by_both = student.teacher_predict_proba(X_test, optical_test)
    predictions["teacher (sees both)"] = student.classes_[seen_by_both.argmax(axis=1)]

# %%
# The teacher's row is the bound: it also sees the optical series of the fields to be mapped. This
# is one draw of a hundred labels. In others the gain differs, and now and then the trial says no;
# `plot_pairs.py` has several.
table = pd.DataFrame({name: scores(y_test, of) for name, of in predictions.items()}).T
print(table.round(3).to_string())

# %%
# What pairs gain, as a whole and class by class.
colours = dict(
    zip(predictions, ["0.75", "0.55", "0.35", "tab:cyan", "tab:blue", "tab:orange"], strict=False)
)
figure, (whole, by_class) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
bars = whole.barh(list(predictions), table["f_measure"], color=list(colours.values()))
whole.bar_label(bars, fmt="%.2f", padding=3)
whole.invert_yaxis()
whole.set(xlabel="weighted F-measure", xlim=(0, 1), title="100 labels, 3,000 test fields")

position = np.arange(len(sits.class_names))
by_class.hlines(position, 0, 1, color="0.9", zorder=0)
markers = {"student alone": "D", "GKD, 500 pairs": "o", "teacher (sees both)": "^"}
for name in [name for name in markers if name in predictions]:
    f_measures = class_f_measures(y_test, predictions[name], sits.class_names)
    style = {"color": colours[name], "markersize": 9, "label": name}
    by_class.plot(f_measures, position, markers[name], **style)
by_class.set(
    yticks=position, yticklabels=sits.class_names, xlabel="F-measure", xlim=(0, 1), title="By class"
)
by_class.legend(loc="lower left")

figure.savefig("quickstart.png", dpi=120)
print("Figure saved: quickstart.png")
