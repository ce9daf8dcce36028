"""The verbs of `python -m services.projections`, a file each."""
