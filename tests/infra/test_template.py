"""What CloudFormation is told, once SAM has translated the template and its conditions are decided."""

from __future__ import annotations

import json
import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from onnxlet.monitor.alarms.events import SOURCE
from onnxlet.settings import Settings, variable
from policies import listed
from templates import (
    FUNCTIONS,
    REPOSITORY,
    grants,
    listing,
    nested,
    of_type,
    operations,
    refusals,
    resources,
    stack,
    statements,
)

READABLE = {("s3:GetObject", f"{prefix}/*") for prefix in ("models", "aliases", "history")}

SECTIONS = (
    READABLE
    | {("s3:GetObject", "batch/*"), ("s3:PutObject", "batch/jobs/*")}
    | {
        (f"s3:{action}", f"batch/{folder}/*")
        for folder in ("claims", "out", "work")
        for action in ("PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
    }
)


def test_the_template_stays_readable_on_its_own() -> None:
    assert len((REPOSITORY / "template.yaml").read_text().splitlines()) <= 650


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("Predict", READABLE | {("s3:GetObject", "sketches/baselines/*"), ("s3:PutObject", "sketches/live/*")}),
        (
            "Api",
            READABLE
            | {("s3:GetObject", "settings/*")}
            | {("s3:PutObject", key) for key in ("aliases/*", "history/*", "models/*/deleted.json")}
            | {("s3:DeleteObject", "models/*"), ("s3:DeleteObject", "batch/in/*"), ("s3:GetObject", "batch/*")}
            | {("s3:PutObject", "batch/in/*"), ("s3:PutObject", "batch/jobs/*")},
        ),
        (
            "Score",
            READABLE
            | {("s3:GetObject", "batch/*"), ("s3:PutObject", "batch/claims/*"), ("s3:PutObject", "batch/work/*")}
            | {("s3:PutObject", "batch/out/*"), ("s3:DeleteObject", "batch/out/*")}
            | {("s3:GetObject", "sketches/baselines/*"), ("s3:PutObject", "sketches/live/*")}
            | {("s3:DeleteObject", "batch/claims/*"), ("s3:PutObject", "batch/jobs/*")}
            | {("s3:AbortMultipartUpload", f"batch/{folder}/*") for folder in ("claims", "out", "work")},
        ),
        (
            "Watch",
            (READABLE - {("s3:GetObject", "history/*")})
            | {("s3:GetObject", f"{kind}/*") for kind in ("sketches", "capture", "labels")}
            | {("s3:DeleteObject", key) for key in ("sketches/live/*", "capture/*", "labels/*")}
            | {("s3:PutObject", f"sketches/{kind}/*") for kind in ("live", "reports", "alarms")},
        ),
        ("Plan", SECTIONS),
        ("Finish", SECTIONS),
    ],
)
def test_a_function_touches_exactly_its_prefixes(function: str, expected: set[tuple[str, str]]) -> None:
    assert grants(stack(), function) == expected


@pytest.mark.parametrize(
    ("function", "prefixes"),
    [
        ("Predict", ["models/*", "aliases/*", "history/*"]),
        ("Api", ["models/*", "aliases/*", "history/*", "batch/*"]),
        ("Watch", ["models/*", "aliases/*", "sketches/*", "capture/*", "labels/*"]),
        *((function, ["models/*", "aliases/*", "history/*", "batch/*"]) for function in ("Score", "Plan", "Finish")),
    ],
)
def test_a_function_lists_its_prefixes_and_learns_that_a_key_is_missing(function: str, prefixes: list[str]) -> None:
    statement = listing(stack(), function)
    assert statement["Resource"] == {"Fn::GetAtt": ["Storage", "Outputs.BucketArn"]}
    assert statement["Condition"] == {"StringLikeIfExists": {"s3:prefix": prefixes}}


@pytest.mark.parametrize(
    ("function", "actions"),
    [
        ("Predict", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("Api", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("Score", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("Watch", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("Plan", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("Finish", {"kms:Decrypt", "kms:GenerateDataKey"}),
    ],
)
def test_a_function_may_use_the_key_only_where_there_is_one(function: str, actions: set[str]) -> None:
    key = "arn:aws:kms:eu-central-1:111122223333:key/example"
    keyed = [it for it in statements(stack(EncryptionKeyArn=key), function) if it["Resource"] == key]
    assert {action for statement in keyed for action in listed(statement["Action"])} == actions
    assert not [it for it in statements(stack(), function) if "kms" in str(it["Action"])]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_only_the_managed_policies_that_logs_and_a_vpc_need(function: str) -> None:
    def managed(**chosen: object) -> set[str]:
        arns = stack(**chosen)[f"{function}Role"]["Properties"]["ManagedPolicyArns"]
        return {arn["Fn::Sub"].partition(":policy/")[2] for arn in arns}

    logs, network = "service-role/AWSLambdaBasicExecutionRole", "service-role/AWSLambdaVPCAccessExecutionRole"
    assert managed() == {logs}
    assert managed(VpcSubnetIds=["subnet-1"], VpcSecurityGroupIds=["sg-1"]) == {logs, network}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_logs_json_to_its_own_group_for_a_limited_time(function: str) -> None:
    built = stack(LogDays=90)
    logging = built[function]["Properties"]["LoggingConfig"]
    assert logging == {"LogFormat": "JSON", "LogGroup": {"Ref": f"{function}Logs"}}
    assert built[f"{function}Logs"]["Properties"]["RetentionInDays"] == 90


def test_every_log_group_forgets() -> None:
    groups = of_type(stack(), "AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + 1
    assert all(group["RetentionInDays"] for group in groups.values())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_runs_on_python_3_13_without_telemetry(function: str) -> None:
    properties = stack()[function]["Properties"]
    assert properties["Runtime"] == "python3.13"
    assert properties["Handler"] == "app.handler"
    variables = properties["Environment"]["Variables"]
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["ONNXLET_STORE"] == {"Fn::Sub": "s3://${Storage.Outputs.BucketName}"}


def test_every_variable_of_the_functions_is_a_setting_or_telemetry() -> None:
    known = {variable(field) for field in Settings.__struct_fields__} | {"ORT_DISABLE_TELEMETRY"}
    used = {name for it in FUNCTIONS for name in stack()[it]["Properties"]["Environment"]["Variables"]}
    assert used <= known


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_room_for_one_more_layer(function: str) -> None:
    layers = stack()[function]["Properties"]["Layers"]
    assert 2 <= len(layers) <= 4


def test_predict_is_traced_only_if_a_layer_is_named() -> None:
    arn = "arn:aws:lambda:eu-central-1:111122223333:layer:tracing:1"
    for media, count in (("false", 3), ("true", 4)):
        traced = stack(OpenTelemetryLayer=arn, Media=media)
        properties = traced["Predict"]["Properties"]
        assert (len(properties["Layers"]), properties["Layers"][-1]) == (count, arn)
        assert properties["TracingConfig"] == {"Mode": "Active"}
        variables = properties["Environment"]["Variables"]
        assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/otel-instrument"
        assert variables["OTEL_PROPAGATORS"] == "tracecontext,xray"
        allowed = {action for each in statements(traced, "Predict") for action in listed(each["Action"])}
        assert "xray:PutTraceSegments" in allowed
    untraced = stack()
    assert not {"AWS_LAMBDA_EXEC_WRAPPER", "OTEL_PROPAGATORS"} & set(
        untraced["Predict"]["Properties"]["Environment"]["Variables"]
    )
    assert not [each for each in statements(untraced, "Predict") if "xray" in str(each["Action"])]
    assert "OpenTelemetryLayer" not in str(untraced["Api"])


def test_predict_gets_the_media_layer_only_if_told() -> None:
    layers = [list(stack(Media=media)["Predict"]["Properties"]["Layers"]) for media in ("false", "true")]
    assert [len(each) for each in layers] == [2, 3]
    assert len(of_type(stack(Media="true"), "AWS::Lambda::LayerVersion")) == 5
    assert len(of_type(stack(), "AWS::Lambda::LayerVersion")) == 4


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_architecture_is_a_parameter(architecture: str) -> None:
    built = stack(Architecture=architecture)
    assert all(built[function]["Properties"]["Architectures"] == [architecture] for function in FUNCTIONS)
    source = resources(yaml_parse((REPOSITORY / "template.yaml").read_text()), Architecture=architecture, Media="true")
    for layer in ("EngineLayer", "WebLayer", "TabularLayer", "MediaLayer"):
        assert source[layer]["Metadata"]["BuildArchitecture"] == architecture
        assert source[layer]["Metadata"]["WorkingDirectory"]["Fn::Sub"].endswith("/${Architecture}")


def test_memory_and_concurrency_are_parameters() -> None:
    built = stack(MemorySize=3538, ReservedConcurrency=7)
    assert built["Predict"]["Properties"]["MemorySize"] == 3538
    assert built["Predict"]["Properties"]["ReservedConcurrentExecutions"] == 7


def test_the_concurrency_of_api_is_a_parameter_of_its_own() -> None:
    built = stack(ApiReservedConcurrency=3)
    assert built["Api"]["Properties"]["ReservedConcurrentExecutions"] == 3
    assert "ReservedConcurrentExecutions" not in built["Predict"]["Properties"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_runs_in_a_vpc_only_if_told_which(function: str) -> None:
    assert "VpcConfig" not in stack()[function]["Properties"]
    chosen = {"VpcSubnetIds": ["subnet-1", "subnet-2"], "VpcSecurityGroupIds": ["sg-1"]}
    expected = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert stack(**chosen)[function]["Properties"]["VpcConfig"] == expected


def test_subnets_without_a_security_group_are_refused() -> None:
    assert refusals() == []
    assert refusals(VpcSubnetIds=["subnet-1"], VpcSecurityGroupIds=["sg-1"]) == []
    assert refusals(VpcSubnetIds=["subnet-1"]) == ["VpcSubnetIds needs VpcSecurityGroupIds"]


def test_concurrency_is_not_reserved_unless_asked() -> None:
    assert not any("ReservedConcurrentExecutions" in stack()[function]["Properties"] for function in FUNCTIONS)


@pytest.mark.parametrize("function", ["Predict", "Api"])
def test_a_function_behind_the_api_gives_up_before_the_api_does(function: str) -> None:
    assert stack()[function]["Properties"]["Timeout"] <= 29


def test_a_prediction_gives_up_before_its_function_is_killed() -> None:
    predict = stack()["Predict"]["Properties"]
    variables = predict["Environment"]["Variables"]
    settings = Settings.from_environ({name: text for name, text in variables.items() if isinstance(text, str)})
    assert settings.load_deadline < predict["Timeout"]
    assert settings.run_deadline < predict["Timeout"]


def test_nothing_is_open_by_default() -> None:
    assert {str(operation["security"]) for _, operation in operations(stack())} == {"[{'AWS_IAM': []}]"}


@pytest.mark.parametrize(
    ("mode", "schemes"),
    [("iam", {"AWS_IAM"}), ("jwt", {"jwt"}), ("none", {"AWS_IAM", "nobody asks"})],
    ids=["iam", "jwt", "none"],
)
def test_only_the_mode_none_is_open(mode: str, schemes: set[str]) -> None:
    built = stack(AuthMode=mode, JwtIssuer="https://issuer.example", JwtAudience=["onnxlet"])
    asked = [operation["security"] or [{"nobody asks": []}] for _, operation in operations(built)]
    assert {scheme for (requirement,) in asked for scheme in requirement} == schemes
    known = built["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert known.keys() == schemes - {"nobody asks"}


def test_iam_is_checked_by_signature_and_jwt_by_issuer_and_audience() -> None:
    iam = stack()["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]["AWS_IAM"]
    assert iam["x-amazon-apigateway-authtype"] == "awsSigv4"
    built = stack(AuthMode="jwt", JwtIssuer="https://issuer.example", JwtAudience=["onnxlet"])
    jwt = built["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]["jwt"]
    authorizer = jwt["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "jwt"
    assert authorizer["jwtConfiguration"] == {"issuer": "https://issuer.example", "audience": ["onnxlet"]}


def test_no_function_has_an_address_beside_the_api() -> None:
    assert not of_type(stack(AuthMode="none"), "AWS::Lambda::Url")
    principals = [it["Principal"] for it in of_type(stack(), "AWS::Lambda::Permission").values()]
    assert principals == ["apigateway.amazonaws.com"] * 2


def test_every_path_has_one_owner() -> None:
    api = stack()["Api"]["Properties"]["FunctionName"]["Fn::Sub"]
    owners: dict[str, list[str]] = {}
    for path, operation in operations(stack()):
        uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].replace(f":function:{api}/", "${Api.Arn}")
        owner = re.findall(r"\$\{(\w+)\.Arn\}", uri)
        assert owners.setdefault(path, owner) == owner
    assert owners == {
        "/v1/{proxy+}": ["Predict"],
        "/v2": ["Predict"],
        "/v2/{proxy+}": ["Predict"],
        "/registry/{proxy+}": ["Api"],
        "/batch/{proxy+}": ["Api"],
        "/docs": ["Api"],
        "/docs/{proxy+}": ["Api"],
        "/openapi.json": ["Api"],
        "/problems/{proxy+}": ["Api"],
    }


def test_the_api_is_throttled_and_logged() -> None:
    ((_, stage),) = of_type(stack(ThrottlingRate=3, ThrottlingBurst=4), "AWS::ApiGatewayV2::Stage").items()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 3
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 4
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    assert "status" in json.loads(stage["AccessLogSettings"]["Format"])


def test_alarms_watch_every_function_the_api_the_state_machine_and_the_dead_letters() -> None:
    alarms = nested("alarms.yaml", TopicArn="arn:aws:sns:::topic")
    del alarms["Dashboard"]
    # what fails in Plan and Finish fails the state machine, in the end
    watched = [function for function in FUNCTIONS if function not in {"Plan", "Finish"}]
    expected = {f"{function}{what}" for function in watched for what in ("Errors", "Throttles", "Duration")}
    others = {"ApiServerErrors", "FilesWaitTooLong", "DeadLettersWaiting", "LargeFilesNotScored"}
    assert alarms.keys() == expected | others
    assert all(alarm["Properties"]["AlarmActions"] == ["arn:aws:sns:::topic"] for alarm in alarms.values())
    assert not any("AlarmActions" in alarm["Properties"] for alarm in nested("alarms.yaml").values())


def test_the_dashboard_shows_every_alarm_and_refers_to_what_there_is() -> None:
    built = nested("alarms.yaml")
    text = built.pop("Dashboard")["Properties"]["DashboardBody"]["Fn::Sub"]
    assert set(json.loads(text)["widgets"][0]["properties"]["alarms"]) == {f"${{{name}.Arn}}" for name in built}
    parameters = yaml_parse((REPOSITORY / "infra" / "alarms.yaml").read_text())["Parameters"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= parameters.keys()


def test_a_function_is_slow_from_four_fifths_of_its_timeout() -> None:
    built = stack()
    given = built["Alarms"]["Properties"]["Parameters"]
    for parameter, function in (
        ("SlowHttp", "Predict"),
        ("SlowHttp", "Api"),
        ("SlowScore", "Score"),
        ("SlowWatch", "Watch"),
    ):
        assert given[parameter] == 800 * built[function]["Properties"]["Timeout"]


def test_what_only_sam_local_reads_is_never_made() -> None:
    for made in (stack(), stack(Media="true")):
        assert not [each for each in made.values() if each["Type"].startswith("AWS::ApiGateway::")]


def test_predict_captures_and_reads_the_key_only_where_parameters_say_so() -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:capture-AbCdEf"
    assert ("s3:PutObject", "capture/*") not in grants(stack(CaptureSecretArn=arn), "Predict")
    captures = stack(Capture="true", CaptureSecretArn=arn)
    assert ("s3:PutObject", "capture/*") in grants(captures, "Predict")
    statements = captures["PredictRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert [each["Resource"] for each in statements if each["Action"] == "secretsmanager:GetSecretValue"] == [arn]
    variables = captures["Predict"]["Properties"]["Environment"]["Variables"]
    assert (variables["ONNXLET_CAPTURE"], variables["ONNXLET_CAPTURE_KEY"]) == ("true", arn)
    assert stack()["Predict"]["Properties"]["Environment"]["Variables"]["ONNXLET_CAPTURE"] == "false"


def test_watch_looks_every_hour_unless_nothing_is_counted() -> None:
    (schedule,) = of_type(stack(), "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 hour)"
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["Watch", "Arn"]}
    assert schedule["State"] == "ENABLED"
    (off,) = of_type(stack(Monitoring="false"), "AWS::Scheduler::Schedule").values()
    assert off["State"] == "DISABLED"


def test_watch_may_put_events_in_its_own_name_alone() -> None:
    (statement,) = (each for each in statements(stack(), "Watch") if each["Action"] == "events:PutEvents")
    assert statement["Condition"] == {"StringEquals": {"events:source": SOURCE}}
    assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/default")
