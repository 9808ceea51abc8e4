"""Strengthen in the weights: what training changes, measured before and after, beside what it costs."""
