"""The pages of datasets: their versions, and a look into one."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow
from bench_server.datasets import services
from bench_server.datasets.blobs import stored_bytes
from bench_server.datasets.models import Version
from bench_server.errors import Refused
from bench_server.web.pages import go, page_of, show


class DatasetsPage:
    """A project: its datasets."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """The list."""
        datasets = page_of(request, services.datasets_of(caller.project).order_by("name"))
        rows = [(dataset, services.latest_version(dataset)) for dataset in datasets]
        stored, quota = stored_bytes(caller.project), caller.project.quota_bytes
        return show(
            request,
            "datasets/datasets.html",
            place=caller.place,
            datasets=datasets,
            rows=rows,
            stored_bytes=stored,
            share=100 * stored // quota if quota else 0,
        )


class DatasetPage:
    """A dataset: its versions."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, dataset: str) -> HttpResponse:
        """The list, and the structure of the latest one's labels."""
        versions = page_of(request, services.versions_of(caller.project, dataset))
        latest = services.find_version(caller.project, dataset, 0)
        return show(
            request,
            "datasets/dataset.html",
            place=caller.place,
            dataset=dataset,
            versions=versions,
            latest=latest,
            schema=services.schema_of(latest),
        )


class VersionPage:
    """A version: what it is, and its first samples."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, dataset: str, number: int) -> HttpResponse:
        """The version."""
        version = services.find_version(caller.project, dataset, number)
        return show(request, "datasets/version.html", place=caller.place, version=version)


class SampleFilePage:
    """A file of one of the first samples."""

    @allow(Rule.MEMBER)
    def get(
        self, request: HttpRequest, caller: Caller, dataset: str, number: int, sample: int, place: int
    ) -> HttpResponse:
        """The file's bytes, if it is an image."""
        raise Refused("BLOB_NOT_FOUND", "x")


class DeleteVersionPage:
    """The end of a version."""

    @allow(Rule.PROJECT_OWNER)
    def get(self, request: HttpRequest, caller: Caller, dataset: str, number: int) -> HttpResponse:
        """What goes with it."""
        version = _version(caller, dataset, number)
        return show(
            request,
            "datasets/delete_version.html",
            place=caller.place,
            version=version,
            is_last=not services.versions_of(caller.project, dataset).exclude(pk=version.pk).exists(),
        )

    @allow(Rule.PROJECT_OWNER)
    def post(self, request: HttpRequest, caller: Caller, dataset: str, number: int) -> HttpResponse:
        """Delete it."""
        services.delete_version(_version(caller, dataset, number))
        messages.success(request, f"Version {number} of {dataset} is deleted.")
        return go("project", caller.project.pk)


def _version(caller: Caller, dataset: str, number: int) -> Version:
    """The version of that very number: 0 is not the latest here.

    Raises:
        Refused: DATASET_NOT_FOUND, VERSION_NOT_FOUND.
    """
    if number < 1:
        raise Refused("VERSION_NOT_FOUND", f"{dataset!r} has no version {number}")
    return services.find_version(caller.project, dataset, number)
