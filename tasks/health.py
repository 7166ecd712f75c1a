"""Does a web server answer? One short look before hours of work.

It refuses no server that its own client could use.
"""

from __future__ import annotations

import base64
import ssl
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

ANSWER_S = 8.0  # a server that is well answers in milliseconds

GUARDED = (401, 403, 407)  # it lives, and its own client knows how to log in


def http_problem(url: str, page_must_exist: bool = True) -> str | None:
    """Return in a few words what is wrong with the server of the page ``url``; None: it is well.

    Well is also one that wants to know who asks, and one whose certificate is not known here: its
    own client may have been told of it. Without ``page_must_exist`` so is one that does not have
    the page, as behind a proxy. An answer of 500 or above is never well, and no answer within
    `ANSWER_S` seconds is not either.
    """
    try:
        urlopen(_request(url), timeout=ANSWER_S).close()
    except HTTPError as error:
        error.close()
        if error.code in GUARDED or (error.code < 500 and not page_must_exist):
            return None
        return f"answers {error.code} ({error.reason})"
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            return None
        return f"does not answer ({error.reason})"
    except (OSError, ValueError, HTTPException) as error:
        return f"does not answer ({error})"
    return None


def _request(url: str) -> Request:
    """Return a request for ``url``, with a login in it as a header.

    urllib takes a login for a part of the host's name, and a living server for a dead one.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return Request(url)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    token = base64.b64encode(login.encode()).decode()
    return Request(address, headers={"Authorization": f"Basic {token}"})
