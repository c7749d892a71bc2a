"""Explain: how much each column of a row moves an answer away from the expected value. Loaded by the first who asks.

answer        what is told: attributions, expected value, method, output and unit, background, interval, sum check
request       what is asked: method, output, classes, seed, budgets
document      what a manifest says: the background, which columns are one player, the tables of the methods
background    rows that stand for "not known"; they travel with the version
players       what attributions are of: the columns that the user knows
outputs       which served output is explained, what its columns are called, and in what unit it is
evaluation    the version's own answers to rows mixed of the one that is explained and of the background
interface     what a method is
table         the methods there are, in the order in which `auto` tries them
explaining    rows in, an answer out
linear, exact, sampled    methods
pictures      heatmaps of pictures
"""

from __future__ import annotations
