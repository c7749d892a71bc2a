"""The local server: data plane and control plane on one port, the code that Lambda runs.

dispatcher  one ASGI application: predictions go straight to the data plane, everything else to FastAPI
pace        which predictions are quick enough to be made on the event loop itself
workers     threads for the others
metrics     what /metrics shows
server      a socket, uvicorn, and their end
"""

from __future__ import annotations

from onnxlet.local.dispatcher import create_asgi
from onnxlet.local.server import serve

__all__ = ["create_asgi", "serve"]
