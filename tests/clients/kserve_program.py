"""What KServe's client gets from the server at argv[1]; it prints JSON. Run in KServe's environment, not in ours."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferInput, InferRequest  # the environment that runs this has it
from kserve.inference_client import InferenceRESTClient, RESTConfig


async def main() -> dict[str, Any]:
    """Ask for everything that the client can."""
    url = sys.argv[1]
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
        row = InferInput("features", [1, 30], "FP32", (np.arange(30, dtype=np.float32) / 10).tolist())
        columns = [InferInput(f"mean feature {n}", [1, 1], "FP32", [n / 10]) for n in range(29)]
        answers = [
            await client.infer(url, InferRequest("diagnosis", inputs, request_id="42"), model_name="diagnosis")
            for inputs in ([row], columns)
        ]
        try:
            await client.infer(url, InferRequest("nobody", [row]), model_name="nobody")
            refused = ""
        except Exception as error:  # noqa: BLE001 - what it raises is what the test looks at
            refused = str(error)
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "models": [await client.is_model_ready(url, "diagnosis"), await client.is_model_ready(url, "nobody")],
            "answers": [
                {
                    "id": answer.id,
                    "outputs": {output.name: output.as_numpy().tolist() for output in answer.outputs},
                }
                for answer in answers
            ],
            "refused": refused,
        }


print(json.dumps(asyncio.run(main()), default=str))
