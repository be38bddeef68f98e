"""Run async code from sync code: devices are async first, natively each call can also just block.

`run_sync` drives a coroutine to its end without an event loop. A device that would have to wait
asks `is_blocking()` and then blocks instead of awaiting.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from webrt.errors import UsageError

T = TypeVar("T")
_BLOCKING: ContextVar[bool] = ContextVar("webrt_blocking", default=False)


def is_blocking() -> bool:
    """Whether the running coroutine is driven by `run_sync`, and so must not await anything."""
    return _BLOCKING.get()


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, which must not suspend; raises UsageError where it does."""
    token = _BLOCKING.set(True)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        _BLOCKING.reset(token)
    coroutine.close()
    raise UsageError("this device can only be used asynchronously: await load_async and run_async")
