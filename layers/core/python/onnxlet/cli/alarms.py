"""The command that puts a model's alarms into CloudWatch."""

from __future__ import annotations

import click

from onnxlet.cli.options import json_option, model_argument
from onnxlet.cli.output import Output, show_json
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.monitor.cloudwatch.rules import SLOW_MILLISECONDS
from onnxlet.values.tables import Table


@click.command(short_help="Raise alarms about a model in CloudWatch.")
@model_argument
@click.option("--function", "predict", multiple=True, help="A function that answers for it. Default: those that did.")
@click.option("--watch-function", "watch", multiple=True, help="A function that watches it. Default: those that did.")
@click.option("--topic", "topics", multiple=True, metavar="ARN", help="An SNS topic that is told.")
@click.option(
    "--slow",
    type=click.FloatRange(min=0),
    default=SLOW_MILLISECONDS,
    show_default=True,
    metavar="MILLISECONDS",
    help="What one request in a hundred may take.",
)
@click.option("--apply", is_flag=True, help="Put them into CloudWatch, and a dashboard; again changes nothing.")
@click.option("--template", is_flag=True, help="Print them, and a dashboard, as a CloudFormation template.")
@json_option
@pass_workspace
def alarms(
    workspace: Workspace,
    *,
    name: str,
    predict: tuple[str, ...],
    watch: tuple[str, ...],
    topics: tuple[str, ...],
    slow: float,
    apply: bool,
    template: bool,
    output: Output,
) -> None:
    """Show which alarms a model has: errors, slow answers, refused versions, a stale store, drift, data quality.

    docs/alarms.md says what each means, and which event it raises.

    \b
    Example:
      onnxlet alarms diagnosis --function onnxlet-Predict
      onnxlet alarms diagnosis --apply --topic arn:aws:sns:eu-central-1:111122223333:alarms
      onnxlet alarms diagnosis --function onnxlet-Predict --template > alarms.json
    """
    if apply and template:
        raise click.UsageError("--apply and --template do not go together")
    from onnxlet.lifecycle.alarms import apply_alarms, check_model, find_functions
    from onnxlet.monitor.cloudwatch.template import model_alarms, model_template

    check_model(workspace, name)
    functions = find_functions(name, predict=predict, watch=watch)
    if template:
        show_json(model_template(name, *functions, slow=slow, actions=topics))
    elif apply:
        applied = apply_alarms(workspace, name, functions, slow=slow, topics=topics)
        output.show(applied._asdict(), Table(("alarm", ""), list(applied.alarms.items())).text())
        output.say(f"dashboard {applied.dashboard}")
    else:
        told = list(model_alarms(name, *functions, slow=slow, actions=topics))
        output.show(
            [alarm.request for alarm in told],
            Table(("alarm", "raised when"), [(a.name, a.rule.says) for a in told]).text(),
        )
