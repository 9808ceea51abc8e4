"""Figures against peers: ratios in one run on one machine. `make bench` runs all; results.json keeps the rows."""
