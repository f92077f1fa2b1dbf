from functools import partial

import pandas as pd
import pytest

from sklearn_gkd import GKDClassifier, SeriesClassifier, SeriesRegressor
from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices

FITTED = {
    "student": partial(GKDClassifier, priv_transformer=GapFiller(), max_epochs=1),
    "classifier": partial(SeriesClassifier, max_epochs=1),
    "regressor": partial(SeriesRegressor, max_epochs=1),
    "mask": partial(CloudMask, n_channels=2),
    "gaps": GapFiller,
    "resampled": partial(Resample, range(12), [3]),
    "indices": partial(SpectralIndices, bands=["B2", "B3", "B4", "B8"], n_channels=4),
}


def fitted(case, series, named=True):
    X, X_priv = (
        pd.DataFrame(series.X.reshape(120, 12)),
        pd.DataFrame(series.X_priv.reshape(120, 24)),
    )
    if named:
        X, X_priv = X.add_prefix("column"), X_priv.add_prefix("column")
    estimator = FITTED[case]()
    if case == "student":
        return estimator.fit(X, series.y, X_priv=X_priv)
    return estimator.fit(X, range(120) if case == "regressor" else series.y)


@pytest.mark.parametrize("case", FITTED)
def test_all_that_fit_sets_is_declared(case, series):
    of_other_teachers = {"_teacher_codes_"}  # of a net None, and nets alone are saved
    of_fit = {"distillation_"}  # what fit found out, which no prediction needs
    for named, absent in ((True, "_column_labels"), (False, "feature_names_in_")):
        estimator = fitted(case, series, named)
        attributes = (
            vars(estimator).keys() - estimator.get_params().keys() - of_other_teachers - of_fit
        )
        assert attributes == estimator._fitted_state().keys() - {absent}


def test_all_that_reads_privileged_information_is_declared(series):
    for named, absent in ((True, {"_column_labels"}), (False, set())):
        reader = fitted("student", series, named).priv_reader_
        assert vars(reader).keys() == reader._fitted_state().keys() - absent
        for source in reader.sources:
            assert vars(source).keys() == source._fitted_state().keys()


@pytest.mark.parametrize(
    ("view", "seen"),
    [("both", [("T", "C"), "priv"]), ("privileged", ["priv"])],
)
def test_a_teacher_declares_what_it_sees(view, seen):
    assert GKDClassifier(teacher_view=view)._fitted_state()["teacher_"].views == seen
