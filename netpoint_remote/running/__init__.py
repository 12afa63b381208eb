"""Make it happen: every side effect on this side of the wire."""
