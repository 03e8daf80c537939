"""The pages of datasets: their versions, and a look into one."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow
from bench_server.datasets import preview, services
from bench_server.datasets.blobs import stored_bytes
from bench_server.datasets.models import Version
from bench_server.errors import Refused
from bench_server.web.pages import go, page_of, show


class DatasetsPage:
    """A project: its datasets."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """The list."""
        latest = page_of(request, services.newest_versions(caller.project))
        stored, quota = stored_bytes(caller.project), caller.project.quota_bytes
        return show(
            request,
            "datasets/datasets.html",
            place=caller.place,
            latest_versions=latest,
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
        """The version; where its samples cannot be read, why."""
        version, damage = services.find_version(caller.project, dataset, number), None
        try:
            samples = preview.preview(version)
        except Refused as refused:
            samples, damage = [], refused
        return show(
            request,
            "datasets/version.html",
            place=caller.place,
            version=version,
            schema=services.schema_of(version),
            samples=samples,
            damage=damage,
        )


class SampleFilePage:
    """An image of one of the first samples."""

    @allow(Rule.MEMBER)
    def get(
        self, request: HttpRequest, caller: Caller, dataset: str, number: int, sample: int, place: int
    ) -> HttpResponse:
        """The image, as what its bytes are and never as a page."""
        version = services.find_version(caller.project, dataset, number)
        tag = f'"{version.fingerprint}-{sample}-{place}"'
        if request.headers.get("If-None-Match") == tag:
            return _kept(HttpResponse(status=304), tag)
        image = preview.image_of(version, sample, place)
        response = _kept(HttpResponse(image.content, content_type=image.content_type), tag)
        extension = image.content_type.partition("/")[2]
        response["Content-Disposition"] = f'inline; filename="{dataset}-{sample}-{place}.{extension}"'
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


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
            pinned_by=len(services.pinned_by(version)),
            is_last=not services.versions_of(caller.project, dataset).exclude(pk=version.pk).exists(),
        )

    @allow(Rule.PROJECT_OWNER)
    def post(self, request: HttpRequest, caller: Caller, dataset: str, number: int) -> HttpResponse:
        """Delete it."""
        services.delete_version(_version(caller, dataset, number), force=True)  # they were told
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


def _kept(response: HttpResponse, tag: str) -> HttpResponse:
    """Let the browser keep an answer, and ask each time whether it may still show it."""
    response["Cache-Control"], response["ETag"] = "private, no-cache", tag
    return response
