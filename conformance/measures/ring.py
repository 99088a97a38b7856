"""A packet socket that nobody reads, which shows what the kernel's own part takes: ``ring NAME``.

It says "listening", keeps the frames of an interface in a ring as tcpdump's own socket does, and at
the first line of input tells, as JSON, how many it has kept and how many found no place.
"""

from __future__ import annotations

import json
import mmap
import socket
import struct
import sys

# linux/if_packet.h; Python's socket module has none of these.
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_TPACKET_V2 = 1  # what libpcap takes in immediate mode
_ETH_P_ALL = 3
_SLOT, _BLOCK, _BLOCKS = 1 << 11, 1 << 16, 512  # bytes; 32 MiB in all, 16384 frames
_COUNTS = struct.Struct("=II")  # struct tpacket_stats: all, and those without a place


def main() -> None:
    """Keep frames until a line of input comes."""
    slots = _BLOCKS * (_BLOCK // _SLOT)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as watching:
        watching.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
        watching.setsockopt(
            _SOL_PACKET, _RX_RING, struct.pack("=4I", _BLOCK, _BLOCKS, _SLOT, slots)
        )
        with mmap.mmap(watching.fileno(), _BLOCK * _BLOCKS):
            watching.bind((sys.argv[1], _ETH_P_ALL))
            print("listening", flush=True)
            sys.stdin.readline()
            told = watching.getsockopt(_SOL_PACKET, _STATISTICS, _COUNTS.size)
    frames, dropped = _COUNTS.unpack(told)
    print(json.dumps({"frames": frames - dropped, "dropped": dropped}), flush=True)


if __name__ == "__main__":
    main()
