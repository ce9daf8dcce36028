"""Workers that fill a form in with a real browser, submit it at most once, and tell the outcome."""
