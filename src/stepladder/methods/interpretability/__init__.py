"""Explain: what a model computes inside, read from its activations, and checked by changing them."""
