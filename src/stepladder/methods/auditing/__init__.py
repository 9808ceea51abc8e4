"""Audit: blind investigations that end with ranked hypotheses and calibrated confidence."""
