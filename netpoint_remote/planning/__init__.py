"""What should happen: pure decisions over values."""
