"""Set aside what a user has set for all of torch, while a net is built, trained or called."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute as torch does by default: in float32, on the CPU, with gradients where asked for.

    What is set is only changed where it is not the default, and is put back.
    """
    with ExitStack() as stack:
        stack.enter_context(_in_float32())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        yield


@contextmanager
def _in_float32() -> Iterator[None]:
    """Have torch make float32, a setting of all threads, which the last to leave puts back."""
    with _entering:
        _before.append(_before[0] if _before else torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _entering:
            before = _before.pop()
            if not _before:
                torch.set_default_dtype(before)


_entering = threading.Lock()
_before: list[torch.dtype] = []  # what the user has set, once for each that is within
