"""An audit as JUnit: a test for each rule, for CI systems and Sonobuoy."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from conformance.audit.finding import Finding
from conformance.audit.rule import rules

SUITE = "sidecar-conformance audit"


def document(findings: Sequence[Finding], unread: Sequence[str]) -> str:
    """A test for each rule, which fails where it found something, and one for what was read: no
    test passes for what could not be."""
    suite = ElementTree.Element("testsuite", name=SUITE)
    failures = 0
    for row in rules().values():
        case = ElementTree.SubElement(suite, "testcase", classname=SUITE, name=row.id)
        found = [one for one in findings if one.rule is row]
        if found:
            failures += 1
            message = f"{row.title}: {len(found)}"
            failure = ElementTree.SubElement(case, "failure", message=message, type=row.level)
            failure.text = "\n".join(f"{one.object} {one.field}: {one.message}" for one in found)
    case = ElementTree.SubElement(suite, "testcase", classname=SUITE, name="everything-was-read")
    if unread:
        error = ElementTree.SubElement(case, "error", message=f"{len(unread)} could not be read")
        error.text = "\n".join(unread)
    suite.set("tests", str(len(rules()) + 1))
    suite.set("failures", str(failures))
    suite.set("errors", str(int(bool(unread))))
    return ElementTree.tostring(suite, "unicode", xml_declaration=True)
