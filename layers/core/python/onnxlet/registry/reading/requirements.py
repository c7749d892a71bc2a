"""What a store requires of every version that is promoted: `settings/registry.json`."""

from __future__ import annotations

from typing import Literal

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError
from onnxlet.store import Store
from onnxlet.values.keys import REGISTRY_SETTINGS

SCHEMA = 1


class Requirements(msgspec.Struct, frozen=True):
    """What a store requires of every version that is promoted.

    `require_contract`: that it has an accuracy contract. `require_reference`: whose answers it is held to: the model's
    own (`object`), or at least those that the user computed (`expected`); `off` asks nothing.
    """

    schema: int = SCHEMA
    require_contract: bool = False
    require_reference: Literal["object", "expected", "off"] = "off"


def read_requirements(store: Store) -> Requirements:
    """The store's requirements; none if nobody has set any.

    Raises IntegrityError for a document that cannot be read, or has a schema not known here.
    """
    try:
        data = store.get(REGISTRY_SETTINGS).data
    except ObjectNotFoundError:
        return Requirements()
    try:
        requirements = msgspec.json.decode(data, type=Requirements)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{REGISTRY_SETTINGS!r} does not hold the registry's settings: {error}") from error
    if requirements.schema != SCHEMA:
        raise IntegrityError(
            f"the registry's settings have schema {requirements.schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet",
            schema=requirements.schema,
        )
    return requirements
