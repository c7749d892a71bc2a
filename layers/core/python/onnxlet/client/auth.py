"""Who asks: nobody in particular, the bearer of a token, or an AWS identity that signs each request (SigV4)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from onnxlet.errors import AccessDeniedError, InvalidInputError, MissingExtraError
from onnxlet.values.tokens import is_token

IAM = "iam"

Authorization = Callable[[str, str, Mapping[str, str], bytes | None], Mapping[str, str]]
"""From a request's method, URL, headers and body to the headers that say who asks."""

_AWS_HOST = re.compile(r"\.(?P<kind>execute-api|lambda-url)\.(?P<region>[a-z0-9-]+)\.")
_SERVICES = {"execute-api": "execute-api", "lambda-url": "lambda"}


def make_authorization(auth: str | None, host: str) -> Authorization:
    """What `connect` was told. Raises InvalidInputError for what is no way to say who asks."""
    if auth is None:
        return _nobody
    if auth == IAM:
        return Signer(host)
    if is_token(auth):
        headers = {"Authorization": f"Bearer {auth}"}
        return lambda *_: headers
    raise InvalidInputError("auth is None, 'iam', or a bearer token as it was issued, without 'Bearer ' or spaces")


def _nobody(*_: object) -> Mapping[str, str]:
    return {}


class Signer:
    """Signs for API Gateway or a function URL, with the credentials that botocore finds: environment, profile, role …

    The region is the host's own, and behind a domain name of yours the session's (AWS_REGION, a profile).
    """

    def __init__(self, host: str) -> None:
        try:
            from botocore.session import Session  # type: ignore[import-untyped] # botocore has no types
        except ImportError as error:
            raise MissingExtraError(
                "signing requests needs botocore: pip install 'onnxlet[client]'", extra="client"
            ) from error
        session = Session()
        match = _AWS_HOST.search(host)
        self._service = _SERVICES[match["kind"]] if match else "execute-api"
        region = match["region"] if match else os.environ.get("AWS_REGION") or session.get_config_variable("region")
        if not region:
            raise InvalidInputError(f"the region to sign for is not part of {host!r}: set AWS_REGION")
        self._region = region
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise AccessDeniedError(
                "no AWS credentials to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
                "or sign in"
            )

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Mapping[str, str]:
        """The headers of the signature, made now: it holds for five minutes."""
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body or b"")
        SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name not in headers}
