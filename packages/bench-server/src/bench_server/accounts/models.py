"""Users, their tokens, and invitations."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models
from django.db.models.functions import Lower
from uuid6 import uuid7


class User(AbstractBaseUser):
    """An account. It can run code on this server's machines."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=150, unique=True, validators=[UnicodeUsernameValidator()])
    is_owner = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    create_time = models.DateTimeField(auto_now_add=True)

    objects = BaseUserManager["User"]()

    USERNAME_FIELD = "username"

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("username"), name="username_without_case"),
            models.UniqueConstraint(fields=["is_owner"], condition=models.Q(is_owner=True), name="one_owner"),
        )


class Token(models.Model):
    """A secret that stands for a user; only its hash is known."""

    class Kind(models.TextChoices):
        """What a token is for. The value is the letter in its prefix."""

        LOGIN = "u"
        PERSONAL = "p"
        RUN = "r"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    kind = models.CharField(max_length=1, choices=Kind.choices)
    name = models.CharField(max_length=100)
    secret_hash = models.BinaryField(max_length=32, unique=True)
    create_time = models.DateTimeField(auto_now_add=True)
    expire_time = models.DateTimeField(null=True)
    last_use_time = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["user", "name"], condition=models.Q(kind="p"), name="personal_token_name"
            ),
        )


class Invitation(models.Model):
    """Lets one person make an account."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    secret_hash = models.BinaryField(max_length=32, unique=True)
    create_time = models.DateTimeField(auto_now_add=True)
    expire_time = models.DateTimeField()
    used_by = models.OneToOneField(User, models.SET_NULL, null=True, related_name="invitation")
    use_time = models.DateTimeField(null=True)


class WebLogin(models.Model):
    """Signs a user in once, in a browser."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    secret_hash = models.BinaryField(max_length=32, unique=True)
    expire_time = models.DateTimeField()
