"""Old partitions of the ledger in object storage: written, verified, read back, deleted in the end."""
