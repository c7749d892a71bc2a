"""The laptop twin: what template.yaml wires on AWS, at work on this machine.

template          a template of CloudFormation, resolved
wiring            what it wires: queues, rules, functions, state machines, alarms
aws_server        S3, SQS, EventBridge and Step Functions' API, played by moto's server
message_moves     SQS's redrive, which moto has not
cloud             what the template asks of them: a bucket, queues, rules, state machines
function_process  a function in a process of its own
environments      as many of them as there are cores
pump              what hands messages to functions, and calls them by the clock
executions        what runs executions of a state machine: the simulator
running           all of it put together
"""
