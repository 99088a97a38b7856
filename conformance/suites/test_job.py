"""Jobs: a sidecar does not keep a Job from completing."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("job.completes")
def test_a_job_completes_when_its_main_container_has_exited(evidence: CellEvidence) -> None:
    evidence.must_show("job.completes")
