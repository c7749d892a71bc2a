"""Monitoring: what a model meets in production beside what it was made for, in counts alone.

bins             which number lies in which bin; columns: what is counted of tensors
baseline         the counts of the rows that a model was made for; versions: which one a published version has
sketch           the counts of live rows, in the baseline's bins
live             counts what a process answers, and writes it now and then
windows          what was written of one day, by many, merged so that each part counts once
distributions    tail probabilities
statistics       tests and distances of two rows of counts
comparison       a window of live rows beside the baseline: which columns have drifted
report           the days of a version, with their drifts and alarms
"""
