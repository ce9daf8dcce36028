"""Stand-in web directories: a real web server that counts what it accepted, in its own storage."""
