"""Assess: what a model does and can do, read in more than one way."""
