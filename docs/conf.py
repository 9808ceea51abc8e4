"""Sphinx configuration: markdown pages, examples run by the tests."""

project = "Stepladder"
author = "The Stepladder authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Stepladder"
exclude_patterns = ["_build", "_generate", "_seen_*", "methods/_seen_*"]
nitpicky = False
