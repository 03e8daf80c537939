"""What can be done with projects. RPCs, pages and commands only translate."""

import unicodedata
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from bench_server.accounts.models import User
from bench_server.errors import Refused, invalid
from bench_server.prepared import Prepared
from bench_server.projects.models import Membership, Project
from bench_server.runs.models import Attempt
from bench_server.runs.states import State

Role = Membership.Role

_MEMBERSHIP = Prepared(Membership.objects.select_related("project"), "user_id", "project_id")


def create_project(user: User, name: str, request_id: UUID) -> Membership:
    """Make a project that the user owns; the same request gives the same project.

    Raises:
        Refused: FIELD_INVALID, PROJECT_NAME_TAKEN.
    """
    name = unicodedata.normalize("NFC", name)  # a file name of macOS and what somebody types are one name
    project = Project(name=name, creator=user, request_id=request_id)
    try:
        project.clean_fields()
    except ValidationError as error:
        raise invalid("name", str(error.messages[0])) from None
    try:
        with transaction.atomic():
            project.save(force_insert=True)
            return Membership.objects.create(project=project, user=user, role=Role.OWNER)
    except IntegrityError:
        return _made_before(user, name, request_id)


def _made_before(user: User, name: str, request_id: UUID) -> Membership:
    mine = Membership.objects.select_related("project").filter(user=user)
    if made := mine.filter(project__creator=user, project__request_id=request_id).first():
        return made
    there = Project.objects.filter(creator=user, name__iexact=name).first()
    raise Refused(
        "PROJECT_NAME_TAKEN",
        f"you made a project {name!r} before",
        hint="Take another name, or delete that project.",
        project_id=str(there.pk) if there else "",
    )


def membership(user: User, project_id: UUID) -> Membership:
    """The user's place in a project.

    Raises:
        Refused: PROJECT_NOT_FOUND, also where there is a project that the user is no member of.
    """
    found = _MEMBERSHIP.first(user.pk, project_id)
    if found is None:
        raise Refused(
            "PROJECT_NOT_FOUND",
            f"there is no project {project_id}, or you are no member of it",
            hint="Ask one of its owners to make you a member.",
        )
    return found


def projects_of(user: User) -> QuerySet[Membership]:
    """The user's memberships, those of the newest projects first."""
    return Membership.objects.select_related("project").filter(user=user).order_by("-project_id")


def members_of(project: Project) -> QuerySet[Membership]:
    """A project's members by name."""
    return project.memberships.select_related("user").order_by("user__username")


def delete_project(project: Project) -> None:
    """Delete a project and all that is in it.

    Raises:
        Refused: RUN_NOT_ENDED.
    """
    with transaction.atomic():
        lock(project)
        unfinished = Attempt.objects.filter(run__project=project, state__lt=State.SUCCEEDED.value)
        if attempt := unfinished.select_related("run").first():
            raise Refused(
                "RUN_NOT_ENDED",
                f"{attempt.run.name} of {project.name} has not ended",
                hint="Stop the project's runs first.",
            )
        project.delete()


def set_quota(project_id: str, quota_bytes: int) -> Project:
    """Say what a project's data may take; for who runs the server.

    Args:
        project_id: The project's id.
        quota_bytes: 0: no limit but the disk's.

    Raises:
        Refused: PROJECT_NOT_FOUND.
    """
    try:
        project = Project.objects.get(pk=project_id)
    except (Project.DoesNotExist, ValidationError):
        raise Refused(
            "PROJECT_NOT_FOUND", f"there is no project {project_id}", hint="`bench-server quota` lists them."
        ) from None
    project.quota_bytes = quota_bytes
    project.save(update_fields=["quota_bytes"])
    return project


def set_member(project: Project, username: str, role: int) -> Membership:
    """Make a user a member, or change a member's role.

    Raises:
        Refused: USER_NOT_FOUND, LAST_OWNER.
    """
    with transaction.atomic():
        lock(project)
        user = User.objects.filter(username__iexact=username, is_active=True).first()
        if user is None:
            raise Refused("USER_NOT_FOUND", f"there is no user {username!r}", hint="Invite them first.")
        if role != Role.OWNER:
            _keep_an_owner(project, user)
        found, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
        return found


def remove_member(project: Project, username: str, *, by: User) -> None:
    """End a membership.

    Args:
        project: The project.
        username: Whose.
        by: Who asks for it: an owner, or the member.

    Raises:
        Refused: OWNER_NEEDED, MEMBER_NOT_FOUND, LAST_OWNER.
    """
    with transaction.atomic():
        lock(project)
        members = project.memberships.select_related("user")
        found = members.filter(user__username__iexact=username).first()
        is_own = found is not None and found.user_id == by.pk
        if not is_own and not members.filter(user=by, role=Role.OWNER).exists():
            raise Refused("OWNER_NEEDED", f"only an owner of {project.name} may remove {username[:150]!r}")
        if found is None:
            raise Refused("MEMBER_NOT_FOUND", f"{username!r} is no member of {project.name}")
        _keep_an_owner(project, found.user)
        found.delete()


def lock(project: Project) -> None:
    """Let no other transaction change the project until this one ends.

    Raises:
        Refused: PROJECT_NOT_FOUND: it was deleted meanwhile.
    """
    if not Project.objects.select_for_update().filter(pk=project.pk):
        raise Refused("PROJECT_NOT_FOUND", f"the project {project.name} was deleted meanwhile")


def _keep_an_owner(project: Project, user: User) -> None:
    owners = project.memberships.filter(role=Role.OWNER)
    if owners.filter(user=user).exists() and not owners.exclude(user=user).exists():
        raise Refused(
            "LAST_OWNER",
            f"{user.username} is the only owner of {project.name}",
            hint="Make another member an owner first, or delete the project.",
        )
