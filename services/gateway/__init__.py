"""Appends for the other processes, so that what many of them append shares its commits."""
