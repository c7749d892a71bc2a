"""One cold start of a handler: `cold.py MODULE_DIR MODULE EVENT.json`; prints where the time went, in seconds.

The clock starts when the interpreter does, as Linux tells it; `spawn` is what passed before this file's first line.
"""

import time

began = time.perf_counter()

import json
import sys
from pathlib import Path

directory, module, event = sys.argv[1:]
sys.path.insert(0, directory)
handler = __import__(module).handler
imported = time.perf_counter()
answer = handler(json.loads(Path(event).read_text()), None)
answered = time.perf_counter()
if answer["statusCode"] != 200:
    sys.exit(f"{module} answered {answer}")
headers = {name.lower(): value for name, value in answer["headers"].items()}
print(  # noqa: T201 - a probe prints what it measured
    json.dumps(
        {
            "import": imported - began,
            "answer": answered - imported,
            "timing": headers.get("server-timing", ""),
        }
    )
)
