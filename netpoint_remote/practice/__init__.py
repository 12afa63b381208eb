"""NetPoint servers to practise on: real SSH on loopback, no root, nothing installed."""
