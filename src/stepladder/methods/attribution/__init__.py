"""Explain: which training rows made the model say what it says."""
