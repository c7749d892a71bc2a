"""Problem documents: every kind of error has a status, an explanation, and says nothing that it should not."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from onnxlet import errors
from onnxlet.controlplane.problem import describe, kinds, respond, status_of
from onnxlet.errors import DigestMismatchError, ModelNotFoundError, OnnxletError, StoreUnavailableError


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidNameError, 400),
        (errors.UnknownLabelError, 400),
        (errors.PreconditionRequiredError, 428),
        (errors.RequestTooLargeError, 413),
        (errors.ResponseTooLargeError, 413),
        (errors.AliasNotFoundError, 404),
        (errors.MethodNotAllowedError, 405),
        (errors.NothingToRollBackError, 409),
        (errors.VersionInUseError, 409),
        (errors.ContractFailedError, 409),
        (errors.PreconditionFailedError, 412),
        (errors.RejectedModelError, 422),
        (errors.ExecutionError, 400),
        (errors.HistoryBrokenError, 500),
        (errors.StoreUnavailableError, 503),
        (errors.DeadlineExceededError, 504),
        (OnnxletError, 500),
    ],
)
def test_a_kind_has_its_own_status_or_that_of_its_nearest_ancestor(kind: type[OnnxletError], status: int) -> None:
    assert status_of(kind) == status


def test_every_kind_of_error_is_found_by_its_slug_and_explained() -> None:
    defined = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, OnnxletError) and member is not OnnxletError
    }
    assert set(kinds().values()) == defined
    assert all(slug == kind.slug() and kind.__doc__ for slug, kind in kinds().items())


def test_a_problem_names_kind_case_and_place_and_repeats_the_detail_as_error() -> None:
    problem = describe(ModelNotFoundError("no model named 'x'", model="x"), "/registry/models/x")
    assert problem == {
        "type": "/problems/model-not-found",
        "title": "Model not found",
        "status": 404,
        "detail": "no model named 'x'",
        "instance": "/registry/models/x",
        "model": "x",
        "error": "no model named 'x'",
    }


def test_context_that_is_no_plain_json_or_would_hide_a_member_stays_away() -> None:
    context = {"status": 200, "path": Path("/secret"), "share": float("nan"), "names": ("a", "b"), "nested": {"n": [1]}}
    problem = describe(ModelNotFoundError("no", **context), "/")
    assert problem["status"] == 404
    assert "path" not in problem
    assert "share" not in problem
    assert problem["names"] == ("a", "b")
    assert problem["nested"] == {"n": [1]}


def test_the_context_of_our_own_faults_stays_in_the_log() -> None:
    assert "digest" not in describe(DigestMismatchError("bytes differ", digest="sha256:0"), "/")


def test_any_text_and_any_number_can_be_said() -> None:
    response = respond(ModelNotFoundError("no '\ud800'", number=2**80), "/\udcff")
    assert response.headers["content-type"] == "application/problem+json"
    assert str(2**80).encode() in bytes(response.body)


def test_clients_are_told_when_to_try_again() -> None:
    assert respond(StoreUnavailableError("the store does not answer"), "/").headers["retry-after"] == "5"
    assert "retry-after" not in respond(ModelNotFoundError("no"), "/").headers
