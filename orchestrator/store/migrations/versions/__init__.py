"""The steps, a file each: what changed and how to get there."""
