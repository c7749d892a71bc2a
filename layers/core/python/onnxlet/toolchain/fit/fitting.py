"""One report: measure a version, compute what follows for Lambda, and say what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxlet.errors import TooLargeError
from onnxlet.registry.reading.lookup import manifest
from onnxlet.settings import MIB
from onnxlet.store import Store
from onnxlet.toolchain.fit import costing, sizing
from onnxlet.toolchain.fit.limits import API_SECONDS, MACHINES, MOST_MEMORY, MOST_TMP, Architecture, vcpus
from onnxlet.toolchain.fit.measuring import ROUNDS, measure
from onnxlet.toolchain.fit.package import Weight, built_bytes, recorded_weights
from onnxlet.toolchain.fit.prices import Prices
from onnxlet.toolchain.fit.report import Arithmetic, Measured, Packaging, Report, Size
from onnxlet.toolchain.workbench.progress import Progress, silent


def fit(
    store: Store,
    model: str,
    version: int,
    *,
    prices: Prices,
    architecture: Architecture = "x86_64",
    memory: Sequence[int] = (),
    clone: Path | None = None,
    rounds: int = ROUNDS,
    on_progress: Progress = silent,
) -> Report:
    """Whether a published version runs on Lambda, how fast, and what it costs.

    `memory`: sizes in MB to estimate for instead of the usual ones. `clone`: where `make build` may have left layers.
    Raises ModelNotFoundError, VersionNotFoundError, StoreUnavailableError; TooLargeError for a version that no function
    could even hold; IntegrityError, RejectedModelError, DeadlineExceededError if it does not load here.
    """
    document, digest = manifest(store, model, version)
    if document.size > min(MOST_TMP, MOST_MEMORY) * MIB:
        raise TooLargeError(
            f"'{model}:{version}' has {document.size / MIB:.0f} MB of artifacts, and a Lambda function has at most "
            f"{MOST_TMP} MB of storage and {MOST_MEMORY} MB of memory: make it smaller with `onnxlet optimize`"
        )
    built = built_bytes(clone, architecture) if clone else None
    measured = measure(store, document, digest, layers=built, rounds=rounds, on_progress=on_progress)
    computed = compute(measured, prices, architecture=architecture, memory=memory)
    return Report(
        model=model,
        version=version,
        fits=not (obstacles_met := obstacles(computed)),
        obstacles=obstacles_met,
        warnings=tuple(_warnings(measured, computed)),
        measured=measured,
        arithmetic=computed,
        assumptions=(*sizing.assumptions(), *costing.assumptions(), f"prices: {computed.prices.source}"),
    )


def compute(
    measured: Measured, prices: Prices, *, architecture: Architecture = "x86_64", memory: Sequence[int] = ()
) -> Arithmetic:
    """What follows from the measurements; the recommended memory size is always among those estimated for."""
    needed = sizing.needed_mb(measured.peak_bytes)
    recommended = sizing.recommended_mb(needed)
    package = _packaging(measured, architecture)
    tmp = min(MOST_TMP, sizing.tmp_mb(measured.artifact_bytes))
    ladder = {*(memory or sizing.LADDER), *([recommended] if recommended else [])}
    return Arithmetic(
        architecture=architecture,
        packaging=package,
        tmp_mb=tmp,
        needed_mb=needed,
        recommended_mb=recommended,
        sizes=tuple(
            _estimate_size(
                size, measured, prices, architecture, enough=size >= needed, tmp=tmp, image=package.kind == "image"
            )
            for size in sorted(ladder)
        ),
        prices=prices.tag,
    )


def obstacles(computed: Arithmetic) -> tuple[str, ...]:
    """What keeps the version from running on Lambda."""
    reasons = []
    package = computed.packaging
    if package.kind == "none":
        reasons.append(
            f"the function with its layers has {package.unzipped / MIB:.0f} MB, and an image at most 10,240 MB"
        )
    if computed.recommended_mb is None:
        reasons.append(f"it needs {computed.needed_mb} MB of memory, and a function has at most {MOST_MEMORY} MB")
    return tuple(reasons)


def _warnings(measured: Measured, computed: Arithmetic) -> list[str]:
    warnings = list(measured.remarks)
    if measured.machine.cpus < max(at.threads for at in measured.threads):
        warnings.append("this machine has one processor: what was measured at 2 threads says nothing of Lambda")
    if measured.machine.architecture not in {computed.architecture, MACHINES[computed.architecture]}:
        warnings.append(f"measured on {measured.machine.architecture}, estimated for {computed.architecture}")
    size = computed.recommended
    if size is not None and size.cold is not None and size.cold > API_SECONDS:
        warnings.append(
            f"a cold start takes {size.cold:.0f} s and the HTTP API waits {API_SECONDS:.0f}: provision concurrency"
        )
    if sizing.tmp_mb(measured.artifact_bytes) > MOST_TMP:
        warnings.append(f"{MOST_TMP} MB of storage do not hold two versions: a rollback fetches the old one again")
    return warnings


def _packaging(measured: Measured, architecture: Architecture) -> Packaging:
    recorded = recorded_weights()
    usual = recorded.weight(architecture)
    if measured.layers is None:
        return sizing.packaging(usual, f"recorded {recorded.recorded}")
    unzipped = sum(measured.layers.values())
    zipped = round(unzipped * usual.zipped / usual.unzipped)
    return sizing.packaging(Weight(unzipped, zipped), "unzipped as built here; zipped by the usual ratio")


def _estimate_size(
    memory: int,
    measured: Measured,
    prices: Prices,
    architecture: Architecture,
    *,
    enough: bool,
    tmp: int,
    image: bool,
) -> Size:
    processors, threads = round(vcpus(memory), 2), sizing.threads_of(memory)
    cold = sizing.cold_seconds(
        memory, measured.threads, artifact_bytes=measured.artifact_bytes, artifacts=measured.artifacts, image=image
    )
    if not enough or cold is None:
        return Size(memory, enough, processors, threads)

    def cost(warm: float | None, rows: int) -> float | None:
        if warm is None:
            return None
        return costing.per_million(
            memory,
            warm=warm,
            cold=cold,
            tmp=tmp,
            artifacts=measured.artifacts,
            prices=prices,
            architecture=architecture,
            rows=rows,
        )

    warm = sizing.warm_seconds(memory, measured.threads)
    batch = sizing.warm_seconds(memory, measured.threads, sizing.BATCH)
    return Size(memory, enough, processors, threads, warm, cold, cost(warm, 1), cost(batch, sizing.BATCH))
