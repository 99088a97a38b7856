"""Jobs: a sidecar does not keep a Job from completing."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("job.completes")
def test_a_job_completes_when_its_main_container_has_exited(evidence: CellEvidence) -> None:
    evidence.must_show("job.completes")


@behaviour("job.cronjob")
def test_a_cronjob_that_forbids_concurrency_ticks_again(evidence: CellEvidence) -> None:
    evidence.must_show("job.cronjob")


@behaviour("job.failure")
def test_a_failing_main_fails_its_job_after_its_retries(evidence: CellEvidence) -> None:
    evidence.must_show("job.failure")


@behaviour("job.policies")
def test_mains_are_retried_in_place_where_they_may_be(evidence: CellEvidence) -> None:
    evidence.must_show("job.policies")


@behaviour("job.sidecar-restarts")
def test_a_crash_of_the_sidecar_does_not_fail_a_healthy_main(evidence: CellEvidence) -> None:
    evidence.must_show("job.sidecar-restarts")


@behaviour("job.spillover")
def test_jobs_one_after_another_do_not_fill_a_quota(evidence: CellEvidence) -> None:
    evidence.must_show("job.spillover")


@behaviour("job.deadline")
def test_a_job_that_waits_for_the_mesh_ends_at_its_deadline(evidence: CellEvidence) -> None:
    evidence.must_show("job.deadline")


@behaviour("job.workarounds")
def test_the_old_workarounds_complete_a_classic_job(evidence: CellEvidence) -> None:
    evidence.must_show("job.workarounds")
