"""Say what happened: pure renderings of a finished run."""
