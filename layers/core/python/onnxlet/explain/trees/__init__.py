"""Explanations of tree ensembles, exactly, from the structure of the trees.

ensemble           the trees as arrays: an artifact of a version, made when it is published
levels             their edges in the order of depth, so that numpy goes down all trees at once
path_dependent     against the training weight of each node (TreeSHAP)
leaf_tables        what a row gets of a leaf, for all that it may answer on a short path
interventional     against the rows of a background
"""
