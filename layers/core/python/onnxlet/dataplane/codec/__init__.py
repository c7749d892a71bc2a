"""JSON to tensors and back: exact, strict about types, and fast where that costs no exactness.

A body is read twice at most. The fast reading (simdjson's proxies, whole numeric lists copied at once) only gives a
result that it can vouch for; whatever it doubts or refuses, wrong bodies included, goes to the exact reading. That one
takes what TensorFlow Serving takes (NaN and Infinity, bytes after the first document) and says what is wrong and where.

`documents` reads JSON, `decoding` makes tensors of it, `encoding` makes JSON of tensors.
"""
