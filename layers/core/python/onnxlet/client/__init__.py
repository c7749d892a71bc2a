"""The client: a server of `onnxlet serve`, or a deployed API, from Python.

client                  `connect`, and what a client can be asked
rows, predictions       what goes in; what comes out
explanations            what is asked of an explanation, and its answer
metadata                what a served version takes and gives
splitting               one prediction in as many requests as it needs
registry, moves         models, versions, history; promotions and rollbacks, made once
transport, responses    HTTP: time-outs and retries; answers, and the errors that refusals stand for
auth                    who asks: a token, or a signature

Only `predict` and `explain` load numpy, and only signatures load botocore.
"""

from onnxlet.client.client import Client, connect

__all__ = ["Client", "connect"]
