"""Secrets that are shown once, and the hashes that are kept of them."""

import hashlib
import re
import secrets

SECRET = re.compile(r"bench_([upriw])_[A-Za-z0-9_-]{43}")
"""Tokens by kind, `i`: invitations, `w`: sign-in links. 32 random bytes in base64url."""


def new_secret(kind: str) -> tuple[str, bytes]:
    """A new secret and the hash to keep.

    Args:
        kind: The letter of its prefix.
    """
    secret = f"bench_{kind}_{secrets.token_urlsafe(32)}"
    return secret, hash_of(secret)


def hash_of(secret: str) -> bytes:
    """The hash of a secret, 32 bytes. It has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(secret.encode()).digest()
