"""What stands in for a program on a practice server: plain standard library, started without our package."""
