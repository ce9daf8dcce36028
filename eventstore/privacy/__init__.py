"""What only its tenant may read: sealed under a key of its own, and erased by destroying the key."""
