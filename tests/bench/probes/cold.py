"""One cold start of a handler: `cold.py MODULE_DIR MODULE EVENT.marshal`; prints where the time went, in seconds.

It imports nothing itself, so that nothing is there before the handler asks for it: the event is in marshal's format.
"""

import time

began = time.perf_counter()

import marshal
import sys

directory, module, event = sys.argv[1:]
sys.path.insert(0, directory)
handler = __import__(module).handler
imported = time.perf_counter()
with open(event, "rb") as file:  # noqa: PTH123 - pathlib is an import, too
    answer = handler(marshal.load(file), None)  # noqa: S302 - written by ourselves
answered = time.perf_counter()
if answer["statusCode"] != 200:
    sys.exit(f"{module} answered {answer}")
timing = next((value for name, value in answer["headers"].items() if name.lower() == "server-timing"), "")
print(repr({"import": imported - began, "answer": answered - imported, "timing": timing}))  # noqa: T201 - the result
