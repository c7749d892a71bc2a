"""Watching: what is done on a schedule with what was counted.

agenda        what is due, model by model, most urgent first
run           one run: windows are merged, reports written, alarms settled, events handed on, metrics told
measures      metrics of what a report tells
event_bridge  events on AWS's bus; the only module that needs boto3
"""
