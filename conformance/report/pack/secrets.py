"""Takes secrets out of evidence: service account tokens, private keys, passwords, client keys.

What is taken out is written over with as many x as it had bytes, so that lines, offsets and frames
stay where they are. The suite's own canary tokens are no secrets, and stay.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

# JSON Web Tokens begin with a header, and its first member is one of these four. RFC 7519; the
# letters are base64url of {"alg":", {"typ":", {"kid":" and {"cty":".
_TOKEN = rb"eyJ(?:hbGciOi|0eXAiOi|raWQiOi|jdHkiOi)[A-Za-z0-9_.\-]{10,}"
# RFC 7468, with real line ends or those of JSON. A key that breaks off is one to where it does.
_KEY = rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(?:n[A-Za-z0-9+/=\s\\]*)*"
_PACKED_KEY = rb"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{40,}"  # the same in base64: kubeconfigs, Secrets
_HEADER = (
    rb"(?i:authorization\\?[\"']?\s*[:=]\s*\\?[\"']?(?:bearer|basic)\s+)([A-Za-z0-9._~+/=\-]{8,})"
)
_NAMES = (
    rb"(?:(?:[a-z]+[_-])?token|password|passwd|client-key-data|client[_-]?secret|tls\.key|"
    rb"\.dockerconfigjson|identitytoken)"
)
_FIELD = rb"(?i:\\?\"" + _NAMES + rb"\\?\"\s*:\s*\\?\")(?!cny\.)([^\"\\\s]{8,})"
_YAML = rb"(?im:^\s*" + _NAMES + rb":\s+)(?!cny\.)([^\"\s]{8,})"
# kubeadm's: k8s.io/cluster-bootstrap/token/api, BootstrapTokenPattern, where it is called a token.
_BOOTSTRAP = rb"(?i:token[\"'=: ]{1,4})([a-z0-9]{6}\.[a-z0-9]{16})\b"
_ALL = tuple(
    re.compile(pattern)
    for pattern in (_TOKEN, _KEY, _PACKED_KEY, _HEADER, _FIELD, _YAML, _BOOTSTRAP)
)
# What a secret goes on with in the next packet, when it was not at its end in this one.
_GOES_ON = re.compile(rb"[A-Za-z0-9+/=_.\-\r\n]*")
# Files that are secrets as a whole.
_FILES = re.compile(r"(^|/)(kubeconfig[^/]*|[^/]*\.kubeconfig|[^/]*\.key|\.dockerconfigjson)$")


def is_secret(name: str) -> bool:
    """Whether a file of a run is to be left out altogether. name: relative to the run's folder."""
    return bool(_FILES.search(name))


def without(content: bytes) -> bytes:
    """The content with every secret written over; the very same object where there is none."""
    found = list(spans(content))
    if not found:
        return content
    return _over(content, found)


def without_in_stream(payload: bytes, open_: bool) -> tuple[bytes, bool]:
    """A packet's payload with its secrets written over, and whether one goes on behind it.

    open_: the packet before, of the same direction, ended in the middle of one.
    """
    found = list(spans(payload))
    if open_:
        goes_on = _GOES_ON.match(payload)
        found.insert(0, (0, goes_on.end() if goes_on else 0))
    ends = bool(payload) and any(end == len(payload) for _, end in found)
    return (_over(payload, found) if found else payload), ends


def spans(content: bytes) -> Iterator[tuple[int, int]]:
    """Where secrets begin and end."""
    for pattern in _ALL:
        for match in pattern.finditer(content):
            if not match[0].startswith(b"LS0t") or _is_key(match[0]):
                yield match.span(1 if pattern.groups else 0)


def _is_key(packed: bytes) -> bool:
    try:
        return b"PRIVATE KEY" in base64.b64decode(packed[:64])
    except binascii.Error:
        return False


def _over(content: bytes, found: list[tuple[int, int]]) -> bytes:
    masked = bytearray(content)
    for begin, end in found:
        masked[begin:end] = re.sub(rb"[^\r\n]", b"x", content[begin:end])
    return bytes(masked)
