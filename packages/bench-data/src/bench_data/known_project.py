"""The project that datasets go to and come from."""

import os
from dataclasses import dataclass

from bench_core import ENDPOINT_VARIABLE, PROJECT_VARIABLE, find_project, read_project


@dataclass(frozen=True)
class KnownProject:
    """A project on a server.

    Args:
        endpoint: Its server's URL; None: that of the login.
        id: Its id there.
    """

    endpoint: str | None
    id: str


def known_project() -> KnownProject | None:
    """The project of the environment, else of the nearest project folder upwards, or None.

    Raises:
        ProjectFileError: That folder's file says what it cannot.
    """
    endpoint = os.environ.get(ENDPOINT_VARIABLE) or None
    if given := os.environ.get(PROJECT_VARIABLE):
        return KnownProject(endpoint, given)
    folder = find_project()
    if folder is None:
        return None
    settings = read_project(folder)
    return KnownProject(endpoint or settings.endpoint, settings.id)
