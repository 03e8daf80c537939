"""Tells the agent which samples a loader will ask for, and how far it has come, so that it fetches ahead."""

import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from bench_data.agent_connection import agent_of
from bench_data.remote import Remote

TELL_SECONDS = 0.2
"""Between two words about the position. Each costs some 20 microseconds."""


class Progress(Protocol):
    """What is told: the sampler."""

    def state_dict(self) -> dict[str, Any]:
        """The order, and how far it has come."""


class AnnouncedOrder:
    """One loader's order, as long as the loader lives.

    Args:
        remote: The dataset.
        sampler: Of the loader.
        starts: `chunk_starts` of the part of the dataset that is read, if it is only a part.

    Raises:
        CloudError: The cache is too small for this order.
    """

    def __init__(self, remote: Remote, sampler: Progress, starts: list[int] | None) -> None:
        self._remote, self._sampler, self._starts = remote, sampler, starts
        self._loader = uuid4().hex
        self._told = 0.0
        agent = agent_of(Path(remote.cache))
        agent.request(self._order())
        self._opened = agent.opened
        weakref.finalize(self, _forget, remote.cache, self._loader)

    def begin(self, first: list[int]) -> None:
        """An iteration begins.

        Args:
            first: The numbers in the dataset of the samples that it needs first.
        """
        self._told = 0.0
        self.moved(first)

    def moved(self, first: Sequence[int] = ()) -> None:
        """Some samples have gone. Never waits: what is not heard now is said the next time."""
        now = time.monotonic()
        if now < self._told + TELL_SECONDS:
            return
        self._told = now
        agent = agent_of(Path(self._remote.cache))
        if agent.opened != self._opened:
            if agent.tell(self._order()):
                self._opened = agent.opened
            return
        state = self._sampler.state_dict()
        position = {"request": "position", "loader": self._loader, "state": state, "first": list(first)}
        if not agent.tell(position):
            self._told = 0.0  # the agent may have ended: tell the next one soon

    def _order(self) -> dict[str, Any]:
        fields = {"loader": self._loader, "state": self._sampler.state_dict(), "starts": self._starts}
        return self._remote.request("order", **fields)


def _forget(cache: str, loader: str) -> None:
    agent_of(Path(cache)).tell({"request": "forget", "loader": loader})
