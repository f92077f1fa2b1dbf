"""Private names of scikit-learn, and shims for its versions: no other module imports them."""

from typing import Any

from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._indexing import _get_column_indices as get_column_indices
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._set_output import _wrap_data_with_container as wrap_output
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _check_y as check_y
from sklearn.utils.validation import _get_feature_names as get_feature_names
from sklearn.utils.validation import _num_samples as num_samples

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's before 1.9, where no callbacks can be set."""

        def _init_callback_context(self, max_subtasks: int | None) -> "_Silence":
            return _Silence()


class _Silence:
    def subcontext(self, **kwargs: Any) -> "_Silence":
        return self

    def call_on_fit_task_begin(self, **kwargs: Any) -> "_Silence":
        return self

    def call_on_fit_task_end(self, **kwargs: Any) -> bool:
        return False


__all__ = [
    "BaseComposition",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "Options",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "check_y",
    "clone_parametrized",
    "fit_context",
    "get_column_indices",
    "get_feature_names",
    "num_samples",
    "safe_indexing",
    "validate_parameter_constraints",
    "validate_params",
    "wrap_output",
]
