"""Monitoring: what a model meets in production beside what it was made for, in counts alone.

bins             which number lies in which bin
baseline         the counts of the rows that a model was made for
sketch           the counts of live rows, in the baseline's bins
distributions    tail probabilities
statistics       tests and distances of two rows of counts
comparison       a window of live rows beside the baseline: which columns have drifted
"""
