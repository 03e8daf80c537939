"""What the contracts promise about refusals is what the server has."""

import re
from pathlib import Path

import bench_protos
import grpc
import pytest
from bench_auth import calls, errors
from bench_server.errors import STATUS
from bench_server.version import VERSION

TEXT = "\n".join(path.read_text() for path in Path(bench_protos.__file__).parent.rglob("*.proto"))
COMMENTS = " ".join(re.findall(r"//(.*)", TEXT))


def promised() -> set[tuple[str, str]]:
    """Each reason that a contract names, with its status: `NOT_FOUND USER_NOT_FOUND, MEMBER_NOT_FOUND.`"""
    found = set()
    status = ""
    for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", COMMENTS):
        if word in grpc.StatusCode.__members__:
            status = word
        elif word in STATUS:
            found.add((STATUS[word] if status == "" else status, word))
    return found


def test_every_reason_has_the_status_that_the_contracts_give_it() -> None:
    assert promised() == {(status, reason) for reason, status in STATUS.items()}


@pytest.mark.parametrize("status", sorted(set(STATUS.values())))
def test_clients_have_an_error_for_every_status(status: str) -> None:
    code = grpc.StatusCode[status]
    known = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL, *calls.ERRORS}
    assert code in known
    assert calls.ERRORS.get(code, errors.ServerFailedError).__doc__


def test_the_version_is_the_distributions() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'version = "{VERSION}+bench"' in text
