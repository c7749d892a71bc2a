"""Steps: what a manifest declares around the graph, decoded. Pure functions from tensors to tensors.

base             what a step is: what it takes, what it makes, what it tells
tabular          named columns become the graph's inputs
image            encoded pictures become tensors; pictures decodes them, picture_formats tells what they are, dicom
                 reads grayscale films
tokenizer        texts become a transformer's token ids; texts says how
token_ids        token ids that the model does not know are refused
vectorizer       a column of texts becomes weights of its words; texts says how
ranges           numbers beyond what a user declared are refused, clipped or flagged
finite           numbers that the model refuses are refused
classification   class values and probabilities become labels
method           outputs of the graph are served as they are, each by a method of the model that it stands for
measuring        what monitoring counts of pictures and texts
output           what is served of answers: calibration, thresholds, abstaining; deciding and numbers do it
pipeline         the steps of one manifest, taken together
table            the kinds there are, by the `kind` of their documents
"""

from __future__ import annotations

from onnxlet.steps.base import Column, Postprocessor, Step
from onnxlet.steps.classification import Classification, Names, names_of
from onnxlet.steps.finite import Finite
from onnxlet.steps.pipeline import Steps
from onnxlet.steps.table import add_kind, decode_steps
from onnxlet.steps.tabular import Tabular

__all__ = [
    "Classification",
    "Column",
    "Finite",
    "Names",
    "Postprocessor",
    "Step",
    "Steps",
    "Tabular",
    "add_kind",
    "decode_steps",
    "names_of",
]
