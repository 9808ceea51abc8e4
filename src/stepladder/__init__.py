"""Stepladder: AI-assisted alignment, one tested rung at a time."""

__version__ = "0.1.0"
