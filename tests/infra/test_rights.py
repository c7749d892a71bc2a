"""Predicting, reading and governing are three rights, whichever way callers prove who they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from policies import allows, listed
from templates import FUNCTIONS, REPOSITORY, Document, of_type, refusals, stack

TOKENS = {"AuthMode": "jwt", "JwtIssuer": "https://issuer.example", "JwtAudience": ["onnxlet"]}
PREDICT, READ, GOVERN = "predict", "read", "govern"
RIGHTS = (PREDICT, READ, GOVERN)
ANY = "x-amazon-apigateway-any-method"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

REQUESTS = [
    ("POST", "/v1/models/diagnosis:predict", PREDICT),
    ("GET", "/v1/models/diagnosis", PREDICT),
    ("GET", "/v2", PREDICT),
    ("GET", "/v2/health/ready", PREDICT),
    ("POST", "/v2/models/diagnosis/infer", PREDICT),
    ("POST", "/v1/models/registry/versions/1:predict", PREDICT),
    ("GET", "/registry/models", READ),
    ("HEAD", "/registry/models/diagnosis", READ),
    ("GET", "/registry/models/diagnosis/history", READ),
    ("GET", "/registry/models/v1/versions/1", READ),
    ("GET", "/batch/jobs", READ),
    ("HEAD", "/batch/jobs/20261129T190000-0123abcd", READ),
    ("POST", "/batch/jobs", GOVERN),
    ("POST", "/batch/jobs/20261129T190000-0123abcd:cancel", GOVERN),
    ("GET", "/docs", READ),
    ("GET", "/docs/swagger-ui.css", READ),
    ("GET", "/openapi.json", READ),
    ("GET", "/problems/model-not-found", READ),
    ("PUT", "/registry/models/diagnosis/aliases/production", GOVERN),
    ("POST", "/registry/models/diagnosis:rollback", GOVERN),
    ("DELETE", "/registry/models/diagnosis/versions/1", GOVERN),
    ("DELETE", "/registry/models/v1/versions/1", GOVERN),
    ("POST", "/registry/models/v2:rollback", GOVERN),
    ("PUT", "/registry/models/docs/aliases/production", GOVERN),
]
"""What a right is good for; some models are named as if they were routes."""


def _operation(built: Document, method: str, path: str) -> Document:
    """What API Gateway chooses for a request: the route that fits, by method before ANY."""
    paths = built["HttpApi"]["Properties"]["Body"]["paths"]
    (methods,) = (methods for route, methods in paths.items() if fnmatchcase(path, route.replace("{proxy+}", "?*")))
    operation: Document = methods.get(method.lower()) or methods[ANY]
    return operation


def _rights(built: Document) -> dict[str, str]:
    """The right that each request of REQUESTS needs, by the scopes that its route asks of a token."""
    scopes = {"onnxlet/predict": PREDICT, "onnxlet/read": READ, "onnxlet/govern": GOVERN}
    needed = {}
    for method, path, _ in REQUESTS:
        ((scheme, (scope,)),) = _operation(built, method, path)["security"][0].items()
        assert scheme == "jwt"
        needed[f"{method} {path}"] = scopes[scope]
    return needed


def test_every_route_asks_a_token_for_the_scope_of_its_right() -> None:
    assert _rights(stack(**TOKENS)) == {f"{method} {path}": right for method, path, right in REQUESTS}


@pytest.mark.parametrize("method", METHODS)
def test_the_registry_is_read_by_get_and_head_and_every_other_method_governs(method: str) -> None:
    scopes = _operation(stack(**TOKENS), method, "/registry/models/diagnosis")["security"][0]["jwt"]
    assert scopes == (["onnxlet/read"] if method in ("GET", "HEAD") else ["onnxlet/govern"])


def test_scopes_are_parameters() -> None:
    built = stack(
        **TOKENS, JwtPredictScopes=["score"], JwtReadScopes=["audit", "admin"], JwtGovernScopes=["admin", "release"]
    )
    chosen = {right: _operation(built, method, path)["security"][0]["jwt"] for method, path, right in REQUESTS}
    assert chosen == {PREDICT: ["score"], READ: ["audit", "admin"], GOVERN: ["admin", "release"]}


@pytest.mark.parametrize("right", ["Predict", "Read", "Govern"])
def test_a_right_without_a_scope_is_refused_because_every_token_would_have_it(right: str) -> None:
    assert refusals(**TOKENS) == []
    (refusal,) = refusals(**TOKENS | {f"Jwt{right}Scopes": [""]})
    assert f"needs Jwt{right}Scopes" in refusal


def test_none_opens_predictions_and_leaves_the_registry_with_iam() -> None:
    built = stack(AuthMode="none")
    for method, path, right in REQUESTS:
        security = _operation(built, method, path)["security"]
        assert security == ([] if right == PREDICT else [{"AWS_IAM": []}]), path
    assert "AWS_IAM" in built["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]


def _examples() -> dict[str, list[Document]]:
    """The statements of deploy.md's policies, by right."""
    text = (REPOSITORY / "docs" / "deploy.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    policies = [json.loads(block) for block in blocks]
    return dict(zip(RIGHTS, (it["Statement"] for it in policies if isinstance(it, dict)), strict=True))


@pytest.mark.parametrize("right", RIGHTS)
def test_the_documents_policy_for_a_right_gives_it_and_no_other(right: str) -> None:
    statements = _examples()[right]
    for request, needed in _rights(stack(**TOKENS)).items():
        method, path = request.split(" ")
        arn = f"arn:aws:execute-api:REGION:ACCOUNT:API/$default/{method}{path}"
        assert allows(statements, "execute-api:Invoke", arn) == (needed == right), request


@pytest.mark.parametrize("right", RIGHTS)
def test_the_documents_policies_name_methods_that_the_routes_have(right: str) -> None:
    built = stack(**TOKENS)
    for pattern in (arn for statement in _examples()[right] for arn in listed(statement["Resource"])):
        method, path = re.fullmatch(r".*/\$default/([A-Z]+)(/.*)", pattern).groups()  # type: ignore[union-attr] # or it fails
        scopes = _operation(built, method, path.replace("*", "models/m"))["security"][0]["jwt"]
        assert scopes == [f"onnxlet/{right}"], pattern


def test_api_is_told_which_api_is_its_own_and_that_api_finds_it_by_name() -> None:
    built = stack()
    assert built["Api"]["Properties"]["Environment"]["Variables"]["ONNXLET_API_ID"] == {"Ref": "HttpApi"}
    name = built["Api"]["Properties"]["FunctionName"]["Fn::Sub"]
    uri = _operation(built, "GET", "/docs")["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    assert uri.endswith(f":function:{name}/invocations")


def _invoking(built: Document) -> Iterator[str]:
    """Every right to invoke a function that the stack gives to anybody."""
    for permission in of_type(built, "AWS::Lambda::Permission").values():
        yield json.dumps([permission["Principal"], permission["SourceArn"]])
    for role in of_type(built, "AWS::IAM::Role").values():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if any(action.startswith(("lambda:", "*")) for action in listed(statement["Action"])):
                    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
                    yield json.dumps([trust["Principal"]["Service"], statement["Resource"]])


def test_nobody_but_the_api_and_the_schedule_of_watch_may_invoke_a_function() -> None:
    arn = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
    for mode in ({}, TOKENS, {"AuthMode": "none"}):
        assert set(_invoking(stack(**mode))) == {
            json.dumps(["apigateway.amazonaws.com", {"Fn::Sub": arn}]),
            json.dumps([["scheduler.amazonaws.com"], {"Fn::GetAtt": ["Watch", "Arn"]}]),
        }
    assert not re.search(r"lambda:(\*|Invoke)", json.dumps(list(_examples().values())))


def test_the_registry_has_a_throttle_of_its_own_on_each_of_its_routes() -> None:
    built = stack(RegistryThrottlingRate=3, RegistryThrottlingBurst=4)
    ((_, stage),) = of_type(built, "AWS::ApiGatewayV2::Stage").items()
    methods = built["HttpApi"]["Properties"]["Body"]["paths"]["/registry/{proxy+}"]
    keys = {f"{'ANY' if method == ANY else method.upper()} /registry/{{proxy+}}" for method in methods}
    assert stage["RouteSettings"].keys() == keys
    for route in stage["RouteSettings"].values():
        assert (route["ThrottlingRateLimit"], route["ThrottlingBurstLimit"]) == (3, 4)
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 100


def test_every_function_has_its_own_role_that_lambda_alone_takes_on() -> None:
    built = stack()
    for function in FUNCTIONS:
        assert built[function]["Properties"]["Role"] == {"Fn::GetAtt": [f"{function}Role", "Arn"]}
        (statement,) = built[f"{function}Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
