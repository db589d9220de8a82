"""Sphinx settings: Markdown pages, and a reference from the docstrings."""

from importlib.metadata import version as version_of

project = "pssr"
author = "The pssr authors"
version = release = version_of("pssr-toolkit")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pssr"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# Without its array types jaxtyping would have to be explained on every line.
autodoc_type_aliases = {}
napoleon_google_docstring = True
suppress_warnings = ["ref.python"]
