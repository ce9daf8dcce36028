"""What every call passes through, one concern per file; server.py lists them in order with the reasons."""
