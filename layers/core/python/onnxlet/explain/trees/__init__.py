"""Explanations of tree ensembles, exactly, from the structure of the trees.

ensemble           the trees as arrays: an artifact of a version, made when it is published
levels             their edges in the order of depth, so that numpy goes down all trees at once
path_dependent     against the training weight of each node (TreeSHAP)
interventional     against the rows of a background
"""
