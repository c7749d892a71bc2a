"""Alarms: what was found wrong with a model, from its first day to its last, and what people said of it.

book      the alarms of a model as a document: open ones, mutes, and the newest entry of the log
turning   what a document becomes: alarms open and close, are acknowledged and muted
ledger    the document in a store, and its log, which only grows
events    what others are told
"""
