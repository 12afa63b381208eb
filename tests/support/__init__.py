"""Real things for tests: an OpenSSH server of one's own, a relay that fails when told to."""
