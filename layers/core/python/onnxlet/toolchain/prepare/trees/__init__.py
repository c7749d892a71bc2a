"""Tables of trees, made when a version is published, for explanations that are exact.

nodes       the tree nodes of a graph as an Ensemble
"""
