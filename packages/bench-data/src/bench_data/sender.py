"""Sends the chunks of a write while it goes on, by bench-agent (FORMAT.md, section 8).

The agent's answers are read without a thread: with one, workers could not be started by fork.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench_data.blocks import WriteJob
from bench_data.cloud import CloudVersion, agent_failure, push_folder, start_agent
from bench_data.errors import CloudError, FormatError
from bench_data.known_project import KnownProject
from bench_data.manifest import Manifest, Segment, file_digest
from bench_data.streamed import Streamed, write_streamed

FIND_DIGESTS = 10_000
"""Looked up at a time."""


class Sender:
    """The way of a write's chunks to the server. Its agent starts when it is first needed.

    Args:
        project: Where to.
        name: The dataset's name.
        known: A version of it that the server is known to have.
    """

    def __init__(self, project: KnownProject, name: str, known: CloudVersion | None) -> None:
        self._project, self._name, self._known = project, name, known
        self._process: subprocess.Popen[str] | None = None
        self._received = b""
        self._moved_bytes = self._linked_bytes = 0
        self.version: CloudVersion | None = None
        """What `make_version` made."""

    def start(self) -> None:
        """Start the agent, and see that the server lets it.

        Raises:
            NoCloudError: There is no agent, or no login.
            CloudError: The server refuses, or cannot be reached.
        """
        if self._process is None:
            self._process = start_agent(["send", "--project", self._project.id], self._project.endpoint)
            self._wait_for("ready")

    def close(self) -> None:
        """End the agent, if it has not ended."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()

    def check(self) -> None:
        """Hear what the agent has said, without waiting.

        Raises:
            CloudError: It failed, or is gone.
        """
        while self._is_readable(0):
            self._heard(self._read_line())

    def lacking(self, manifest: Manifest) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which chunks of a dataset the server lacks, (C,)."""
        if self._known is not None and self._known.fingerprint == manifest.fingerprint:
            return np.zeros(len(manifest.chunk_digests), np.bool_)
        missing = self._missing(manifest.chunk_digests)
        return np.array([digest in missing for digest in manifest.chunk_digests], np.bool_)

    def begin(self, job: WriteJob) -> None:
        """Send what comes into a job's outgoing folder. Receipts whose chunks are lost are removed first.

        Args:
            job: The write; nobody works on it yet.
        """
        assert job.outgoing is not None
        self.start()
        there = set(_intact(job.outgoing.folder))
        receipts = {path: digests for path in job.work.glob("block-*.npz") if (digests := _digests(path))}
        named = {digest for digests in receipts.values() for digest in digests}
        lost = self._missing(named - there)
        for path, digests in receipts.items():
            if not lost.isdisjoint(digests):
                path.unlink()
        self._ask("watch", folder=str(job.outgoing.folder))

    def finish(self) -> None:
        """Return when the server has all chunks that were written."""
        if self._process is not None:
            self._ask("finish")
            done = self._wait_for("done")
            self._moved_bytes += done["sent_bytes"]
            self._linked_bytes += done["linked_bytes"]
            self.close()

    def make_version(self, manifest: Manifest, path: Path, *, durable: bool) -> None:
        """Have the server make the version, and note in the dataset's folder that it has the chunks.

        Args:
            manifest: The dataset.
            path: Where its manifest lies.
            durable: Return only when the note is on the disk.

        Raises:
            CloudError: It cannot be made.
        """
        version = self._known
        if version is None or version.fingerprint != manifest.fingerprint:
            version = push_folder(manifest.folder, self._name, self._project, manifest_path=path)
        self.version = replace(
            version,
            moved_bytes=version.moved_bytes + self._moved_bytes,
            linked_bytes=version.linked_bytes + self._linked_bytes,
        )
        streamed = Streamed(
            endpoint=self._project.endpoint,
            project=self._project.id,
            dataset=self._name,
            version_number=version.version_number,
        )
        write_streamed(manifest.folder, manifest.fingerprint, streamed, durable=durable)

    def _missing(self, digests: Iterable[str]) -> set[str]:
        """Those blobs that the server lacks."""
        wanted, missing = sorted(set(digests)), set[str]()
        for at in range(0, len(wanted), FIND_DIGESTS):
            self.start()
            self._ask("find", digests=wanted[at : at + FIND_DIGESTS])
            missing.update(self._wait_for("found")["missing"])
        return missing

    def _ask(self, request: str, **fields: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"request": request, **fields}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # what the agent said at its end is read next
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _wait_for(self, event: str) -> dict[str, Any]:
        while True:
            if self._is_readable(None):
                said = self._heard(self._read_line())
                if said["event"] == event:
                    return said

    def _heard(self, said: dict[str, Any]) -> dict[str, Any]:
        if said["event"] == "error":
            raise agent_failure(said)
        if said["event"] == "waiting":
            print(f"bench: waiting for the server: {said['message']}", file=sys.stderr)
        return said

    def _is_readable(self, seconds: float | None) -> bool:
        if self._process is None or b"\n" in self._received:
            return self._process is not None
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _read_line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._received:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                code = self._process.wait()
                raise CloudError(
                    f"bench-agent ended unexpectedly ({code})", hint="The same call goes on from there."
                )
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return dict(json.loads(line))


@contextmanager
def sending(project: KnownProject, name: str, known: CloudVersion | None) -> Iterator[Sender]:
    """A Sender whose agent is gone when the block ends."""
    sender = Sender(project, name, known)
    try:
        yield sender
    finally:
        sender.close()


def _intact(folder: Path) -> Iterator[str]:
    """The chunks that an earlier write left; one that a crash of the machine damaged is removed."""
    for path in folder.glob("*.zip"):
        if file_digest(path) == path.stem:
            yield path.stem
        else:
            path.unlink()


def _digests(receipt: Path) -> list[str]:
    try:
        return Segment(receipt).digests
    except FormatError:
        return []  # the block is written again
