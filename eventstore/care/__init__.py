"""Examines a store's database: whether every invariant holds, and what to do where one does not."""
