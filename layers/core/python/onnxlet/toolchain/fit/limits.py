"""What AWS Lambda allows, and how it shares processors out.

From the pages "Lambda quotas" and "Configure Lambda function memory" of its developer guide. Lambda's MB are MiB.
"""

from __future__ import annotations

from typing import Literal

from onnxlet.settings import MB_PER_VCPU, MIB

Architecture = Literal["x86_64", "arm64"]
MACHINES: dict[Architecture, str] = {"x86_64": "x86_64", "arm64": "aarch64"}
"""What Linux calls the machine of a function, as `platform.machine` gives it."""

UNZIPPED = 250 * MIB
"""A function's code and its layers together, in bytes."""
UPLOAD = 50 * MIB
"""A zip file that is uploaded directly; through S3, as SAM does, it may be larger."""
IMAGE = 10240 * MIB
"""A container image."""
MOST_MEMORY = 10240
"""MB."""
LEAST_TMP, MOST_TMP = 512, 10240
"""MB of /tmp; the least is free of charge."""
SENSIBLE_MEMORY = (512, 1024, MB_PER_VCPU, 2560, 2 * MB_PER_VCPU, 3 * MB_PER_VCPU, 4 * MB_PER_VCPU, 8845, MOST_MEMORY)
"""MB to choose from: the template's least, then steps at which another whole processor is had."""
API_SECONDS = 30.0
"""Within so many seconds an HTTP API wants an answer."""


def vcpus(memory: int) -> float:
    """Processors that a function of `memory` MB has."""
    return memory / MB_PER_VCPU
