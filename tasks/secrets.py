"""What must never stand in a file, a log or on a page: passwords, keys, tokens in addresses."""

from __future__ import annotations

import re

HIDDEN = "***"
# user:password@ of any address: what stands between // and the last @ before the path. The last,
# since a password may hold an @ that nobody has written as %40.
USERINFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")
# tokens in a query, such as those of presigned S3 addresses and of object stores
QUERY = re.compile(
    r"([?&](?:x-amz-(?:signature|credential|security-token)|signature|sig|token|access_token|"
    r"api_?key|key|secret|password|pass|pwd)=)[^&#\s'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` without the secrets in the addresses that it holds."""
    return QUERY.sub(rf"\1{HIDDEN}", USERINFO.sub(f"{HIDDEN}@", text))


def refuse_secret(address: str, what: str) -> None:
    """Refuse an address with a secret: it would be written to params.yaml, git and the registry.

    Raises:
        ValueError: it has a user, a password or a token in it; the message says where they belong.
    """
    if redact(address) != address:
        raise ValueError(
            f"{what} {redact(address)}: an address with a key or a password in it would be written "
            "to params.yaml; put credentials into AWS_PROFILE, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials"
        )
