import datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices
from sklearn_gkd.networks import MLP
from sklearn_gkd.persistence import Unsaved, save_model


def test_a_loaded_student_is_whole(series, small, through_file, assert_predicts_alike):
    columns = [f"{band}_d{day:03}" for day in range(6) for band in ("VV", "VH")]
    X = pd.DataFrame(series.X.reshape(120, 12), columns=columns)
    clf = GKDClassifier(small, small, n_channels=2, class_weight={"maize": 1, "meadow": 2.5})
    clf.set_params(class_weight="balanced", random_state=3, priv_transformer=GapFiller())
    clf.fit(X, series.y, X_priv=series.X_priv)
    loaded = through_file(clf)
    assert_predicts_alike(loaded, clf, X)
    assert repr(loaded) == repr(clf)
    assert loaded.priv_shape_ == (6, 4)
    assert_array_equal(loaded.feature_names_in_, columns)
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(X[columns[::-1]])
    with pytest.raises(NotFittedError, match="teacher_"):
        loaded.teacher_predict_proba(X, series.X_priv)
    again = clone(loaded).fit(X, series.y, X_priv=series.X_priv)
    assert_predicts_alike(again, clf, X)


@pytest.mark.parametrize("transformer", [None, GapFiller(), GapFiller(n_channels=4)])
@pytest.mark.parametrize("view", ["both", "privileged"])
def test_the_teacher_goes_with_it_on_request(transformer, view, series, small, path, through_file):
    X_priv = series.X_priv
    if transformer is not None:
        X_priv = np.where(np.arange(6)[:, None] == 2, np.nan, X_priv)
    if getattr(transformer, "n_channels", None):
        X_priv = pd.DataFrame(X_priv.reshape(120, 24)).add_prefix("band")
    clf = GKDClassifier(
        small, small, priv_transformer=transformer, teacher_view=view, n_channels_priv=4
    )
    clf.fit(series.X, series.y, X_priv=X_priv)
    loaded = through_file(clf, teacher=True)
    of_loaded = loaded.teacher_predict_proba(series.X, X_priv)
    assert of_loaded.tobytes() == clf.teacher_predict_proba(series.X, X_priv).tobytes()
    assert list(loaded.teacher_.history) == list(clf.teacher_.history)
    if isinstance(X_priv, pd.DataFrame):
        with pytest.raises(ValueError, match="X_priv has other column names"):
            loaded.teacher_predict_proba(series.X, X_priv.iloc[:, ::-1])
    without = path.with_name("without.safetensors")
    save_model(clf, without)
    assert without.stat().st_size < 0.7 * path.stat().st_size


def test_a_network_without_a_name_is_described(series, path):
    net = partial(MLP, width=4, features=4, head=4)
    clf = SeriesClassifier(net, max_epochs=1).fit(series.X, series.y)
    with pytest.raises(ValueError, match=r"net is functools.partial.*=\{'mine': Mine\}"):
        save_model(clf, path)


def test_a_teacher_that_needs_pickle_is_refused(series, small, path):
    clf = GKDClassifier(LogisticRegression(max_iter=1000), small, beta=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv / 1000)
    with pytest.raises(ValueError, match=r"only a net can be written.*teacher=False"):
        save_model(clf, path, teacher=True)
    X_priv = series.X_priv.reshape(120, 24)
    clf = GKDClassifier(small, small, priv_transformer=StandardScaler())
    clf.fit(series.X, series.y, X_priv=X_priv)
    with pytest.raises(ValueError, match=r"given a StandardScaler; .*leave the teacher out"):
        save_model(clf, path, teacher=True)
    with pytest.raises(ValueError, match=r"SeriesClassifier has no teacher_.*teacher=False"):
        save_model(SeriesClassifier(small).fit(series.X, series.y), path, teacher=True)
    assert not path.exists()


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["maïs", "prairie"], dtype="U40"),
        np.array(["oats", "rye"], dtype=object),
        np.array([-(2**62), 2**62 + 1]),
        np.array([0, 200], dtype=np.uint8),
        np.array([False, True]),
        np.array([-1.0, 3.0], dtype=np.float32),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_classes_of_any_dtype(labels, series, small, through_file, assert_predicts_alike):
    y = labels[np.arange(120) % 2]
    clf = SeriesClassifier(small.set_params(max_epochs=1)).fit(series.X, y)
    loaded = through_file(clf)
    assert_array_equal(loaded.classes_, clf.classes_, strict=True)
    assert_predicts_alike(loaded, clf, series.X)


DATES = ["2016-02-01", "2016-03-01", "2016-04-01", "2016-05-01"]


def test_a_pipeline_with_gap_filling(series, small, through_file, assert_predicts_alike):
    X = np.where(np.random.RandomState(0).uniform(size=series.X.shape) < 0.3, np.nan, series.X)
    filler = GapFiller(dates=["2016-01-04", "2016-01-05", *DATES])
    pipeline = make_pipeline(filler, "passthrough", GKDClassifier(small, small))
    pipeline.fit(X, series.y, gkdclassifier__X_priv=series.X_priv)
    assert_predicts_alike(through_file(pipeline), pipeline, X)


BANDS = ["B02", "B03", "B04", "B08"]
TO_DATES = [0.0, 20.0, 40.0, 95.0]
SIX_DAYS = np.array([3, 15, 16, 40, 52, 90])
STEPS = {
    "mask": [CloudMask(clouds=(3, 8)), GapFiller()],
    "indices": [
        CloudMask(clouds=[3, 8]),
        SpectralIndices(["NDVI", "NDWI"], bands=BANDS, offset=-0.1),
        GapFiller(),
    ],
    "resampled": [
        CloudMask(clouds=np.array([3, 8])),
        Resample(SIX_DAYS, TO_DATES),
        GapFiller(dates=TO_DATES),
    ],
}


CHANNELS = {
    "mask": {"cloudmask": 5, "gapfiller": 4},
    "indices": {"cloudmask": 5, "spectralindices": 4, "gapfiller": 6},
    "resampled": {"cloudmask": 5, "resample": 4, "gapfiller": 4},
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_before_a_classifier(case, optical, small, through_file, assert_predicts_alike):
    pipeline = make_pipeline(*STEPS[case], SeriesClassifier(small))
    pipeline.fit(optical.X, optical.y)
    assert_predicts_alike(through_file(pipeline), pipeline, optical.X_new)
    pipeline.set_params(**{f"{name}__n_channels": n for name, n in CHANNELS[case].items()})
    pipeline.fit(optical.X.reshape(120, -1), optical.y)
    assert_predicts_alike(through_file(pipeline), pipeline, optical.X_new.reshape(3000, -1))


@pytest.mark.parametrize("case", STEPS)
@pytest.mark.parametrize("view", ["both", "privileged"])
def test_steps_before_a_teacher(case, view, series, optical, small, through_file):
    transformer = make_pipeline("passthrough", *STEPS[case])
    clf = GKDClassifier(small, small, priv_transformer=transformer, teacher_view=view)
    clf.fit(series.X, series.y, X_priv=optical.X)
    steps = through_file(clf).priv_transformer.named_steps
    assert steps["passthrough"] == "passthrough"
    for name, step in transformer.steps[1:]:
        for parameter, value in step.get_params().items():
            assert_array_equal(getattr(steps[name], parameter), value)
    loaded = through_file(clf, teacher=True)
    of_loaded = loaded.teacher_predict_proba(series.X, optical.X)
    assert of_loaded.tobytes() == clf.teacher_predict_proba(series.X, optical.X).tobytes()
    again = clone(loaded).fit(series.X, series.y, X_priv=optical.X)
    assert type(again.priv_transformer_[-1]) is GapFiller


@pytest.mark.parametrize("step", ["mask", "indices", "resampled"])
def test_a_transformer_alone_before_a_teacher(step, series, small, through_file):
    transformer = {
        "mask": CloudMask(0, clouds=(2900.5,)),
        "indices": SpectralIndices(),
        "resampled": Resample(SIX_DAYS, TO_DATES),
    }[step]
    clf = GKDClassifier(small, small, priv_transformer=transformer)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    loaded = through_file(clf, teacher=True)
    of_loaded = loaded.teacher_predict_proba(series.X, series.X_priv)
    assert of_loaded.tobytes() == clf.teacher_predict_proba(series.X, series.X_priv).tobytes()
    assert type(loaded.priv_transformer_) is type(transformer)


def test_a_loaded_pipeline_is_whole(series, small, through_file, assert_predicts_alike):
    pipeline = make_pipeline(None, GapFiller(), "passthrough", GKDClassifier(small, small))
    pipeline.set_params(transform_input=["X_val"], memory="a folder", verbose=True)
    pipeline.named_steps["gapfiller"].fit(series.X)
    pipeline[-1].fit(series.X, series.y, X_priv=series.X_priv)
    loaded = through_file(make_pipeline(pipeline))
    assert_predicts_alike(loaded, pipeline, series.X)
    assert repr(loaded[0]) == repr(pipeline.set_params(memory=None))


DAYS = np.array(["2016-01-04", "2016-01-05", *DATES], dtype="datetime64[ns]")


@pytest.mark.parametrize(
    "dates",
    [
        DAYS.astype(str).tolist(),
        ["2016-01-04", "2016-01-05T06:30", *DATES],
        DAYS,
        DAYS + np.timedelta64(1, "ns"),
        DAYS.astype("datetime64[D]"),
        list(DAYS),
        tuple(DAYS.astype("datetime64[h]")),
        pd.DatetimeIndex(DAYS) + pd.Timedelta(hours=5),
        pd.Series(DAYS, index=range(5, 11)),
        DAYS.astype("datetime64[D]").tolist(),
        [datetime.datetime(2016, month, 12, 10, 30) for month in range(1, 7)],
        np.array([0.0, 0.1, 7.7, 8.0, 20.25, 90.0]),
        range(3, 9),
        [np.int16(day) for day in range(6)],
        pd.Index([1, 2, 4, 8, 16, 32]),
    ],
    ids=lambda dates: f"{type(dates).__name__} of {type(list(dates)[-1]).__name__}",
)
def test_dates_of_any_kind(dates, series, with_gaps, through_file):
    X = with_gaps(series.X)
    resample = Resample(dates, dates[2:5]).fit(X)
    for transformer in (GapFiller(dates=dates).fit(X), resample):
        loaded = through_file(transformer)
        assert loaded.transform(X).tobytes() == transformer.transform(X).tobytes()
        assert clone(loaded).fit_transform(X).tobytes() == transformer.transform(X).tobytes()
    assert_array_equal(loaded.get_feature_names_out(), resample.get_feature_names_out())


@pytest.mark.parametrize("number", [np.float64, np.float32, np.longdouble])
def test_the_type_of_a_number_does_not_matter(number, series, through_file):
    X = (series.X_priv / 10_000).astype(np.float32)
    indices = SpectralIndices(offset=number(-0.1)).fit(X)
    if number is np.longdouble:
        with pytest.raises(TypeError, match=r"offset of SpectralIndices: .*no plain value"):
            through_file(indices)
    else:
        assert through_file(indices).transform(X).tobytes() == indices.transform(X).tobytes()


def test_a_parameter_that_a_transformer_needs_is_plain(series, path, through_file):
    periods = pd.period_range("2016-01", periods=6, freq="M")
    resample = Resample(periods, ["2016-02-01"]).fit(series.X)
    loaded = through_file(resample)
    assert loaded.transform(series.X).tobytes() == resample.transform(series.X).tobytes()
    resample.dates, before = [object()] * 6, path.read_bytes()
    with pytest.raises(TypeError, match=r"dates of Resample: .*object.* that save_model writes"):
        save_model(resample, path)
    assert path.read_bytes() == before


def test_parameters_that_are_no_plain_values_are_described(
    series, small, tmp_path, through_file, assert_predicts_alike
):
    X_priv = series.X_priv.reshape(120, 24)
    clf = GKDClassifier(
        LogisticRegression(C=0.5, max_iter=1000),
        clone(small).set_params(max_epochs=1, callbacks=[LRScheduler("StepLR", step_size=1)]),
        beta=0,
        priv_transformer=StandardScaler(),
        memory=str(tmp_path / "cache"),
        device="cpu",
        random_state=np.random.RandomState(0),
    )
    clf.fit(series.X, series.y, X_priv=X_priv)
    loaded = through_file(through_file(clf))
    assert_predicts_alike(loaded, clf, series.X)
    params = loaded.get_params(deep=False)
    unsaved = {name for name, value in params.items() if isinstance(value, Unsaved)}
    assert unsaved == {"teacher", "student", "priv_transformer", "random_state"}
    assert repr(params["teacher"]) == "<not saved: LogisticRegression(C=0.5, max_iter=1000)>"
    assert (params["memory"], params["device"], params["beta"]) == (None, "auto", 0)
    plain = {"teacher": small, "student": small, "priv_transformer": None, "random_state": 0}
    for name in plain:
        others = {key: plain[key] for key in plain if key != name}
        message = f"The '{name}' parameter of GKDClassifier must be.*not saved"
        with pytest.raises(ValueError, match=message):
            clone(loaded).set_params(**others).fit(series.X, series.y, X_priv=X_priv)
    loaded.set_params(**plain)
    loaded.fit(series.X, series.y, X_priv=X_priv)


def test_what_a_callback_recorded_is_plain_or_described(series, small, through_file):
    clf = SeriesClassifier(small).fit(series.X, series.y)
    now = np.datetime64("2016-01-12", "ns")
    clf.network_.history[-1].update(loss=np.float32(0.5), now=now)
    recorded = through_file(clf).network_.history[-1]
    assert recorded["loss"] == 0.5
    assert repr(recorded["now"]) == f"<not saved: {now!r}>"


def test_what_cannot_be_saved(series, path):
    with pytest.raises(NotFittedError):
        save_model(SeriesClassifier(), path)
    with pytest.raises(TypeError, match="was given a LogisticRegression; it writes GKDClassifier"):
        save_model(LogisticRegression(), path)
    with pytest.raises(TypeError, match="was given a StandardScaler"):
        save_model(make_pipeline(StandardScaler(), SeriesClassifier()), path)
    assert not path.exists()


def test_channels_may_be_of_any_integer_type(series, small, through_file):
    table = series.X.reshape(120, -1)
    clf = SeriesClassifier(small.set_params(max_epochs=1), n_channels=np.int64(2))
    assert through_file(clf.fit(table, series.y)).series_shape_ == (6, 2)


@pytest.mark.parametrize("late", [(3, 4), (np.int64(3), 2, 2)])
def test_a_teacher_of_several_sources_is_whole(series, small, through_file, late):
    table = series.X_priv.reshape(120, -1).copy()
    table[::5, :12] = np.nan
    table[1::5, 12:] = np.nan
    sources = [
        ("early", GapFiller(n_channels=4), slice(0, 12), 4),
        ("late", "passthrough", list(range(12, 24)), late),
    ]
    clf = GKDClassifier(small, small.set_params(max_epochs=1), priv_sources=sources)
    clf.fit(series.X, series.y, X_priv=table)
    loaded = through_file(clf, teacher=True)
    assert_array_equal(
        loaded.teacher_predict_proba(series.X, table), clf.teacher_predict_proba(series.X, table)
    )
    assert repr(loaded.priv_sources_) == repr(clf.priv_sources_)
    with pytest.raises(ValueError, match="source late of X_priv contains NaN"):
        loaded.teacher_predict_proba(series.X, np.where(np.arange(24) == 20, np.nan, table))
