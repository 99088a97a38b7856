"""A run as one file: to keep, to send, and to judge again."""

from conformance.report.pack.archive import SUFFIX, is_pack, opened, pack, read
from conformance.report.pack.shrink import compress

__all__ = ["SUFFIX", "compress", "is_pack", "opened", "pack", "read"]
