"""Choosing: signals, rules, decisions, selectors. Pure: data in, data out; no network and no clock of its own."""
