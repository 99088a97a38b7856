"""A run as one file: to keep, to send, and to judge again."""

from conformance.report.pack.archive import SUFFIX, is_pack, opened, pack, read

__all__ = ["SUFFIX", "is_pack", "opened", "pack", "read"]
