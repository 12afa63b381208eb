"""The tasks of netpoint_remote for stock `fab`."""

from netpoint_remote.cli.tasks import namespace as ns

__all__ = ["ns"]
