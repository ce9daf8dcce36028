"""Plain operational tables, which are no events: API keys and directory slots."""
