"""An event store on Postgres: streams, positions and bytes; it knows nothing of what they mean."""
