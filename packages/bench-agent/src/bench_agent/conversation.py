"""What one process says to the agent, and the agent to it."""

import contextlib
import errno
import json
import os
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from bench_auth import open_channel
from bench_auth.settings import CONFIG_VARIABLE, TOKEN_VARIABLE
from bench_core import CACHE_BYTES_VARIABLE, BenchError
from bench_data.agent_connection import PROTOCOL_VERSION
from bench_data.manifest import CHUNKS
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_agent.demand import Fetching, Registered, Want
from bench_agent.errors import AgentError, CacheError, DiskFullError
from bench_agent.links import local_folder
from bench_agent.opening import open_version
from bench_agent.patience import Patience
from bench_agent.routes import Route
from bench_agent.streaming import Streaming

ADVISE_CHUNKS = 3
"""A program that asked for so many without an order is told of `loader`."""

TELL_AFTER_SECONDS = 5.0
"""A reader that waited so long for a server that is away is told why."""

TELL_AGAIN_SECONDS = 60.0
"""Between two such messages to the processes of one group."""

_environment_lock = threading.Lock()


class Group:
    """The processes of one training.

    Attributes:
        opened: Fingerprints of what they opened.
        wanted: How many chunks of each they asked for without an order.
        told: When one of them was told that it waits.
        showing: The conversation whose process shows the progress.
    """

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.wanted: Counter[str] = Counter()
        self.told = -TELL_AGAIN_SECONDS
        self.showing: Conversation | None = None


class Shared:
    """What all conversations share.

    Args:
        streaming: The cache and what fetches for it.
    """

    def __init__(self, streaming: Streaming) -> None:
        self.streaming = streaming
        self.conversations: set[Conversation] = set()
        self.opening = threading.Lock()
        self.groups: dict[int, Group] = {}
        self.folders: dict[grpc.Channel, Path | None] = {}
        """The data folder of each server, where it is on this machine."""


class Conversation:
    """One process's connection.

    Args:
        connection: Accepted.
        shared: What all share.
    """

    def __init__(self, connection: socket.socket, shared: Shared) -> None:
        self._socket, self._shared = connection, shared
        self._settings: dict[str, str] = {}
        self._version: int | None = None
        self._group = Group()
        self._orders: dict[str, Registered] = {}

    def run(self) -> None:
        """Answer until the process goes."""
        try:
            with self._socket, self._socket.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    self._answer(json.loads(line))
        except Exception:
            traceback.print_exc()  # into the log; the process asks again
        finally:
            for registered in self._orders.values():
                self._shared.streaming.forget(registered)
            if self._group.showing is self:
                self._group.showing = None
            self._shared.conversations.discard(self)

    def _answer(self, said: dict[str, Any]) -> None:
        try:
            answer = getattr(self, f"_on_{said['request']}")(said)
        except ConnectionError:
            raise
        except Exception as error:
            failure = self._failure(error)
            kind = type(failure).__name__
            answer = {"error": {"type": kind, "message": failure.message, "hint": failure.hint}}
        if "id" in said:
            self._send({"id": said["id"], **answer})

    def _failure(self, error: Exception) -> BenchError:
        """What the process is told of an error."""
        if isinstance(error, BenchError):
            return error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            folder = self._shared.streaming.cache.folder
            return DiskFullError(f"the disk of {folder} is full", hint="Make room there.")
        traceback.print_exc()  # into the log
        return AgentError(
            f"the agent failed: {error}", hint="Its log, agent/log in the cache folder, says more."
        )

    def _send(self, fields: Mapping[str, Any]) -> None:
        self._socket.sendall(json.dumps(fields).encode() + b"\n")

    def _on_hello(self, said: dict[str, Any]) -> dict[str, Any]:
        self._settings = said["settings"]
        self._group = self._shared.groups.setdefault(said["group"], Group())
        self._version = said["version"]
        if limit := self._settings.get(CACHE_BYTES_VARIABLE):
            with contextlib.suppress(ValueError):
                self._shared.streaming.limit(int(limit))
        return {}

    def _on_open(self, said: dict[str, Any]) -> dict[str, Any]:
        self._check_hello()
        route = self._route(said)
        cache = self._shared.streaming.cache
        with self._shared.opening:
            opened = open_version(cache, route, said["endpoint"], said["dataset"], said["version_number"])
        self._group.opened.add(opened.fingerprint)
        return {
            "fingerprint": opened.fingerprint,
            "version_number": opened.version_number,
            "note": opened.note,
        }

    def _on_order(self, said: dict[str, Any]) -> dict[str, Any]:
        self._check_hello()
        dataset = self._shared.streaming.dataset(said["fingerprint"])
        starts = dataset.starts if said["starts"] is None else np.array(said["starts"], np.int64)
        registered = Registered(dataset, self._route(said), said["state"], starts)
        self._shared.streaming.register(registered)
        if before := self._orders.get(said["loader"]):
            self._shared.streaming.forget(before)
        self._orders[said["loader"]] = registered
        self._group.opened.discard(said["fingerprint"])  # there is an order: no need to advise one
        return {}

    def _on_position(self, said: dict[str, Any]) -> dict[str, Any]:
        if registered := self._orders.get(said["loader"]):
            self._shared.streaming.move(registered, said["state"])
            if said["first"]:
                self._shared.streaming.need_first(registered, said["first"])
        return {}

    def _on_forget(self, said: dict[str, Any]) -> dict[str, Any]:
        if registered := self._orders.pop(said["loader"], None):
            self._shared.streaming.forget(registered)
        return {}

    def _on_want(self, said: dict[str, Any]) -> dict[str, Any]:
        self._check_hello()
        dataset = self._shared.streaming.dataset(said["fingerprint"])
        path = dataset.folder / CHUNKS / f"{said['chunk']}.zip"
        if path not in dataset.numbers:
            raise AgentError(f"the dataset has no chunk {said['chunk']!r}")
        want = Want(dataset, path, self._route(said), takes_early=said["takes_early"])
        watched = _Watched(self, said["id"], want)
        is_whole = self._shared.streaming.wait_for(want, damaged=said["damaged"], still=watched.still)
        return {"early": not is_whole, "advise": self._should_advise(said["fingerprint"])}

    def _should_advise(self, fingerprint: str) -> bool:
        group = self._group
        if fingerprint not in group.opened:
            return False
        group.wanted[fingerprint] += 1
        return group.wanted[fingerprint] == ADVISE_CHUNKS

    def _check_hello(self) -> None:
        if self._version != PROTOCOL_VERSION:
            raise AgentError(
                f"the agent speaks version {PROTOCOL_VERSION}, this process {self._version}",
                hint="Trainings of two releases cannot share a cache: set BENCH_CACHE_DIR to another folder.",
            )
        limit = self._settings.get(CACHE_BYTES_VARIABLE)
        if limit and not limit.isdigit():
            raise CacheError(f"{CACHE_BYTES_VARIABLE} is {limit!r}", hint="Give a number of bytes.")

    def _route(self, said: dict[str, Any]) -> Route:
        """The way to the project, with the login of this process."""
        with _environment(self._settings):
            channel = open_channel(said["endpoint"])
        folders = self._shared.folders
        if channel not in folders:  # asked once: a server that is away would be waited for
            folders[channel] = local_folder(channel)
        return Route(
            DatasetServiceStub(channel),
            said["project"],
            Patience(),
            lambda _: None,
            folder=folders[channel],
        )

    def tell(self, number: int, fields: Mapping[str, Any]) -> None:
        """Say something before the answer."""
        self._send({"id": number, **fields})

    @property
    def group(self) -> Group:
        """The processes that belong together with this one."""
        return self._group


class _Watched:
    """What a process hears while it waits."""

    def __init__(self, conversation: Conversation, number: int, want: Want) -> None:
        self._conversation, self._number, self._want = conversation, number, want
        self._said_full = False

    def still(self, fetching: Fetching | None) -> None:
        """It waits."""
        group, now = self._conversation.group, time.monotonic()
        if self._want.is_full and not self._said_full:
            self._said_full = True
            self._conversation.tell(self._number, {"event": "full"})
        if fetching is not None and fetching.trouble:
            late = now > self._want.since + TELL_AFTER_SECONDS and now > group.told + TELL_AGAIN_SECONDS
            if late:
                group.told = now
            event = {"event": "waiting", "message": fetching.trouble, "tell": late}
        else:
            if group.showing is None:
                group.showing = self._conversation
            present = self._conversation._shared.streaming.present_bytes(self._want.dataset)
            total, tell = self._want.dataset.total_bytes, group.showing is self._conversation
            event = {"event": "progress", "bytes": present, "total_bytes": total, "tell": tell}
        self._conversation.tell(self._number, event)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Let bench_auth see a process's variables instead of this one's; nothing else here reads them."""
    names = (TOKEN_VARIABLE, CONFIG_VARIABLE)
    with _environment_lock:
        before = {name: os.environ.get(name) for name in names}
        try:
            _put({name: settings.get(name) for name in names})
            yield
        finally:
            _put(before)


def _put(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
