"""Whole checkpoints of a run of elsewhere: each file a blob, sent resumably, then all kept as one."""

import hashlib
import json
import mmap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from bench_auth import (
    AuthError,
    InvalidError,
    NotFoundError,
    NotLoggedInError,
    NotPossibleError,
    TimedOutError,
    UnreachableError,
    call,
)
from bench_core import BenchError
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track.checkpoint_folder import DOCUMENT, Checkpoint, read
from bench_track.errors import CheckpointError
from blake3 import blake3

from bench_agent.blobs import ATTEMPTS, upload
from bench_agent.errors import TransferError
from bench_agent.links import give, local_folder
from bench_agent.patience import Patience
from bench_agent.push import missing_digests
from bench_agent.routes import BlobFile, Route
from bench_agent.track.holding import Hold

CHECKPOINTS = "checkpoints"
"""The folder of a run's, in the run's."""

LOOK_SECONDS = 5.0
"""Between two looks for new ones."""

PAUSE_SECONDS = 30.0
"""Before the next attempt, when the server would not take one."""

KEEP_SECONDS = 3600.0
"""The server reads the whole checkpoint before it answers."""

PAGE = 1000
READ_BYTES = 1 << 20

FASTER = "it makes them faster than they are sent, so the newest go and others are passed over"


@dataclass
class _Sending:
    """One that is being sent.

    Args:
        checkpoint: As the run has it, or had.
        unannounced: Whether the run has said nothing of it.
        held: What is sent, once it is held.
    """

    checkpoint: Checkpoint
    unannounced: bool
    held: Checkpoint | None = None


class CheckpointSending:
    """Sends the whole checkpoints that a run has said it made, the newest first, while new ones come.

    One that is being sent is held, so that it arrives although the run removes it; those that the run has
    made and removed meanwhile are passed over, and said.

    Args:
        folder: The run's.
        channel: To the server, with a token.
        names: The project's and the run's ids, as messages have them.
        say: Told of failures.
        patience_seconds: How long a silent server is waited for.
    """

    def __init__(
        self,
        folder: Path,
        channel: grpc.Channel,
        names: Mapping[str, str],
        say: Callable[[str], None],
        *,
        patience_seconds: float,
    ) -> None:
        self._folder, self._channel, self._names, self._say = folder, channel, names, say
        self._root, self._patience_seconds = folder / CHECKPOINTS, patience_seconds
        self._tracks = TrackServiceStub(channel)
        self._hashed: tuple[Checkpoint, list[BlobFile]] | None = None
        self._hold, self._was_newest = Hold(folder), False
        self._sending: _Sending | None = None
        self._said: set[str] = set()
        self._waiting: set[str] = set()
        self._passed_over, self._was_overtaken = 0, False  # said once, and counted
        self._refused: dict[
            Path, tuple[int, str]
        ] = {}  # the time of one that is damaged, and why it is not sent
        self._noted, self._ended, self._problem = threading.Event(), False, ""
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, *, has_ended: bool) -> str:
        """Wait until all that are whole are on the server; why they are not, or empty.

        Call it when the server has what the run said.

        Args:
            has_ended: Whether the script says nothing more: one of which it said nothing is sent too.
        """
        self._ended = has_ended
        self._noted.set()
        self._thread.join()
        self._hold.release()
        if self._passed_over > 1:
            self._say(f"the run removed {self._passed_over:,} checkpoints before they were sent")
        return self._problem

    def _run(self) -> None:
        while True:
            is_last, pause, self._problem = self._noted.is_set(), LOOK_SECONDS, ""
            try:
                if self._send_one(take_all=is_last and self._ended):
                    continue
            except (NotLoggedInError, NotFoundError) as error:
                self._fail(error.message)
                return
            except (BenchError, OSError) as error:
                self._fail(error.message if isinstance(error, BenchError) else str(error))
                pause = PAUSE_SECONDS
            except Exception as error:  # no other thread would hear of it, and all would seem to be sent
                traceback.print_exc()
                self._fail(f"an error of Bench's own: {error!r}")
                return
            if is_last:
                self._problem = self._problem or next(self._damage(), "")
                return
            self._noted.wait(pause)

    def _fail(self, message: str) -> None:
        self._problem = f"checkpoints are not sent: {message}"
        self._say(self._problem)

    def _damage(self) -> Iterator[str]:
        """Of those that are still there."""
        return (why for folder, (_, why) in self._refused.items() if folder.exists())

    def _send_one(self, *, take_all: bool) -> bool:
        """Send one that the server lacks; whether there was one.

        Args:
            take_all: Also those of which the run has said nothing.
        """
        if self._sending is None:
            self._sending = self._next(self._listed(), take_all=take_all)
        if self._sending is None:
            return False
        try:
            self._send(self._sending)
        except (UnreachableError, TimedOutError):
            raise  # it is held: the next attempt goes on with it
        except BaseException:
            self._let_go()
            raise
        self._let_go()
        return True

    def _let_go(self) -> None:
        self._sending = None
        self._hold.release()

    def _next(self, listed: list[pb.Checkpoint], *, take_all: bool) -> "_Sending | None":
        """The newest of those that are whole here, and by turns the best, which newer ones would hold up."""
        waiting = [one for one in listed if one.place == pb.CHECKPOINT_PLACE_ELSEWHERE]
        self._say_passed_over({one.name for one in waiting}, {one.name for one in listed})
        folders = [self._folder_of(one) for one in waiting]
        said = {one.name for one in listed}
        if take_all:
            folders += [folder for folder in self._root.glob("step-*") if folder.name not in said]
        whole = [found for folder in folders if folder and (found := self._read(folder))]
        if not whole:
            return None
        newest, best = max(whole, key=lambda one: one.time), _best(listed)
        chosen = next((one for one in whole if one.name == best and self._was_newest), newest)
        self._was_newest = chosen is newest
        return _Sending(chosen, unannounced=chosen.name not in said)

    def _say_passed_over(self, waiting: set[str], listed: set[str]) -> None:
        gone, self._waiting = sorted(self._waiting - listed), waiting
        if gone and not self._passed_over:
            self._say(f"the run removed the checkpoint {gone[0]} before it was sent: {FASTER}")
        self._passed_over += len(gone)

    def _folder_of(self, listed: pb.Checkpoint) -> Path | None:
        """Where the run has a checkpoint here: in its folder, or in one that the script gave."""
        folder = self._root / listed.name
        if folder.parent == self._root and folder.exists():
            return folder
        elsewhere = Path(listed.path)
        return elsewhere if elsewhere.exists() and self._has_said(listed.path) else None

    def _has_said(self, path: str) -> bool:
        """Whether the run's own records have a text: the server does not choose what is read here."""
        if path not in self._said:
            text = json.dumps(path, ensure_ascii=False).encode()
            if any(_holds(records, text) for records in self._folder.glob("*.records")):
                self._said.add(path)
        return path in self._said

    def _read(self, folder: Path) -> Checkpoint | None:
        try:
            found = read(folder)
        except CheckpointError as error:
            self._refuse(folder, 0, error.message)
            return None
        time, _ = self._refused.get(folder, (0, ""))
        return found if time != found.time else None

    def _listed(self) -> list[pb.Checkpoint]:
        request = pb.ListCheckpointsRequest(**self._names, page_size=PAGE)
        found: list[pb.Checkpoint] = []
        while True:
            page = call(self._tracks.ListCheckpoints, request)
            found += page.checkpoints
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def _send(self, sending: "_Sending") -> None:
        """Send one, unless it is removed before it is held, or is not what was written."""
        checkpoint = sending.checkpoint
        try:
            if sending.held is None:
                sending.held = self._hold.take(checkpoint)
            if self._hashed is None or self._hashed[0] != sending.held:
                self._hashed = sending.held, _blobs_of(sending.held)
            self._keep(sending.held, self._hashed[1], unannounced=sending.unannounced)
            self._refused.pop(checkpoint.folder, None)
            self._waiting.discard(checkpoint.name)
            if not (self._was_overtaken or checkpoint.folder.exists()):
                self._was_overtaken = True
                self._say(f"the run removed the checkpoint {checkpoint.name} while it was sent: {FASTER}")
        except (CheckpointError, TransferError, InvalidError) as error:
            self._refuse(checkpoint.folder, checkpoint.time, error.message)
        except FileNotFoundError as error:
            self._refuse(checkpoint.folder, checkpoint.time, str(error))
        except NotFoundError as error:
            if error.reason != "CHECKPOINT_NOT_FOUND":
                raise

    def _refuse(self, folder: Path, time: int, why: str) -> None:
        if not folder.exists():  # the run has removed it
            return
        refused = time, f"the checkpoint {folder.name} is not sent: {why}"
        if self._refused.get(folder) != refused:
            self._refused[folder] = refused
            self._say(refused[1])

    def _keep(self, checkpoint: Checkpoint, blobs: list[BlobFile], *, unannounced: bool) -> None:
        request = pb.KeepCheckpointRequest(
            **self._names,
            name=checkpoint.name,
            document=(checkpoint.folder / DOCUMENT).read_bytes(),
            digests=[blob.digest for blob in blobs],
            unannounced=unannounced,
        )
        route = self._route()
        for attempt in range(1, ATTEMPTS + 1):
            _upload(route, blobs)
            try:
                self._call_keep(request, route.patience)
                return
            except NotPossibleError as error:  # another run has removed one that had the same file
                if error.reason != "BLOBS_MISSING" or attempt == ATTEMPTS:
                    raise

    def _call_keep(self, request: pb.KeepCheckpointRequest, patience: Patience) -> None:
        while True:
            try:
                call(self._tracks.KeepCheckpoint, request, seconds=KEEP_SECONDS)
                return
            except AuthError as error:
                patience.wait(error)

    def _route(self) -> Route:
        return Route(
            DatasetServiceStub(self._channel),
            self._names["project_id"],
            Patience(self._patience_seconds),
            moved=lambda _: None,
            folder=local_folder(self._channel),
        )


def _best(listed: list[pb.Checkpoint]) -> str:
    """The name of the newest that was the best so far; empty if there is none."""
    best = max(
        (one for one in listed if one.best), key=lambda one: one.write_time.ToNanoseconds(), default=None
    )
    return best.name if best else ""


def _holds(path: Path, text: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(text) >= 0
    except (OSError, ValueError):  # it is empty
        return False


def _blobs_of(checkpoint: Checkpoint) -> list[BlobFile]:
    """Its files, when they are what was written.

    Raises:
        CheckpointError: One is not.
        FileNotFoundError: One is gone.
    """
    found = []
    for file in checkpoint.files:
        path, size = checkpoint.folder / file.path, 0
        name, written = blake3(), hashlib.sha256()
        with path.open("rb", buffering=0) as opened:
            while data := opened.read(READ_BYTES):
                name.update(data)
                written.update(data)
                size += len(data)
        if (size, written.hexdigest()) != (file.size, file.sha256):
            raise CheckpointError(f"{file.path} is not what was written: its digest differs")
        found.append(BlobFile(name.hexdigest(), size, path))
    return found


def _upload(route: Route, blobs: list[BlobFile]) -> None:
    named = {blob.digest: blob for blob in blobs}
    missing = [(named[digest], offset) for digest, offset in missing_digests(route, list(named))]
    for blob, offset in give(route, missing):
        upload(route, blob, offset)
