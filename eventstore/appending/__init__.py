"""Appending: callers are gathered, their batches sent, their answers told; and whole histories imported."""
