"""Models with a planted, known truth, and their clean twins."""
