"""Tables of trees, made when a version is published, for explanations that are exact.

table       what a version gets: the document and the artifacts, held against what is served
nodes       the tree nodes of a graph as an Ensemble
margins     what follows the trees, as far as it adds and multiplies
"""
