"""Alarms of CloudWatch, and its dashboards: which there are, and what CloudWatch is told of them.

rules       the table: what is watched of a model, a function, the API and the queues
watched     whose metrics a rule is about
requests    a rule as CloudWatch and CloudFormation take it
dashboard   graphs of the metrics that rules are about
template    the alarms of a model as a CloudFormation template
"""
