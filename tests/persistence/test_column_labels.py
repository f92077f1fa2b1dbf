import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_gkd import GKDClassifier
from sklearn_gkd.eo import GapFiller
from sklearn_gkd.persistence import save_model
from sklearn_gkd.persistence._column_labels import pack_labels

DATES = pd.to_datetime(["2016-01-04", "2016-01-16", "2016-02-20"])

LABELS = {
    "a range": pd.RangeIndex(6),
    "another range": pd.RangeIndex(10, 70, 10),
    "integers": pd.Index([3, 1, 4, 15, 9, 2]),
    "small integers": pd.Index(np.arange(6, dtype="int8")),
    "floats": pd.Index([0.1, 0.2, 0.3, 1e300, np.nan, -0.5]),
    "booleans and numbers": pd.Index([True, 2, 3.5, None, 0, 7], dtype=object),
    "dates": pd.date_range("2016-01-04T05:41", periods=6, freq="12D"),
    "dates of numpy": pd.Index(np.arange("2016-01-04", "2016-01-10", dtype="M8[D]")),
    "dates and bands": pd.MultiIndex.from_product([DATES, ["VV", "VH"]]),
    "bands and days": pd.MultiIndex.from_product([[3, 15, 50], ["VV", "VH"]]),
    "tuples": pd.Index([(i, "VV") for i in range(6)], tupleize_cols=False),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_a_loaded_model_compares_columns_as_the_saved_one(through_file, labels):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 6)), columns=labels)
    X.iloc[1:4, 2] = np.nan
    filler = GapFiller(2).fit(X)
    loaded = through_file(filler)
    tables = {
        "same": X,
        "reversed": X.iloc[:, ::-1],
        "array": X.to_numpy(),
        "numbered": X.set_axis(range(6), axis=1),
        "other numbers": X.set_axis(range(1, 7), axis=1),
        "other tuples": X.set_axis([(i, 0) for i in range(6)], axis=1),
        "dates": X.set_axis(LABELS["dates"], axis=1),
    }
    for name, table in tables.items():
        answers = []
        for each in (filler, loaded):
            try:
                answers.append(each.transform(table).tobytes())
            except ValueError as error:
                answers.append(str(error))
        assert answers[0] == answers[1], name
    with pytest.raises(ValueError, match="X has other column labels than in fit"):
        loaded.transform(X.iloc[:, ::-1])


def test_classifiers_and_teachers_keep_them(through_file, series, small):
    X = pd.DataFrame(series.X.reshape(120, 12), columns=range(100, 112))
    X_priv = pd.DataFrame(series.X_priv.reshape(120, 24), columns=range(24))
    clf = GKDClassifier(small, small, n_channels=2, n_channels_priv=4, random_state=0)
    clf.fit(X, series.y, X_priv=X_priv)
    loaded = through_file(clf, teacher=True)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    pipeline = make_pipeline(GapFiller(2), clone(clf))
    again = through_file(pipeline.fit(X, series.y, gkdclassifier__X_priv=X_priv))
    for model in (clf, loaded, again):
        with pytest.raises(ValueError, match="X has other column labels than in fit"):
            model.predict(X.iloc[:, ::-1])
    for model in (clf, loaded):
        with pytest.raises(ValueError, match="X_priv has other column labels than in fit"):
            model.teacher_predict_proba(X, X_priv.iloc[:, ::-1])


@pytest.mark.parametrize(
    "labels",
    [
        [datetime.date(2016, 1, day) for day in range(1, 7)],
        pd.period_range("2016-01", periods=6, freq="M"),
        pd.interval_range(0, 6),
        pd.date_range("2016-01-04", periods=6, tz="Europe/Paris"),
        [b"a", b"b", b"c", b"d", b"e", b"f"],
    ],
)
def test_other_labels_are_refused_by_name(path, labels):
    X = pd.DataFrame(np.ones((3, 6)), columns=labels)
    with pytest.raises(ValueError, match=r"(?s)labels that save_model does not write.*map\(str\)"):
        save_model(GapFiller(2).fit(X), path)
    assert not path.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"dtype": "<U3"}, {"dtype": "category"}, {"levels": 2}, {"values": [1, 2]}, {"values": 6},
        {"values": [{"run": "x"}] * 6}, {"dtype": "<M8[ns]", "values": ["soon"] * 6},
    ],
)  # fmt: skip
def test_what_no_labels_are_is_refused(path, rewrite, changed):
    from sklearn_gkd.persistence import load_model

    save_model(GapFiller(2).fit(pd.DataFrame(np.ones((3, 6)))), path)
    load_model(path)
    rewrite(lambda content, _: content["model"]["fitted"]["_column_labels"].update(changed))
    with pytest.raises(ValueError, match="does not hold a model that can be built"):
        load_model(path)


def test_labels_are_plain_json():
    import json

    for labels in LABELS.values():
        packed = pack_labels(labels)
        assert json.loads(json.dumps(packed)).keys() == packed.keys()
