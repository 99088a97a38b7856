"""Is every file of the folder the one that the bundle was closed with?"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence import compressed
from conformance.evidence.bundle import Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.model import Evidence

_OWN = "cell.json"  # it holds the seal


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """A file that no seal knows was put there later; without any seal nothing is known to be whole.

    What a sealed file has become is said when it is read (Bundle.path).
    """
    sealed = bundle.index.files
    if not sealed:
        where = (Evidence(_OWN, text="files: {}"),)
        yield Contradiction("cell.json seals no file", evidence=where, strikes_proof=True)
        return
    for path in sorted(bundle.root.rglob("*")):
        name = path.relative_to(bundle.root).as_posix()
        name = name if name in sealed else name.removesuffix(compressed.SUFFIX)
        if path.is_file() and name != _OWN and name not in sealed:
            yield Contradiction(
                f"{name} is in the folder, and cell.json seals no such file",
                frozenset({name}),
                (Evidence(name),),
                strikes_proof=name.endswith(".pcap"),
            )
