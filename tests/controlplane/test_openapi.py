"""The OpenAPI document: valid, complete, and true to what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from models import tiny
from onnxlet.controlplane.app import create_app
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.dataplane.protocols import owns_path
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store

DATA_PLANE = {
    "/v1/models/{model}:predict": "post",
    "/v1/models/{model}:explain": "post",
    "/v1/models/{model}/versions/{version}:predict": "post",
    "/v1/models/{model}/versions/{version}:explain": "post",
    "/v1/models/{model}/labels/{label}:predict": "post",
    "/v1/models/{model}/labels/{label}:explain": "post",
    "/v1/models/{model}": "get",
    "/v1/models/{model}/versions/{version}": "get",
    "/v1/models/{model}/labels/{label}": "get",
    "/v1/models/{model}/metadata": "get",
    "/v1/models/{model}/versions/{version}/metadata": "get",
    "/v1/models/{model}/labels/{label}/metadata": "get",
    "/v2": "get",
    "/v2/health/live": "get",
    "/v2/health/ready": "get",
    "/v2/models/{model}": "get",
    "/v2/models/{model}/ready": "get",
    "/v2/models/{model}/infer": "post",
    "/v2/models/{model}/explain": "post",
    "/v2/models/{model}/versions/{version}": "get",
    "/v2/models/{model}/versions/{version}/ready": "get",
    "/v2/models/{model}/versions/{version}/infer": "post",
    "/v2/models/{model}/versions/{version}/explain": "post",
}


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    """A client of the control plane."""
    with TestClient(create_app(Settings(), Registry(store))) as client:
        yield client


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    """The document as it is served."""
    served: dict[str, Any] = client.get("/openapi.json").json()
    return served


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_has_a_name_of_its_own_and_a_description_of_failure(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all("default" in operation["responses"] for operation in operations)
    assert not any("422" in operation["responses"] for operation in operations)


def test_the_data_plane_is_described(document: dict[str, Any]) -> None:
    described = {path: next(iter(methods)) for path, methods in document["paths"].items() if owns_path(path)}
    assert described == DATA_PLANE


def test_the_documentation_page_is_served(client: TestClient) -> None:
    assert "/openapi.json" in client.get("/docs").text


def check(document: dict[str, Any], schema: str, answer: Any) -> None:  # noqa: ANN401 - any JSON
    """Raises if the answer does not fit the schema of that name."""
    OAS31Validator({"$ref": f"#/components/schemas/{schema}", "components": document["components"]}).validate(answer)


def test_what_the_control_plane_answers_fits_its_description(
    client: TestClient, document: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path))
    for path, schema in {
        "/registry/models": "ModelList",
        "/registry/models/tiny": "ModelOverview",
        "/registry/models/tiny/versions": "VersionList",
        "/registry/models/tiny/versions/1": "Manifest",
        "/registry/models/tiny/aliases": "AliasList",
        "/registry/models/tiny/aliases/production": "Alias",
        "/registry/models/tiny/history?verify=1": "History",
        "/registry/models/none": "Problem",
        "/problems": "ProblemKinds",
        "/problems/conflict": "ProblemKind",
    }.items():
        check(document, schema, client.get(path).json())


def test_what_the_data_plane_answers_fits_its_description(
    document: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    import json

    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path))
    dataplane = DataPlane(Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))))
    rows, columns = {"instances": [[1, 2, 3]]}, {"inputs": [[1, 2, 3]]}
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    infer = {"id": "42", "inputs": [tensor], "outputs": [{"name": "label"}]}
    for path, body, schema in [
        ("/v1/models/tiny:predict", rows, "PredictResponse"),
        ("/v1/models/tiny:predict", columns, "PredictResponse"),
        ("/v1/models/tiny:predict", {}, "PredictionError"),
        ("/v1/models/tiny", None, "ModelStatus"),
        ("/v1/models/tiny/versions/1/metadata", None, "ModelMetadata"),
        ("/v1/models/none", None, "PredictionError"),
        ("/v2/health/live", None, "Live"),
        ("/v2/health/ready", None, "Ready"),
        ("/v2", None, "ServerMetadata"),
        ("/v2/models/tiny", None, "TensorMetadata"),
        ("/v2/models/tiny/versions/1/ready", None, "ModelReady"),
        ("/v2/models/tiny/infer", infer, "InferResponse"),
        ("/v2/models/tiny/infer", {"inputs": [tensor]}, "InferResponse"),
        ("/v2/models/tiny/infer", {}, "PredictionError"),
    ]:
        method = "GET" if body is None else "POST"
        answer = dataplane.answer(Request(method, path, body=b"" if body is None else json.dumps(body).encode()))
        check(document, schema, json.loads(answer.text() or ""))
    check(document, "PredictRequest", rows)
    check(document, "PredictRequest", columns)
    check(document, "InferRequest", infer)
