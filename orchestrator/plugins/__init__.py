"""Plugins, a file each, named as in YAML: what happens to a request before its experts are called, and after.

None exists yet; a decision's `plugins:` refuses every name until one does. A file will hold, as in the other folders,
a `Params` model (frozen, unknown keys refused, every field described) and one function with the folder's contract,
which is written down here with the first plugin.
"""
