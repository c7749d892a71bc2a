"""The report: what became of the rows of a model's versions, as one document of sections.

scope            what a report is about: versions and days, their windows and baselines, each read once
section          what a section is; findings: what an alarm may be raised of
sections         the table of sections: a section is one file and one line there
alarms, traffic, expected, labels, drift, quality   sections
shown            counts as people may see them: none of fewer than five rows
plots            pictures as SVG
document         the report itself: read, as tables, as JSON, as a page
page             the page: HTML in one file, without scripts
"""
