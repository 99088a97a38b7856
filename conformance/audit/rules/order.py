"""In which order things start, and what holds the app back until its sidecar is ready."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.audit import known, patch
from conformance.audit.document import mapping
from conformance.audit.rule import Hit, Rule, rule
from conformance.audit.subject import Container, Subject
from conformance.audit.world import World

# What an init container that needs the network is known by. A word alone would say too little:
# each stands where a command stands.
_COMMAND = r"(?:^|[\s;&|(/])"
_NETWORK = re.compile(
    _COMMAND + r"(?:curl|wget|nc|ncat|nslookup|dig|psql|pg_isready|mysql|mysqladmin|redis-cli"
    r"|mongosh?|flyway|liquibase|alembic|gsutil|rclone|s3cmd|dockerize|kubectl|grpcurl"
    r"|wait-for(?:-it)?(?:\.sh)?|git\s+clone|aws\s+s3|vault\s+(?:read|login|kv)"
    r"|(?:rails|rake)\s+db:migrate|manage\.py\s+migrate|migrate\s+-(?:path|source|database))\b"
)
_DATABASE = re.compile(
    _COMMAND + r"(?:psql|pg_isready|mysql|mysqladmin|flyway|liquibase|alembic"
    r"|(?:rails|rake)\s+db:migrate|manage\.py\s+migrate|migrate\s+-(?:path|source|database))\b"
)
_NETWORK_IMAGES = ("flyway", "liquibase", "wait-for*", "k8s-wait-for", "curl", "kubectl")
_DATABASE_IMAGES = ("flyway", "liquibase")
_LOCAL = re.compile(r"\b(?:localhost|127\.0\.0\.1)\b")
# Kinds of sidecars without which an app cannot even begin.
_VITAL = ("mesh", "runtime", "database", "secrets")
_MESHES_OF_RULES = ("istio", "linkerd")  # whose injectors say which init containers set rules


@rule(
    Rule(
        id="native-without-startup-probe",
        title="A native sidecar has no startupProbe: the app does not wait for it",
        level="error",
        behaviour="start.no-probe",
        see="kubectl get pod POD -o jsonpath='{range .spec.initContainers[?(@.restartPolicy=="
        '"Always")]}{.name}: {.startupProbe}{"\\n"}{end}\' shows one without a probe.',
        repair="Give it a startupProbe that passes when it is ready to serve.",
    )
)
def unprobed(subject: Subject, world: World) -> Iterator[Hit]:
    """A postStart hook holds the app back as well, and what only attends to something need not.

    A volume of FUSE is there before the sidecar that serves it, and what the app asks of it waits.
    """
    del world
    for one in subject.natives:
        held = mapping(one.spec.get("lifecycle")).get("postStart")
        if one.spec.get("startupProbe") or held or one.stub or known.attends(one.name, one.image):
            continue
        if one.known is not None and one.known.kind == "storage":
            continue
        given = patch.probed(one)
        injector = subject.injector_of(one)
        mended = patch.put_all(subject.document, one.path, given) if given else None
        mended = patch.owned(subject, mended) if mended else None
        if injector is not None and injector.id == "linkerd" and subject.owner[0]:
            mended = patch.annotated(subject, {"config.linkerd.io/proxy-await": "enabled"})
        yield Hit(
            one.path,
            f"{one.name} has no startupProbe, so the app starts as soon as its process runs.",
            one.name,
            mended,
            level=None if one.known is not None and one.known.kind in _VITAL else "warning",
        )


@rule(
    Rule(
        id="slow-startup-probe",
        title="A native sidecar's startupProbe names no period: the app waits up to 10 s",
        level="note",
        behaviour="start.probe-period",
        see="kubectl get pod POD -o jsonpath='{.spec.initContainers[*].startupProbe"
        ".periodSeconds}' shows 10, the default.",
        repair="Set periodSeconds: 1, and a failureThreshold that allows for the slowest start.",
    )
)
def slow_probe(subject: Subject, world: World) -> Iterator[Hit]:
    """The kubelet asks once at the start, and again after the period."""
    del world
    for one in subject.natives:
        probe = mapping(one.spec.get("startupProbe"))
        if not probe or probe.get("periodSeconds", 10) < 10:
            continue
        lasts = int(probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10))
        faster = {**probe, "periodSeconds": patch.PERIOD, "failureThreshold": lasts}
        path = (*one.path, "startupProbe")
        yield Hit(
            path,
            f"{one.name} is asked every {probe.get('periodSeconds', 10)} s whether it has started.",
            one.name,
            patch.owned(subject, patch.put(subject.document, path, faster)),
        )


@rule(
    Rule(
        id="init-before-proxy",
        title="An init container that needs the network stands before the native sidecar",
        level="warning",
        behaviour="start.init-traffic",
        see="kubectl get pod POD -o jsonpath='{.spec.initContainers[*].name}': what stands before "
        "the sidecar talks past it.",
        repair="Put the sidecar, and what sets its redirection, first.",
    )
)
def init_before(subject: Subject, world: World) -> Iterator[Hit]:
    """Who needs the network is told by its command or image; who runs as the proxy's user passes
    it by on purpose."""
    del world
    for sidecar in subject.natives:
        if sidecar.known is None or sidecar.known.kind not in ("mesh", "database"):
            continue
        mesh = sidecar.known.kind == "mesh"
        own = [one.place for one in subject.inits if one.name in sidecar.known.before]
        last = max([sidecar.place, *own])
        for one in subject.inits[:last]:
            if one.native or one.name in sidecar.known.before or _as_proxy(one, sidecar):
                continue
            if _talks(one, database=not mesh):
                yield Hit(
                    one.path,
                    f"{one.name} talks before {sidecar.name} is there: "
                    + ("in clear, or not at all." if mesh else "the database cannot be reached."),
                    one.name,
                    patch.moved(subject, one, last),
                    "" if mesh else "start.sequence",
                )


@rule(
    Rule(
        id="sidecar-before-mesh",
        title="A native sidecar that talks stands before the mesh's proxy",
        level="warning",
        behaviour="logs.behind-mesh",
        see="kubectl get pod POD -o jsonpath='{.spec.initContainers[*].name}': sidecars end in "
        "reverse order, so what stands before the proxy outlives it.",
        repair="Put the mesh's proxy before it.",
    )
)
def before_mesh(subject: Subject, world: World) -> Iterator[Hit]:
    """Its first and last words go past the proxy: in clear, or nowhere."""
    del world
    meshes = [one for one in subject.natives if one.known and one.known.kind == "mesh"]
    for one in subject.natives:
        for mesh in meshes:
            if one.known and one.known.kind not in ("mesh", "storage") and one.place < mesh.place:
                yield Hit(
                    one.path,
                    f"{one.name} starts before {mesh.name} and ends after it: its last words are "
                    "refused, or cross in clear.",
                    one.name,
                    patch.moved(subject, one, mesh.place),
                )


@rule(
    Rule(
        id="no-redirection-in-the-pod",
        title="Nothing in the pod sets or checks the redirection to its proxy",
        level="warning",
        behaviour="start.cni-race",
        see="Nothing in the API shows a pod whose node had no CNI plugin of the mesh yet, and it "
        "stays exposed for as long as it lives.",
        repair="Leave the validating init container in (Istio: istio-validation, with "
        "values.cni.repair; Linkerd: linkerd-network-validator), or let the init container set "
        "the rules.",
    )
)
def unredirected(subject: Subject, world: World) -> Iterator[Hit]:
    """A proxy of Istio or Linkerd without its init container and without its validation."""
    del world
    for one in (*subject.natives, *subject.classics):
        if one.known is None or one.known.id not in _MESHES_OF_RULES or one.stub:
            continue
        if _proxyless(subject):
            continue
        if not any(other.name in one.known.before for other in subject.inits):
            yield Hit(
                one.path,
                f"Neither of {' and '.join(one.known.before[:2])} is in the pod of {one.name}: a "
                "CNI plugin that is late leaves the app without redirection, and nobody notices.",
                one.name,
            )


def _proxyless(subject: Subject) -> bool:
    """Whether no redirection is wanted: none is asked for, or gRPC talks to the agent itself."""
    templates = subject.marks.get("inject.istio.io/templates", "")
    mode = subject.marks.get("sidecar.istio.io/interceptionMode")
    return mode == "NONE" or templates.startswith("grpc-")


def _talks(container: Container, *, database: bool) -> bool:
    images = _DATABASE_IMAGES if database else _NETWORK_IMAGES
    if known.is_image(container.image, images):
        return True
    pattern = _DATABASE if database else _NETWORK
    found = pattern.search(container.words)
    return found is not None and (database or not _LOCAL.search(container.words))


def _as_proxy(container: Container, sidecar: Container) -> bool:
    user = mapping(container.spec.get("securityContext")).get("runAsUser")
    return sidecar.known is not None and user is not None and user == sidecar.known.uid
