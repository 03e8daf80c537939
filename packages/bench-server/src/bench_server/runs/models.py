"""Runs of projects: what was submitted, each attempt at it, and the secrets that attempts are given."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from uuid6 import uuid7

from bench_server.accounts.models import Token
from bench_server.code.models import Bundle
from bench_server.datasets.models import Version
from bench_server.projects.models import NAME, Project
from bench_server.runs.states import MEANING, State

STATES = [(state.value, state.name) for state in MEANING]


class Run(models.Model):
    """A project's code at one point, and what it is to be trained with; only its config grows."""

    id = models.UUIDField(primary_key=True, editable=False)  # of the caller's making
    project = models.ForeignKey(Project, models.CASCADE, related_name="runs")
    name = models.CharField(max_length=100, validators=[NAME])
    group = models.CharField(max_length=100, blank=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")
    spec = models.JSONField()  # spec.RunSpec
    spec_digest = models.CharField(max_length=64)
    bundle = models.ForeignKey(Bundle, models.PROTECT, null=True, related_name="runs")  # null: external
    config = models.JSONField(default=dict)  # what its training says that it is configured with
    summary = models.JSONField(default=dict)  # and what it says that came of it
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    create_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint("project", Lower("name"), name="run_name_in_project"),)

    @property
    def last_attempt(self) -> "Attempt":
        """The newest attempt; of one that was prefetched there is no query."""
        return max(self.attempts.all(), key=lambda attempt: attempt.number)


class RunTag(models.Model):
    """A word that runs are found by."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=100)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "tag"], name="tag_of_run"),)


class RunPin(models.Model):
    """That a run is trained with a version of a dataset. It outlives that one."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="pins")
    dataset_version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="run_pins")
    dataset = models.CharField(max_length=100)
    number = models.BigIntegerField()
    fingerprint = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "dataset"], name="run_pin_of_dataset"),)


class Attempt(models.Model):
    """One container's life. Its state is written by transitions.py alone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="attempts")
    number = models.BigIntegerField()
    request_id = models.UUIDField()
    retries_left = models.BigIntegerField(default=0)
    change = models.BigIntegerField(default=0)  # counts what a watcher is to see

    state = models.SmallIntegerField(choices=STATES, default=State.QUEUED.value)
    reason = models.CharField(max_length=40, blank=True)
    message = models.TextField(blank=True)
    waiting_for = models.CharField(max_length=1000, blank=True)
    exit_code = models.IntegerField(null=True)
    stopper = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    stop_request_time = models.DateTimeField(null=True)

    image_id = models.CharField(max_length=200, blank=True)
    lock = models.TextField(blank=True)
    engine = models.CharField(max_length=20, blank=True)
    boot_id = models.CharField(max_length=64, blank=True)
    gpus = models.JSONField(default=list)  # the UUIDs of those that it was given
    cpu_millis = models.BigIntegerField(default=0)  # what it was given, as the next
    memory_bytes = models.BigIntegerField(default=0)

    create_time = models.DateTimeField(auto_now_add=True)
    start_time = models.DateTimeField(null=True)
    end_time = models.DateTimeField(null=True)
    last_contact_time = models.DateTimeField(null=True)
    log_bytes = models.BigIntegerField(default=0)
    log_truncated = models.BooleanField(default=False)

    lease_owner = models.CharField(max_length=100, blank=True)
    lease_expire_time = models.DateTimeField(null=True)
    fencing = models.BigIntegerField(default=0)
    token = models.OneToOneField(Token, models.SET_NULL, null=True, related_name="attempt")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number"),
            models.UniqueConstraint(fields=["run", "request_id"], name="attempt_request"),
        )
        indexes = (
            models.Index(
                fields=["create_time"],
                condition=models.Q(state__lt=State.SUCCEEDED.value),
                name="unfinished_attempts",
            ),
        )

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows."""
        return State(self.state).has_ended


class Secret(models.Model):
    """A value that runs are given; of a project, or of a user in all projects."""

    class Form(models.IntegerChoices):
        """How a run gets it; the numbers are those of the contract."""

        ENVIRONMENT = 1
        FILE = 2

    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="secrets")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="secrets")
    name = models.CharField(max_length=100)
    form = models.SmallIntegerField(choices=Form.choices)
    encrypted = models.BinaryField()
    update_time = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["project", "name"], name="secret_of_project"),
            models.UniqueConstraint(fields=["user", "name"], name="secret_of_user"),
            models.CheckConstraint(
                condition=models.Q(project=None) ^ models.Q(user=None), name="secret_has_one_owner"
            ),
        )
