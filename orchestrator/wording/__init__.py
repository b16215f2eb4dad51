"""How a question is worded: its words and what may stand for them, and the frame it is asked in.

English only; of other languages nothing is known, so their words must be the same.
"""
