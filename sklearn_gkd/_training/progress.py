"""Progress of a fit, as scikit-learn's callbacks are told it (`sklearn.callback`, from 1.9 on)."""

from typing import Any


class Task:
    """A task of a fit: the fit itself, the training of a net, or an epoch of it.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of this task, which begins at once.
    parent : Task, default=None
        The one that this is a part of.
    **given
        The estimator, and the X and y of its fit, which callbacks are given.

    Attributes
    ----------
    cut_short : bool
        Whether a callback ended a training in it: what it gives is not what its parameters say.
    """

    def __init__(self, context: Any, parent: "Task | None" = None, **given: Any):
        self.context = context.call_on_fit_task_begin(**given)
        self.parent = parent
        self.given = given
        self.cut_short = False

    @classmethod
    def of_fit(cls, estimator: Any, X: Any, y: Any, max_subtasks: int | None) -> "Task":
        """Begin the task of a fit, before anything in it can fail."""
        context = estimator._init_callback_context(max_subtasks=max_subtasks)
        return cls(context, estimator=estimator, X=X, y=y)

    def subtask(self, name: str, max_subtasks: int = 0) -> "Task":
        """Begin a task within this one."""
        context = self.context.subcontext(task_name=name, max_subtasks=max_subtasks)
        return Task(context, self, **self.given)

    def cut(self) -> None:
        """Note that a callback ended this task before its time."""
        self.cut_short = True
        if self.parent is not None:
            self.parent.cut()

    def end(self, fitted: Any = None) -> bool:
        """End the task, and return whether a callback asks for no more of its kind.

        With the attributes that make the estimator predict, or a function that returns them,
        callbacks are given such an estimator.
        """
        return self.context.call_on_fit_task_end(**self.given, reconstruction_attributes=fitted)
