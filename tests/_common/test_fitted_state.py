from functools import partial

import pandas as pd
import pytest

from sklearn_gkd import GKDClassifier, SeriesClassifier
from sklearn_gkd.eo import CloudMask, GapFiller, Resample, SpectralIndices

FITTED = {
    "student": partial(GKDClassifier, priv_transformer=GapFiller(), max_epochs=1),
    "classifier": partial(SeriesClassifier, max_epochs=1),
    "mask": partial(CloudMask, n_channels=2),
    "gaps": GapFiller,
    "resampled": partial(Resample, range(12), [3]),
    "indices": partial(SpectralIndices, bands=["B2", "B3", "B4", "B8"], n_channels=4),
}


def fitted(case, series):
    X = pd.DataFrame(series.X.reshape(120, 12)).add_prefix("column")
    estimator = FITTED[case]()
    if case == "student":
        X_priv = pd.DataFrame(series.X_priv.reshape(120, 24)).add_prefix("column")
        return estimator.fit(X, series.y, X_priv=X_priv)
    return estimator.fit(X, series.y)


@pytest.mark.parametrize("case", FITTED)
def test_all_that_fit_sets_is_declared(case, series):
    estimator = fitted(case, series)
    of_other_teachers = {"_teacher_codes_"}  # of a net None, and nets alone are saved
    attributes = vars(estimator).keys() - estimator.get_params().keys() - of_other_teachers
    assert attributes == estimator._fitted_state().keys()


def test_all_that_reads_privileged_information_is_declared(series):
    reader = fitted("student", series).priv_reader_
    assert vars(reader).keys() == reader._fitted_state().keys()


@pytest.mark.parametrize(
    ("view", "seen"),
    [("both", [("T", "C"), ("T_priv", "C_priv")]), ("privileged", [("T_priv", "C_priv")])],
)
def test_a_teacher_declares_what_it_sees(view, seen):
    assert GKDClassifier(teacher_view=view)._fitted_state()["teacher_"].views == seen
