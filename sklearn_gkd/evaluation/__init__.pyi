from ._areas import area_adjusted
from ._displays import ClassGainDisplay, GainDisplay, TrainingCurvesDisplay
from ._gain import gain_table, privileged_gain
from ._protocol import class_f_measures, scores, train_valid_test_split

__all__ = [
    "ClassGainDisplay",
    "GainDisplay",
    "TrainingCurvesDisplay",
    "area_adjusted",
    "class_f_measures",
    "gain_table",
    "privileged_gain",
    "scores",
    "train_valid_test_split",
]
