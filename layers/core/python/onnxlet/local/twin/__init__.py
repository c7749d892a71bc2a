"""The laptop twin: what template.yaml wires on AWS, at work on this machine.

template          the template's queues, rules and functions
aws_server        S3, SQS and EventBridge, played by moto's server
cloud             what the template asks of them: a bucket, queues, rules
function_process  a function in a process of its own
pump              what hands messages to functions, and calls them by the clock
running           all of it put together
"""
