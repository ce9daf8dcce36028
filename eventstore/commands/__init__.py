"""The verbs of `python -m eventstore`, a file each."""
