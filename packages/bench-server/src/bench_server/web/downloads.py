"""Files that are sent by ranges, and never whole from memory."""

import re
from collections.abc import AsyncIterator, Callable, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from bench_server.web.live import in_thread

RANGE = re.compile(r"bytes=(\d*)-(\d*)")

Read = Callable[[int, int], Iterator[bytes]]
"""Gives so many bytes from an offset on."""


def download(request: HttpRequest, name: str, size: int, read: Read) -> HttpResponseBase:
    """Send a file, or the range of it that is asked for.

    Args:
        request: May have a Range.
        name: What the browser calls it.
        size: Of the file.
        read: Reads of it.
    """
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    found = _range(asked, size) if asked and asked[0] != "bytes=-" else (0, size)
    if found is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = found
    pieces = read(start, end - start) if end > start else iter(())
    response = StreamingHttpResponse(_sent(pieces), content_type="application/octet-stream")
    response["Content-Length"] = str(end - start)
    response["Accept-Ranges"] = "bytes"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if asked:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response


def _range(asked: "re.Match[str]", size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None where there are no such bytes."""
    first, last = asked.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None


async def _sent(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await in_thread(lambda: next(pieces, b"")):
        yield piece
