"""Linear models: what of a graph is linear, and what stands behind it.

table        the coefficients of the operation that a served output hangs on
operations   the linear operations that there are
links        what makes an output of its scores, found by comparing
"""
