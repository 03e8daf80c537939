"""A browser for the tests of pages, and a dataset to look at."""

import re
from pathlib import Path
from typing import Any

from bench_data import FileContent, ProcessorDataset, WriteOptions, write_chunks
from bench_data.manifest import read_manifest
from bench_server.accounts import services as accounts
from bench_server.accounts.models import User
from bench_server.datasets import blobs
from bench_server.datasets import services as datasets
from bench_server.datasets.models import Version
from bench_server.projects.models import Project
from blake3 import blake3
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from uuid6 import uuid7


class Browser(Client):
    """Keeps cookies, and checks forms as the server does."""

    def __init__(self, user: User | None = None, **defaults: Any) -> None:
        super().__init__(enforce_csrf_checks=True, SERVER_NAME="localhost", **defaults)
        if user is not None:
            self.cookies[settings.LOGIN_COOKIE_NAME] = accounts.create_login(user, "test").secret

    def bring(self, secret: str) -> "Browser":
        """Have this secret in the login cookie."""
        self.cookies[settings.LOGIN_COOKIE_NAME] = secret
        return self

    def send(self, path: str, **fields: str) -> HttpResponse:
        """Send a form as a page of the server's would."""
        form_token = re.search(
            'name="csrfmiddlewaretoken" value="([^"]+)"', text_of(Client.get(self, "/invitation"))
        )
        assert form_token is not None
        response: Any = self.post(path, {"csrfmiddlewaretoken": form_token[1], **fields})
        return response  # type: ignore[no-any-return]


def text_of(response: Any) -> str:
    text: str = response.content.decode()
    return text


Samples = list[tuple[Any, dict[str, bytes]]]
"""The label of each, and its files by name."""


class Given(ProcessorDataset):
    """Samples that the test gives."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def get_label_and_numeric_data(self, item: int) -> Any:
        return self._samples[item][0]

    def get_file(self, item: int) -> list[FileContent]:
        return [FileContent(name, data) for name, data in self._samples[item][1].items()]


def make_version(
    project: Project,
    user: User,
    root: Path,
    samples: Samples,
    name: str = "train",
    chunk_bytes: int = 1 << 20,
) -> Version:
    """Write samples as a dataset in the order given, and put it on the server."""
    options = WriteOptions(order="source", workers=1, chunk_bytes=chunk_bytes)
    folder = write_chunks(Given(samples), name, root, options).path
    for file in sorted(read_manifest(folder).file_names()):
        content = (folder / file).read_bytes()
        blobs.receive(project, blake3(content).hexdigest(), len(content), 0, [content])
    manifest = (folder / "dataset.json").read_bytes()
    version, _ = datasets.create_version(project, user, name, uuid7(), manifest)
    return version
