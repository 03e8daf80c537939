"""Versions of projects: which code, with which datasets."""

from django.conf import settings
from django.db import models
from uuid6 import uuid7

from bench_server.datasets.models import Blob, Version
from bench_server.projects.models import Project


class Bundle(models.Model):
    """A blob that was checked to be a bundle. It goes with its blob."""

    blob = models.OneToOneField(Blob, models.CASCADE, primary_key=True, related_name="bundle")
    files = models.JSONField()  # [path, kind, size, digest] of each, by path


class ProjectVersion(models.Model):
    """A project as it was migrated once; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="versions")
    number = models.BigIntegerField()
    request_id = models.UUIDField()
    bundle = models.ForeignKey(Bundle, models.PROTECT, related_name="versions")
    file_count = models.BigIntegerField()
    git_commit = models.CharField(max_length=64)
    git_dirty = models.BooleanField()
    message = models.CharField(max_length=1000)
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    create_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["project", "number"], name="project_version_number"),
            models.UniqueConstraint(fields=["project", "request_id"], name="project_version_request"),
        )


class Pin(models.Model):
    """That a version of a project was migrated with a version of a dataset. It outlives that one."""

    project_version = models.ForeignKey(ProjectVersion, models.CASCADE, related_name="pins")
    dataset_version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="pins")
    dataset = models.CharField(max_length=100)
    number = models.BigIntegerField()
    fingerprint = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["project_version", "dataset"], name="pin_of_dataset"),)
