"""How to reach S3: what AWS's own environment variables, and on a laptop its profiles, say.

obstore reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION,
AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, container and web identity credentials by itself. It does not read
~/.aws/config and ~/.aws/credentials, so where no credentials are in the environment boto3, if it is installed, finds
them (profiles, SSO, credential processes). That never happens on Lambda, where importing it would cost a cold start
more than the model does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.errors import StoreUnavailableError

if TYPE_CHECKING:
    from obstore.store import S3Config, S3CredentialProvider

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_OWN_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SKIP_SIGNATURE",
)
"""With one of these obstore needs no help."""


class Account(NamedTuple):
    """What obstore is told beyond what it reads itself."""

    config: S3Config
    plain_http: bool
    credentials: S3CredentialProvider | None


def account() -> Account:
    """The account that the environment names. Raises StoreUnavailableError if a laptop has no credentials for any."""
    plain_http = _first(_ENDPOINTS).startswith("http://")
    if _first(_OWN_CREDENTIALS):
        return Account({}, plain_http, None)
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        return Account({}, plain_http, None)
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped] # botocore has no types

    try:
        provider = Boto3CredentialProvider()
    except (BotoCoreError, ValueError) as error:
        raise StoreUnavailableError(
            f"no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or sign in ({error})"
        ) from error
    region = _first(_REGIONS) or provider.config.get("region", "")
    return Account({"region": region} if region else {}, plain_http, provider)


def _first(variables: tuple[str, ...]) -> str:
    """The value of the first of these environment variables that has one."""
    return next((value for variable in variables if (value := os.environ.get(variable))), "")
