"""Measures of what users feel, each a ratio taken in one run; docs/measures.md tells what came out."""
