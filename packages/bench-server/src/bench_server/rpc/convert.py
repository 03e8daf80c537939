"""Model objects as messages, and what comes in them."""

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bench_protos.auth.v1 import auth_pb2
from bench_protos.projects.v1 import projects_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from bench_server.accounts.models import Token, User
from bench_server.datasets.blobs import stored_bytes
from bench_server.errors import invalid
from bench_server.projects.models import Membership

KINDS = {
    Token.Kind.LOGIN: auth_pb2.TOKEN_KIND_LOGIN,
    Token.Kind.PERSONAL: auth_pb2.TOKEN_KIND_PERSONAL,
    Token.Kind.RUN: auth_pb2.TOKEN_KIND_RUN,
}


DIGEST = re.compile("[0-9a-f]{64}")


def digest_of(field: str, text: str) -> str:
    """A field that must be the digest of a blob.

    Raises:
        Refused: FIELD_INVALID.
    """
    if not DIGEST.fullmatch(text):
        raise invalid(field, f"{text[:80]!r} is no digest: 64 hex digits in lower case")
    return text


PIECE_BYTES = 1 << 20
"""Of the data in one message of a stream."""


def pieces_of(first: Any, rest: Iterable[Any]) -> Iterator[bytes]:
    """The `data` of a stream's messages.

    Raises:
        Refused: FIELD_INVALID.
    """
    for message in itertools.chain([first], rest):
        if not 0 < len(message.data) <= PIECE_BYTES:
            raise invalid("data", f"has {len(message.data):,} bytes; 1 to {PIECE_BYTES:,} are taken")
        yield message.data


def timestamp(time: datetime.datetime | None) -> Timestamp | None:
    """A time, or None where there is none."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def user_message(user: User) -> auth_pb2.User:
    """A user."""
    return auth_pb2.User(
        id=str(user.pk),
        username=user.username,
        is_owner=user.is_owner,
        create_time=timestamp(user.create_time),
    )


def token_message(token: Token) -> auth_pb2.Token:
    """A token without its secret."""
    return auth_pb2.Token(
        id=str(token.pk),
        kind=KINDS[Token.Kind(token.kind)],
        name=token.name,
        create_time=timestamp(token.create_time),
        expire_time=timestamp(token.expire_time),
        last_use_time=timestamp(token.last_use_time),
    )


def project_message(membership: Membership) -> projects_pb2.Project:
    """A project, as one of its members sees it."""
    project = membership.project
    return projects_pb2.Project(
        id=str(project.pk),
        name=project.name,
        role=projects_pb2.Role.ValueType(membership.role),
        create_time=timestamp(project.create_time),
        stored_bytes=stored_bytes(project),
        quota_bytes=project.quota_bytes,
    )


def member_message(membership: Membership) -> projects_pb2.Member:
    """A member of a project."""
    return projects_pb2.Member(
        username=membership.user.username,
        role=projects_pb2.Role.ValueType(membership.role),
        create_time=timestamp(membership.create_time),
    )
