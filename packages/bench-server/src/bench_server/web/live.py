"""Server-sent events: what changes while a page is open.

A page says how it looks for what is new since a mark. Each event has the mark to go on from, and a browser
that was cut off, or whose server was started anew, brings the last one along: it misses nothing. Before it is
told anything it is asked again whether it may look.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, StreamingHttpResponse

from bench_server.errors import Refused

FIRST_SECONDS, LAST_SECONDS = 0.4, 1.0
"""Between looks: so long after something was new, and little by little longer while nothing is."""

SLOWER = 1.2

SILENT_SECONDS = 10.0
"""A stream that says nothing for longer may be taken for dead by what lies between."""

RECHECK_SECONDS = 5.0
"""A login may be revoked while a page is open to which nothing happens."""

RETRY_MILLISECONDS = 1000
"""A browser that was cut off waits so long."""

MARK_CHARACTERS = 200
"""Of what a browser brings; it is sent back."""

LOOKERS = 4
"""Threads that look, and so connections to the database, whatever the number of open pages."""

Value = TypeVar("Value")

closing = threading.Event()
"""Set when the server is to end: streams end, and browsers come again."""

_lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="live")


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a page is told.

    Args:
        kind: What is new.
        mark: Where to go on from after it.
        data: What goes with it; JSON.
    """

    kind: str
    mark: str
    data: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As it is sent."""
        data = json.dumps(self.data, separators=(",", ":"))  # has no line break
        return f"id: {self.mark}\nevent: {self.kind}\ndata: {data}\n\n".encode()


Look = Callable[[str], Sequence[Event]]
"""What is new since a mark; raises Refused where there is nothing to look at any more."""


def stream(request: HttpRequest, look: Look) -> StreamingHttpResponse:
    """Answer with events for as long as the browser listens.

    Args:
        request: Brings the last mark: as browsers do when they come again, or in the address.
        look: Called in a thread, again and again.
    """
    brought = request.headers.get("Last-Event-ID") or request.GET.get("mark", "")
    mark = "".join(brought.split())[:MARK_CHARACTERS]
    check: Callable[[], object] = request.admit_again  # type: ignore[attr-defined]
    response = StreamingHttpResponse(_events(mark, look, check), content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"
    close_old_connections()  # that of this thread, which is the request's until the stream ends
    return response


async def _events(mark: str, look: Look, check: Callable[[], object]) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    pause = FIRST_SECONDS
    said = checked = time.monotonic()
    while not closing.is_set():
        try:
            events = await in_thread(partial(look, mark))
            if events or time.monotonic() - checked >= RECHECK_SECONDS:
                await in_thread(check)
                checked = time.monotonic()
        except Refused:
            yield Event(kind="gone", mark=mark).encode()
            return
        for event in events:
            yield event.encode()
            mark = event.mark
        if events or time.monotonic() - said >= SILENT_SECONDS:
            said = time.monotonic()
            if not events:
                yield b":\n\n"
        pause = FIRST_SECONDS if events else min(pause * SLOWER, LAST_SECONDS)
        await asyncio.sleep(pause)


async def in_thread(work: Callable[[], Value]) -> Value:
    """Do something with the database, or the disk, for a page that streams."""

    def do() -> Value:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    return await sync_to_async(do, thread_sensitive=False, executor=_lookers)()
