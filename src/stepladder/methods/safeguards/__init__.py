"""Safeguards outside the weights: classifiers in front of and behind a subject."""

from stepladder.methods.safeguards.guard import Guard
from stepladder.methods.safeguards.guarded import GuardedModel
from stepladder.methods.safeguards.storage import load_guard

__all__ = ["Guard", "GuardedModel", "load_guard"]
