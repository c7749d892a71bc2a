"""Explanations of pictures: which places move an answer, as a heatmap. For versions whose image step makes the input.

explaining   pictures in, heatmaps out: what is covered, and with what
rise         the method: the answer's slope on how much of a place is shown, over random masks
masks        the masks: soft patches at random places, each with its opposite
overlay      a heatmap over the picture, as a PNG
"""
