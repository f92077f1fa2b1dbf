from ._areas import area_adjusted
from ._displays import ClassGainDisplay, GainDisplay, TrainingCurvesDisplay
from ._gain import gain_table, privileged_gain
from ._importance import privileged_importance, series_importance
from ._importance_display import SeriesImportanceDisplay
from ._protocol import class_f_measures, scores, train_valid_test_split

__all__ = [
    "ClassGainDisplay",
    "GainDisplay",
    "SeriesImportanceDisplay",
    "TrainingCurvesDisplay",
    "area_adjusted",
    "class_f_measures",
    "gain_table",
    "privileged_gain",
    "privileged_importance",
    "scores",
    "series_importance",
    "train_valid_test_split",
]
