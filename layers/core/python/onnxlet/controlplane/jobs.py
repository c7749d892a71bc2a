"""Batch jobs over HTTP: asked for, listed, followed, cancelled, repeated; results by URLs that S3 signed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from onnxlet.controlplane.openapi import responses
from onnxlet.controlplane.running import Run, SmallBodyRoute
from onnxlet.controlplane.schemas import JobList, JobMade, JobResults, answer
from onnxlet.errors import InvalidInputError
from onnxlet.explain.request import read_request, write_request
from onnxlet.jobs import jobs
from onnxlet.jobs.jobs import Job, Status
from onnxlet.jobs.orders import Order
from onnxlet.jobs.state_machine import StateMachine
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings

JobId = Annotated[str, Path(description="The job's id.")]


class NewJob(BaseModel):
    """A file to be scored: `file` is its name, which is then uploaded to the URL of the answer; or `source` where it
    lies already.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"example": {"ref": "diagnosis", "file": "patients.csv"}}
    )

    ref: Annotated[str, Field(description="The version that scores it: NAME, NAME:VERSION or NAME@ALIAS.")]
    file: Annotated[str, Field(max_length=200, pattern=r"^[^/]*$", description="The name of a file to upload.")] = ""
    source: Annotated[str, Field(description="s3://bucket/path of a file that BatchArns grants.")] = ""
    output: Annotated[str, Field(description="s3://bucket/path of what is written, granted as well.")] = ""
    keep: Annotated[list[str] | None, Field(description="Columns to write again; all, if not given.")] = None
    max_bad: Annotated[float, Field(ge=0, le=1, description="The share of rows that may be bad.")] = 1.0
    explain: Annotated[
        bool | dict[str, Any], Field(description="Explain each row: true, or what `explain` of a prediction takes.")
    ] = False


routes = APIRouter(prefix="/batch/jobs", tags=["batch"], route_class=SmallBodyRoute)


@routes.post("", summary="Ask for a scoring", status_code=201, responses=responses(JobMade, status=201))
async def create_job(run: Run, request: Request, new: NewJob) -> Response:
    """A job of a file: one to upload by a PUT to `upload`, or one that lies in S3 already."""
    settings: Settings = request.app.state.settings

    def create(registry: Registry) -> JobMade:
        order = _order(new)
        granted = [
            "s3://" + arn.strip().rpartition(":::")[2].removesuffix("*")
            for arn in settings.batch_arns.split(",")
            if arn
        ]
        job = jobs.create(registry.store, order, by=registry.writer.who, machine=_machine(settings), granted=granted)
        upload = "" if order.input else jobs.presign(registry.store.url, job.order.key, "put_object")
        return JobMade(job.id, upload, jobs.status(registry.store, job))

    return answer(await run(create), status=201)


@routes.get("", summary="The newest jobs", responses=responses(JobList))
async def list_jobs(run: Run) -> Response:
    """How the newest jobs stand, a hundred at most."""
    return answer(JobList(await run(lambda registry: jobs.listed(registry.store))))


@routes.get("/{job}", summary="A job", responses=responses(Status))
async def show_job(run: Run, request: Request, job: JobId) -> Response:
    """How a job stands: of a large file how many sections are done, and how fast."""
    machine = _machine(request.app.state.settings)
    return answer(await run(lambda registry: jobs.status(registry.store, _read(registry, job), machine)))


@routes.get("/{job}/results", summary="A job's files", responses=responses(JobResults))
async def show_results(run: Run, job: JobId) -> Response:
    """URLs of a job's output, errors and book, for an hour."""

    def sign(registry: Registry) -> JobResults:
        files = jobs.outputs(registry.store, _read(registry, job))
        return JobResults(job, {key: jobs.presign(url, key, "get_object") for url, key in files})

    return answer(await run(sign))


@routes.post("/{job}:cancel", summary="Cancel a job", responses=responses(Status))
async def cancel_job(run: Run, request: Request, job: JobId) -> Response:
    """End a job. What one process has begun it finishes."""
    machine = _machine(request.app.state.settings)

    def cancel(registry: Registry) -> Status:
        return jobs.cancel(registry.store, _read(registry, job), machine, registry.writer.who)

    return answer(await run(cancel))


@routes.post("/{job}:retry", summary="Score bad rows again", status_code=201, responses=responses(JobMade, status=201))
async def retry_job(run: Run, job: JobId) -> Response:
    """Another job, of the rows of this one that were bad."""

    def retry(registry: Registry) -> JobMade:
        again = jobs.retry(registry.store, _read(registry, job), registry.writer.who)
        return JobMade(again.id, "", jobs.status(registry.store, again))

    return answer(await run(retry), status=201)


def _order(new: NewJob) -> Order:
    """What is asked for. Raises InvalidInputError."""
    keep = None if new.keep is None else tuple(new.keep)
    explain = None if new.explain is False else write_request(read_request(new.explain))
    if bool(new.file) == bool(new.source):
        raise InvalidInputError("name either the `file` to upload or its `source` in S3")
    if new.file:
        if new.output:
            raise InvalidInputError("`output` is for a `source`: what is made of an upload lies in the store")
        return Order(ref=new.ref, key=new.file, name="", keep=keep, max_bad=new.max_bad, explain=explain)
    url, key = jobs.split_location(new.source)
    output, name = jobs.split_location(new.output) if new.output else ("", "")
    return Order(
        ref=new.ref,
        key=key,
        name=name,
        input=url,
        output=output,
        keep=keep,
        max_bad=new.max_bad,
        explain=explain,
    )


def _read(registry: Registry, identifier: str) -> Job:
    return jobs.read(registry.store, identifier)


def _machine(settings: Settings) -> StateMachine | None:
    return StateMachine(settings.state_machine) if settings.state_machine else None
