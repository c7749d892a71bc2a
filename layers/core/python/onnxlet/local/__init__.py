"""The local server: data plane and control plane on one port, the code that Lambda runs.

server         what `onnxlet serve` calls: an address, and one worker or several
listening      its sockets
supervisor     several workers: started, awaited, replaced, ended
worker         one process that answers: uvicorn
http_protocol  uvicorn's connections, held to limits and time-outs
guard          who may ask, and for what
hosts          the names that the server answers to
origins        which sites' pages may read its answers
dispatcher     one ASGI application: predictions go straight to the data plane, everything else to FastAPI
latency        which predictions are quick enough to run on the event loop itself
thread_pool    threads for the others
metrics        what /metrics shows
totals         what it shows of predictions, by model, version and alias
shared_bytes   memory that workers share, for those totals
lambda_runtime a function run in this process as Lambda runs it
twin/          what template.yaml wires on AWS, at work on this machine
step_functions a simulator of Step Functions, for state machines of ours

Nothing heavy is imported before a worker needs it: a supervisor stays small.
"""

from __future__ import annotations

from onnxlet.local.server import serve

__all__ = ["serve"]
