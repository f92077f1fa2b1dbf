import importlib.util
import sys

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

from sklearn_gkd._common import compat


def test_every_name_is_there():
    assert all(hasattr(compat, name) for name in compat.__all__)


@pytest.fixture
def before_callbacks(monkeypatch):
    """The module as it is where scikit-learn has no callbacks."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("compat_before_callbacks", compat.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_scikit_learns_callbacks_none_is_called(before_callbacks):
    context = before_callbacks.CallbackSupportMixin()._init_callback_context(max_subtasks=2)
    for task in (context, context.subcontext(task_name="epoch", task_id=1)):
        assert task.call_on_fit_task_begin(estimator=None, X=None)
        assert task.call_on_fit_task_end(estimator=None) is False


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="callbacks came with 1.9"
)
def test_scikit_learns_callbacks_are_used_where_it_has_them():
    assert compat.CallbackSupportMixin.__module__.startswith("sklearn.")
