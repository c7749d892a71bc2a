"""Texts by their parts: words, tokens or sentences. A part that is not known is taken out of the text.

by_part              the method
words, tokens, sentences    what parts are
"""
