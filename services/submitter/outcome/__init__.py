"""Recognises what a site answered: pure rules over facts, with the signals that spoke."""
