"""The hash of passwords."""

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

HASHED_AT_ONCE = 4
"""Argon2 takes 100 MB for each password: anybody may try to log in, and must not take all memory by it."""

_hashing = threading.BoundedSemaphore(HASHED_AT_ONCE)


class FewAtOnce(Argon2PasswordHasher):
    """Django's Argon2, for a few passwords at a time. Nothing else is waited for while one is hashed."""

    def encode(self, password: str, salt: str) -> str:
        """See Django."""
        with _hashing:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """See Django."""
        with _hashing:
            return super().verify(password, encoded)
