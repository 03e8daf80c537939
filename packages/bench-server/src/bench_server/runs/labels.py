"""What a run is found by: its name, its tags, its group."""

import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from bench_server.errors import invalid
from bench_server.projects.models import NAME
from bench_server.runs.models import Run, RunTag

MAX_TAGS = 32
MAX_LABEL = 100
"""Characters of a tag or a group."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a run is found by.

    Args:
        name: Empty: the server makes one.
        tags: Words.
        group: A word.
        parent: The id of the run that this one repeats.

    Raises:
        Refused: FIELD_INVALID.
    """

    name: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    parent: UUID | None = None

    def __post_init__(self) -> None:
        if self.name:
            try:
                NAME(unicodedata.normalize("NFC", self.name))
            except ValidationError as error:
                raise invalid("name", str(error.messages[0])) from None
        if len(self.tags) > MAX_TAGS or not all(map(is_label, self.tags)):
            raise invalid("tags", f"must be at most {MAX_TAGS}, of 1 to {MAX_LABEL} characters each")
        if self.group and not is_label(self.group):
            raise invalid("group", f"must have at most {MAX_LABEL} characters")


def is_label(text: str) -> bool:
    """Whether a text can be a tag or a group."""
    return 0 < len(text) <= MAX_LABEL and "\0" not in text


def label_run(run: Run, labels: Labels) -> None:
    """Add what a training calls its run: tags; a group; its name, unless another run has that.

    Args:
        run: Which.
        labels: An empty name or group changes nothing.
    """
    RunTag.objects.bulk_create(
        [RunTag(run=run, tag=tag) for tag in sorted(set(labels.tags))], ignore_conflicts=True
    )
    rows = Run.objects.filter(pk=run.pk)
    if labels.group:
        rows.update(group=labels.group)
    name = unicodedata.normalize("NFC", labels.name)
    if name and not run.project.runs.filter(name__iexact=name).exists():
        with suppress(IntegrityError), transaction.atomic():  # another may have taken it since
            rows.update(name=name)
