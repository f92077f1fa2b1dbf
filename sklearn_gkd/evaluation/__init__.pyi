from ._areas import area_adjusted
from ._displays import ClassGainDisplay, GainDisplay, TrainingCurvesDisplay
from ._gain import privileged_gain
from ._gain_table import gain_table, holm_corrected
from ._importance import privileged_importance, series_importance
from ._importance_display import SeriesImportanceDisplay
from ._label_efficiency import label_efficiency, worth_in_labels
from ._label_efficiency_display import LabelEfficiencyDisplay
from ._protocol import class_f_measures, quantity_scores, scores, train_valid_test_split

__all__ = [
    "ClassGainDisplay",
    "GainDisplay",
    "LabelEfficiencyDisplay",
    "SeriesImportanceDisplay",
    "TrainingCurvesDisplay",
    "area_adjusted",
    "class_f_measures",
    "gain_table",
    "holm_corrected",
    "label_efficiency",
    "privileged_gain",
    "privileged_importance",
    "quantity_scores",
    "scores",
    "series_importance",
    "train_valid_test_split",
    "worth_in_labels",
]
