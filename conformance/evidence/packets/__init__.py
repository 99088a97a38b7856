"""Reads what went over the wire: frames, streams, TLS records, tokens, and what a view covers."""
