"""Looks at the database for calls that wait: by a few threads, whatever the number of calls.

A call that waits has no connection of its own: PostgreSQL allows a hundred in all.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import Error, connection

LOOKERS = 4
"""Threads that look; each keeps its connection, for many look ten times a second."""

Value = TypeVar("Value")

_lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="looker")


def look(at: Callable[[], Value]) -> Value:
    """Have one of the threads read something.

    Args:
        at: Reads; called again if the thread's connection has ended since its last look.

    Raises:
        django.db.Error: The database cannot be read.
    """
    return _lookers.submit(_look, at).result()


def _look(at: Callable[[], Value]) -> Value:
    was_open = connection.connection is not None
    try:
        return at()
    except Error:
        connection.close()
        if not was_open:
            raise
        return at()
