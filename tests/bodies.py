"""Request bodies of every form that could cost more than its bytes: what is hard to read, right or wrong.

Each form makes a body of about as many bytes as it is asked for. Inputs are named `x`.
"""

from __future__ import annotations

from collections.abc import Callable

Form = Callable[[int], bytes]


def _repeated(head: str, item: str, tail: str, size: int) -> bytes:
    """`item` with `#` numbered, as often as fits between `head` and `tail`, with commas between."""
    wide = len(item.replace("#", "0" * 7)) + 1
    count = max(1, (size - len(head) - len(tail)) // wide)
    items = (item.replace("#", f"{number:07d}") for number in range(count)) if "#" in item else [item] * count
    return (head + ",".join(items) + tail).encode()


def _form(head: str, item: str, tail: str) -> Form:
    return lambda size: _repeated(head, item, tail, size)


def _nested(head: str, opening: str, closing: str, tail: str, *, depth: int = 0) -> Form:
    """Nested as deep as the size allows, or many of a depth each."""
    if depth:
        return _form(head, opening * depth + "1" + closing * depth, tail)
    return lambda size: (
        (head + opening * (size // (len(opening) + len(closing))) + "1").encode()
        + (closing * (size // (len(opening) + len(closing))) + tail).encode()
    )


ROWS = '{"instances":['
OPEN = '{"inputs":['
TENSOR = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":['

TENSORFLOW_SERVING: dict[str, Form] = {
    "many keys in the body": _form('{"instances":[[1,2]],', '"k#":1', "}"),
    "many keys in a row": _form(ROWS + "{", '"k#":1', "}]}"),
    "many keys in a row with lists": _form(ROWS + "{", '"k#":[1]', "}]}"),
    "many keys in a row, escaped": _form(ROWS + "{", '"\\u006b#":1', "}]}"),
    "many keys in every row": _form(ROWS, "{" + ",".join(f'"k{key}":1' for key in range(200)) + "}", "]}"),
    "many keys in inputs": _form('{"inputs":{', '"k#":[1]', "}}"),
    "many keys in a leaf": _form(ROWS + "[{", '"k#":1', "}]]}"),
    "a repeated last key": _form(ROWS + "{", '"k#":1', ',"z":1,"z":1}]}'),
    "all keys repeated": _form(ROWS + "{", '"x":1', "}]}"),
    "all keys repeated with lists": _form(ROWS + "{", '"x":[1,2]', "}]}"),
    "instances repeated": _form("{", '"instances":[[1,2]]', "}"),
    "empty objects": _form(ROWS, "{}", "]}"),
    "empty objects after a good one": _form(ROWS + '{"x":[1,2]},', "{}", "]}"),
    "empty objects in a list": _form(ROWS + "[", "{}", "]]}"),
    "empty objects as inputs": _form('{"inputs":[', "{}", "]}"),
    "empty objects elsewhere": _form('{"instances":[[1,2]],"other":[', "{}", "]}"),
    "empty lists": _form(ROWS, "[]", "]}"),
    "empty lists with NaN": _form(ROWS + "NaN,", "[]", "]}"),
    "empty lists in a list": _form(ROWS + "[", "[]", "]]}"),
    "objects with one key": _form(ROWS, '{"x":1}', "]}"),
    "objects with one key, the last wrong": _form(ROWS, '{"x":1}', ',{"y":1}]}'),
    "objects with one list": _form(ROWS, '{"x":[1,2]}', "]}"),
    "objects with one list and NaN": _form(ROWS, '{"x":[1,NaN]}', "]}"),
    "objects of text": _form(ROWS, '{"x":"\\u00e9"}', "]}"),
    "binary values": _form(ROWS, '{"b64":"AA=="}', "]}"),
    "binary values in rows": _form(ROWS, '{"x":{"b64":"AA=="}}', "]}"),
    "deep lists": _nested(ROWS, "[", "]", "]}"),
    "deep objects": _nested(ROWS, '{"x":', "}", "]}"),
    "open lists": lambda size: (ROWS + "[" * size).encode(),
    "many deep lists": _nested(ROWS, "[", "]", "]}", depth=30),
    "many very deep lists": _nested(ROWS, "[", "]", "]}", depth=800),
    "many deep objects": _nested(ROWS, '{"x":', "}", "]}", depth=800),
    "wide rows": _form(ROWS + "[", "1", "]]}"),
    "pairs": _form(ROWS, "[1,2]", "]}"),
    "pairs, the last wrong": _form(ROWS, "[1,2]", ",[1]]}"),
    "pairs with text": _form(ROWS, '[1,"a"]', "]}"),
    "singles": _form(ROWS, "[1]", "]}"),
    "decimals": _form(ROWS, "[0.1,0.2]", "]}"),
    "decimals with NaN": _form(ROWS + "[1,NaN],", "[1e1,0.2]", "]}"),
    "numbers beyond": _form(ROWS, "[1e39,1]", "]}"),
    "numbers beyond all": _form(ROWS, "[1,2]", ",[1e400,1]]}"),
    "long integers": _form(ROWS, "[" + "9" * 4000 + ",1]", "]}"),
    "a number without end": lambda size: (ROWS + "[" + "9" * size + ",1]]}").encode(),
    "a decimal without end": lambda size: (ROWS + "[0." + "9" * size + ",1]]}").encode(),
    "truths": _form(ROWS, "true", "]}"),
    "a long string": lambda size: (ROWS + '"' + "a" * size + '"]}').encode(),
    "a long string of escapes": lambda size: (ROWS + '"' + "\\n" * (size // 2) + '"]}').encode(),
    "a long string of brackets": lambda size: (ROWS + '"' + "[{" * (size // 2) + '"]}').encode(),
    "a long string without end": lambda size: (ROWS + '"' + "a" * size).encode(),
    "a long key": lambda size: (ROWS + '{"' + "a" * size + '":1}]}').encode(),
    "short strings": _form(ROWS, '""', "]}"),
    "short strings in rows": _form(ROWS, '["a","b"]', "]}"),
    "escaped strings": _form(ROWS, '"\\n"', "]}"),
    "surrogates": _form(ROWS, '"\\ud800"', "]}"),
    "white space": lambda size: (ROWS + " " * size + "[1,2]]}").encode(),
    "bytes after the document": lambda size: ('{"instances":[[1,2]]}' + "[{" * (size // 2)).encode(),
    "not UTF-8 at the end": lambda size: (ROWS + "[1,2]," * (size // 6)).encode() + b"\xff",
    "cut off": _form(ROWS, '{"x":[1,2]}', ""),
    "many keys in explain": _form('{"instances":[[1,2]],"explain":{', '"k#":1', "}}"),
    "many classes in explain": _form('{"instances":[[1,2]],"explain":{"classes":[', "0", "]}}"),
    "all keys of explain repeated": _form('{"instances":[[1,2]],"explain":{', '"seed":1', "}}"),
    "good matrix in inputs": _form(OPEN, "[1,2]", "]}"),
    "good object in inputs": _form('{"inputs":{"x":[', "[1,2]", "]}}"),
}

OPEN_INFERENCE: dict[str, Form] = {
    "many keys in the body": _form('{"inputs":[],', '"k#":1', "}"),
    "many keys in an input": _form(OPEN + "{", '"k#":1', "}]}"),
    "many keys in parameters": _form('{"inputs":[],"parameters":{', '"k#":1', "}}"),
    "a repeated last key": _form(OPEN + "{", '"k#":1', ',"z":1,"z":1}]}'),
    "empty objects as inputs": _form(OPEN, "{}", "]}"),
    "empty objects as data": _form(TENSOR, "{}", "]}]}"),
    "empty objects elsewhere": _form('{"inputs":[],"other":[', "{}", "]}"),
    "empty lists as data": _form(TENSOR, "[]", "]}]}"),
    "sizes": _form('{"inputs":[{"name":"x","datatype":"FP32","shape":[', "1", '],"data":[1]}]}'),
    "many inputs": _form(OPEN, '{"name":"#","datatype":"FP32","shape":[1],"data":[1]}', "]}"),
    "many outputs": _form(
        '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}],"outputs":[', '{"name":"#"}', "]}"
    ),
    "deep lists": _nested(TENSOR, "[", "]", "]}]}"),
    "many deep lists": _nested(TENSOR, "[", "]", "]}]}", depth=30),
    "wide data": _form(TENSOR, "1", "]}]}"),
    "wide data with NaN": _form(TENSOR + "NaN,", "1.5", "]}]}"),
    "pairs": _form(TENSOR, "[1,2]", "]}]}"),
    "short strings": _form(TENSOR.replace("FP32", "BYTES"), '""', "]}]}"),
    "escaped strings": _form(TENSOR.replace("FP32", "BYTES"), '"\\n"', "]}]}"),
    "a long string": lambda size: (TENSOR.replace("FP32", "BYTES") + '"' + "a" * size + '"]}]}').encode(),
    "a long id": lambda size: ('{"inputs":[],"id":"' + "a" * size + '"}').encode(),
}
