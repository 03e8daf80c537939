"""The pages of projects and their members."""

from uuid import uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.datasets.blobs import stored_bytes
from bench_server.errors import Refused
from bench_server.projects import services
from bench_server.web.pages import go, page_of, show

ROLES = {"member": services.Role.MEMBER, "owner": services.Role.OWNER}


class ProjectsPage:
    """The first page: the projects of who visits it."""

    @allow(Rule.LOGIN)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """The list."""
        memberships = page_of(request, services.projects_of(caller.user))
        rows = [(membership, stored_bytes(membership.project)) for membership in memberships]
        return show(request, "projects/projects.html", memberships=memberships, rows=rows)


class NewProjectPage:
    """A new project."""

    @allow(Rule.LOGIN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form; it has the request's id, so that sending it twice makes one project."""
        return show(request, "projects/new.html", refused, request_id=uuid4())

    @allow(Rule.LOGIN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make it."""
        try:
            request_id = uuid_of("request_id", request.POST.get("request_id", ""))
            made = services.create_project(caller.user, request.POST.get("name", ""), request_id)
        except Refused as refused:
            return self.get(request, caller, refused)
        return go("project", made.project_id)


class MembersPage:
    """Who is in a project."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The list; owners can change it."""
        members = page_of(request, services.members_of(caller.project))
        return show(request, "projects/members.html", refused, place=caller.place, members=members)

    @allow(Rule.PROJECT_OWNER)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make a user a member, or change a member's role."""
        role = ROLES.get(request.POST.get("role", ""), services.Role.MEMBER)
        try:
            made = services.set_member(caller.project, request.POST.get("username", ""), role)
        except Refused as refused:
            return self.get(request, caller, refused)
        messages.success(request, f"{made.user.username} is {made.get_role_display().lower()} now.")
        return go("members", caller.project.pk)


class RemoveMemberPage:
    """The end of a membership: by an owner, or by the member."""

    @allow(Rule.MEMBER)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Remove the member."""
        username = request.POST.get("username", "")
        services.remove_member(caller.project, username, by=caller.user)
        if username.lower() == caller.user.username.lower():
            messages.success(request, f"You have left {caller.project.name}.")
            return go("projects")
        messages.success(request, f"{username} is no member any more.")
        return go("members", caller.project.pk)


class DeleteProjectPage:
    """The end of a project."""

    @allow(Rule.PROJECT_OWNER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """What goes with it."""
        stored = stored_bytes(caller.project)
        datasets = caller.project.datasets.count()
        return show(
            request, "projects/delete.html", place=caller.place, stored_bytes=stored, datasets=datasets
        )

    @allow(Rule.PROJECT_OWNER)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Delete it."""
        services.delete_project(caller.project)
        messages.success(request, f"{caller.project.name} is deleted.")
        return go("projects")
