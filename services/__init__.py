"""The four services, what they share, and the pure domain under them."""
