"""What is not installed, by the distribution's own names, as one command."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.doctor.facts import Distribution, EngineFacts, Facts, Machine
from conformance.doctor.line import Line
from conformance.images.tools import GO_LEAST, version_in

# Program → package, of Debian (and Ubuntu) and of Fedora. Where a name differs between releases,
# see `package`.
_PACKAGES = {
    "docker": ("docker.io", "moby-engine"),
    "debootstrap": ("debootstrap", "debootstrap"),
    "iptables": ("iptables", "iptables-nft"),
    "ip": ("iproute2", "iproute"),
    "tcpdump": ("tcpdump", "tcpdump"),
    "make": ("make", "make"),
}
_TESTS_ONLY = ("tcpdump",)
# The first release of Debian whose docker.io brings no client (docker-cli, a package of its own).
_CLIENT_APART_SINCE = 13


def package(program: str, distribution: Distribution) -> Sequence[str]:
    """The packages that bring a program there; () for a distribution that is not known."""
    if not (distribution.debian or distribution.fedora):
        return ()
    debian, fedora = _PACKAGES[program]
    if not distribution.debian:
        return (fedora,)
    major = distribution.version.partition(".")[0]
    apart = distribution.id == "debian" and major.isdigit() and int(major) >= _CLIENT_APART_SINCE
    return (debian, "docker-cli") if program == "docker" and apart else (debian,)


def absent(machine: Machine, engine: EngineFacts, *, builds: bool) -> Sequence[str]:
    """The programs that this machine should have and has not. builds: images must be built."""
    wanted = ["make", "tcpdump"]
    if not engine.answers:
        wanted += ["docker", "iptables", "ip"]
    if builds and machine.root:  # without root nothing can be made of it
        wanted.append("debootstrap")
    return [name for name in wanted if name not in machine.programs]


def line(facts: Facts, *, builds: bool) -> Line:
    """One line, with one command to copy."""
    machine = facts.machine
    missing = absent(machine, facts.engine, builds=builds)
    if not missing:
        return Line("packages", "everything is installed")
    names = [name for one in missing for name in package(one, machine.distribution)]
    sudo = "" if machine.root else "sudo "
    if not names:
        command = f"install {', '.join(missing)}"
    elif machine.distribution.debian:
        command = f"{sudo}apt-get install {' '.join(names)}"
    else:
        command = f"{sudo}dnf install {' '.join(names)}"
    notes = []
    if machine.root and machine.distribution.debian:
        by_itself = [one for one in missing if one not in ("make", "tcpdump")]
        if by_itself:
            notes.append(f"a run installs {', '.join(by_itself)} by itself")
    notes += [
        f"without {one} some of make test is skipped" for one in missing if one in _TESTS_ONLY
    ]
    told = f" ({'; '.join(notes)})" if notes else ""
    return Line("packages", f"not installed: {', '.join(missing)}", "note", f"{command}{told}")


def recent_go(machine: Machine) -> bool:
    """Whether there is a Go that can build what has to be built."""
    found = version_in(machine.programs.get("go", ""))
    return found is not None and found >= GO_LEAST
