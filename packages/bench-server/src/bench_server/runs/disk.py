"""Whether the server's disk has room for one more run."""

import shutil

from django.conf import settings

from bench_server.errors import Refused

ROOM_BYTES = 2_000_000_000
ROOM_SHARE = 0.05
"""No run begins with less than this share of the disk free, or those bytes on a large disk."""


def check_room() -> None:
    """Refuse what would fill the server's disk.

    Raises:
        Refused: DISK_FULL.
    """
    disk = shutil.disk_usage(settings.FOLDER.path)
    needed = min(ROOM_BYTES, round(disk.total * ROOM_SHARE))
    if disk.free < needed:
        raise Refused(
            "DISK_FULL",
            f"the server's disk has {disk.free:,} bytes left, and a run needs {needed:,} to begin",
            hint="Delete runs that nobody needs, or ask who runs the server for `bench-server gc --delete`.",
        )
