"""`onnxlet score` without the command around it: STORE CACHE REF SOURCE OUTPUT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from onnxlet.batch.local_files import score_folder, score_path
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref

store, cache, ref, source, output = sys.argv[1:]
predictor = Predictor(open_store(store), Settings(store=store, cache_dir=cache, threads=1), layout=True)
score_all = score_folder if Path(source).is_dir() else score_path
score_all(predictor, parse_ref(ref), Path(source), Path(output), workers=len(os.sched_getaffinity(0)))
