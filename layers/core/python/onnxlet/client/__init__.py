"""The client: a server of `onnxlet serve`, or a deployed API, from Python.

`connect` gives a Client; below it `transport` speaks HTTP (time-outs, retries), `auth` says who asks, `rows` and
`predictions` are what goes in and comes out, `moves` promotes and rolls back exactly once.
"""

from onnxlet.client.client import Client, connect

__all__ = ["Client", "connect"]
