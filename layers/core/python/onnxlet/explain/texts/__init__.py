"""Texts by their parts: words, or sentences. A part that is not known is taken out of the text.

by_part              the method
words, sentences     what parts are
"""
