"""What the sentence about a cluster that did not come up is made of."""

from __future__ import annotations

from conformance.cluster import failure


def test_the_kubelets_last_distinct_errors_are_quoted() -> None:
    journal = (
        "I1122 18:00:00.000000     100 server.go:1] fine\n"
        "E1122 18:00:01.000000     100 a.go:1] old\n"
        'E1122 18:00:02.000000     100 run.go:72] "command failed" err="gone"\n'
        "E1122 18:00:03.000000     100 b.go:2] new\n"
        'E1122 18:00:04.000000     100 run.go:72] "command failed" err="gone"\n'
        "kubelet.service: Failed with result 'exit-code'.\n"
    )
    assert failure.kubelet_errors(journal) == [
        "b.go:2] new",
        'run.go:72] "command failed" err="gone"',
    ]


def test_a_kubelet_that_panics_is_quoted() -> None:
    journal = (
        "panic: unrecognized feature gate: NoSuchGate\n\ngoroutine 1 [running]:\nmain.main()\n"
    )
    assert failure.kubelet_errors(journal) == ["panic: unrecognized feature gate: NoSuchGate"]


def test_kinds_error_is_one_line_of_its_log() -> None:
    log = "Creating cluster ...\nERROR: failed to create cluster: no\nCommand Output: much\nmore\n"
    assert failure.kind_error(log) == "failed to create cluster: no"
    ran = 'ERROR: no kubeadm: command "docker exec" failed with error: exit status 1\n'
    assert failure.kind_error(ran) == "no kubeadm"
    assert failure.kind_error("Creating cluster ...\n") == ""


def test_the_cause_of_a_long_error_is_kept_because_it_stands_last() -> None:
    error = "failed to run Kubelet: " + "validate service connection: " * 40 + "no such socket"
    journal = f"E1122 18:00:02.000000     100 run.go:72] {error}\n"
    (said,) = failure.kubelet_errors(journal)
    assert len(said) <= 403
    assert said.startswith("run.go:72] failed to run Kubelet:")
    assert said.endswith("no such socket")
    assert failure.kind_error(f"ERROR: {error}").endswith("no such socket")


# As kind shows kubeadm's own output, which runs with -v=6.
KUBEADM = """Creating cluster ...
ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec" failed
Command Output: I1122 18:00:00.000000     100 initconfiguration.go:261] loading configuration
[kubelet-check] The kubelet is not healthy after 4m0.000969453s
failed while waiting for the kubelet to start
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/init.runWaitControlPlanePhase
\tk8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/init/waitcontrolplane.go:112
runtime.goexit
\truntime/asm_amd64.s:1700
error execution phase wait-control-plane
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
\tk8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
"""


def test_kubeadms_own_errors_are_quoted_the_cause_first() -> None:
    assert failure.kubeadm_errors(KUBEADM) == [
        "failed while waiting for the kubelet to start",
        "error execution phase wait-control-plane",
    ]


def test_checks_that_failed_are_kubeadms_errors() -> None:
    log = (
        "ERROR: failed to create cluster: failed to init node with kubeadm\n"
        "[preflight] Some fatal errors occurred:\n\t[ERROR Port-6443]: Port 6443 is in use\n"
        "[preflight] If you know what you are doing, you can make a check non-fatal\n"
        "k8s.io/kubernetes/cmd/kubeadm/app/preflight.RunChecks\n\tpreflight/checks.go:1\n"
        "error: error execution phase preflight\n"
    )
    assert failure.kubeadm_errors(log) == [
        "[ERROR Port-6443]: Port 6443 is in use",
        "error execution phase preflight",
    ]
    assert failure.kubeadm_errors("Creating cluster ...\n ✓ Starting control-plane\n") == []
