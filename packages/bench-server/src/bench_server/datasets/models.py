"""Blobs of projects, and the dataset versions made of them."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from uuid6 import uuid7

from bench_server.projects.models import Project

DIGEST = RegexValidator(r"\A[0-9a-f]{64}\Z", "must be 64 hex digits in lower case")


class Blob(models.Model):
    """Bytes that are whole in the store, under their BLAKE3."""

    digest = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.BigIntegerField()
    create_time = models.DateTimeField(auto_now_add=True)


class ProjectBlob(models.Model):
    """That a project has a blob: one of its members sent all its bytes."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="blobs")
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="projects")
    create_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["project", "blob"], name="blob_of_project"),)


class Dataset(models.Model):
    """A name that has versions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100)
    last_number = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["project", "name"], name="dataset_name"),)


class Version(models.Model):
    """A dataset as it was written once; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.BigIntegerField()
    request_id = models.UUIDField()
    fingerprint = models.CharField(max_length=64)
    manifest = models.BinaryField()
    sample_count = models.BigIntegerField()
    chunk_count = models.BigIntegerField()
    stored_bytes = models.BigIntegerField()
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    create_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number"),
            models.UniqueConstraint(fields=["dataset", "request_id"], name="version_request"),
        )


class VersionBlob(models.Model):
    """That a version needs a blob."""

    version = models.ForeignKey(Version, models.CASCADE, related_name="blobs")
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="versions")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["version", "blob"], name="blob_of_version"),)
