"""Projects and their members."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from uuid6 import uuid7

NAME = RegexValidator(
    r"\A[^\W_][\w .-]{0,99}\Z",
    "must have 1 to 100 letters and digits of any script, spaces and . - _, and begin with a letter or digit",
)


class Project(models.Model):
    """What a team trains: its code, its datasets, its runs."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, validators=[NAME])
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    request_id = models.UUIDField()
    create_time = models.DateTimeField(auto_now_add=True)
    quota_bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint("creator", Lower("name"), name="project_name_of_creator"),
            models.UniqueConstraint(fields=["creator", "request_id"], name="project_request"),
        )


class Membership(models.Model):
    """A user's place in a project."""

    class Role(models.IntegerChoices):
        """What a member may do; the numbers are those of the contract."""

        MEMBER = 1
        OWNER = 2

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.SmallIntegerField(choices=Role.choices)
    create_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["project", "user"], name="one_membership"),)

    @property
    def is_owner(self) -> bool:
        """Whether this member may do what owners may."""
        return self.role == self.Role.OWNER
