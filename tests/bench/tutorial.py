"""The handler that tutorials teach: boto3 downloads the model to disk, FastAPI answers behind Mangum.

Written out as a team would write it by hand, and no worse than that: clients and session at import, lifespan off, async
route, pydantic body, bytecode present. It is the peer that the benchmarks compare with.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import boto3
import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

LABELS = ["malignant", "benign"]

if bucket := os.environ.get("TUTORIAL_BUCKET"):
    path = os.path.join(tempfile.mkdtemp(), "model.onnx")  # noqa: PTH118 - as the tutorials write it
    boto3.client("s3").download_file(bucket, os.environ["TUTORIAL_KEY"], path)
else:
    path = os.environ["TUTORIAL_MODEL"]

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
model_input = session.get_inputs()[0]
dtype = np.int64 if model_input.type == "tensor(int64)" else np.float32

app = FastAPI()


class Body(BaseModel):
    """The request."""

    instances: list[list[float]]


@app.post("/v1/models/model:predict")
async def predict(body: Body) -> dict[str, Any]:
    """Answer one request."""
    outputs = session.run(None, {model_input.name: np.asarray(body.instances, dtype=dtype)})
    if len(outputs) == 1:
        return {"predictions": outputs[0].tolist()}
    labels, probabilities = outputs
    return {
        "predictions": [
            {"label": LABELS[int(label)], "probability": float(row.max()), "probabilities": row.tolist()}
            for label, row in zip(labels, probabilities, strict=True)
        ]
    }


handler = Mangum(app, lifespan="off")
