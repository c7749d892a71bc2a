"""What Triton's client gets from the server at argv[1], and for the pictures behind it; it prints JSON.

Run in Triton's environment, not in ours.
"""

import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton  # the environment that runs this has it

client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))


def infer(model: str, inputs: dict[str, tuple[str, Any]], outputs: list[str], **more: Any) -> Any:
    """An answer to tensors in JSON."""
    tensors = []
    for name, (datatype, array) in inputs.items():
        tensor = triton.InferInput(name, array.shape, datatype)
        tensor.set_data_from_numpy(array, binary_data=False)
        tensors.append(tensor)
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in outputs]
    result = client.infer(model, tensors, outputs=wanted, **more)
    arrays = {name: result.as_numpy(name) for name in outputs}
    return result.get_response() | {
        "arrays": {name: [str(array.dtype), array.tolist()] for name, array in arrays.items()}
    }


def refusal(model: str) -> list[str]:
    """What the client says when the server refuses."""
    try:
        infer(model, {"features": ("FP32", np.zeros((1, 29), np.float32))}, ["label"])
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    return []


rows = np.tile(np.arange(30, dtype=np.float32) / 10, (2, 1))
numbers = np.array([2**63 - 1, -(2**63), 2**53 + 1], np.int64)
words = np.array([["yes", "ü"], ["", "no"]], object)
pictures = np.array([b64encode(Path(path).read_bytes()) for path in sys.argv[2:]], object)
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "models": [
                client.is_model_ready("diagnosis"),
                client.is_model_ready("diagnosis", "1"),
                client.is_model_ready("diagnosis", "7"),
                client.is_model_ready("nobody"),
            ],
            "server": client.get_server_metadata(),
            "metadata": client.get_model_metadata("diagnosis", "1"),
            "diagnosis": infer("diagnosis", {"features": ("FP32", rows)}, ["label", "probabilities"], request_id="42"),
            "integers": infer("integers", {"x": ("INT64", numbers)}, ["y"], model_version="1"),
            "words": infer("words", {"x": ("BYTES", words)}, ["y"]),
            "films": infer("films", {"image_bytes": ("BYTES", pictures)}, ["label"]),
            "refused": [refusal("diagnosis"), refusal("nobody")],
        }
    )
)
