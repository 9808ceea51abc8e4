"""Audits: what is hidden in a model, searched for blind, within a budget, by people's tools and without a strong helper."""
