"""Hosts that are no hosts: network namespaces, joined by a bridge, whose links can be cut.

The scheduler's namespace has the bridge; each other host has a namespace of its own, and a pair of virtual Ethernet
ends to the bridge. Cut is the bridge's end, so that the host keeps its address, and notices nothing but silence, as
with a cable pulled out of the switch. One way is lost when the scheduler's side believes the host at an address of
the link layer that nobody has. Linux names a boot once for all namespaces; each host here is shown a boot of its own,
or else Haydi would see that all processes are on one machine, and watch them.

Names and addresses exist inside these namespaces only, and go with them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.choices import NETWORK_FAULTS, Choice
from tests.chaos.stage import Host

if TYPE_CHECKING:
    from tests.chaos.director import Director

__all__ = ["Network", "NotPermittedError"]

SUBNET = "10.213.37"
#: An address of the link layer that nobody has.
NOBODY = "02:00:00:00:00:01"
#: After something was done to its link, a host has some peace, lest a client never ends a run.
PEACE_SECONDS = 10.0
#: How a command is shown another boot: in a mount namespace of its own, which `ip netns exec` has made.
OTHER_BOOT = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


class NotPermittedError(Exception):
    """This machine does not permit network namespaces, or lacks what they need."""


def _ip(*arguments: str, tool: str = "ip") -> None:
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise NotPermittedError(f"`{tool} {' '.join(arguments)}` says {done.stderr.strip()!r}")


@dataclass
class Network:
    """One namespace for the scheduler, and so many for daemons and clients; to be closed.

    Raises:
        NotPermittedError: Where that cannot be; nothing is left then.
    """

    daemons: int
    clients: int
    directory: Path
    cut: set[str] = field(default_factory=set)
    netem: bool = False
    _free: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mark = f"haydi-{os.getpid()}"
        self._made: list[str] = []
        self._hosts: dict[str, Host] = {}
        if shutil.which("ip") is None:
            raise NotPermittedError("there is no `ip` (Debian: iproute2)")
        try:
            self.scheduler_host = self._namespace("s", 1)
            self._hosts.clear()
            scheduler = self._netns("s")
            _ip("-n", scheduler, "link", "add", "br0", "type", "bridge")
            _ip("-n", scheduler, "address", "add", f"{SUBNET}.1/24", "dev", "br0")
            _ip("-n", scheduler, "link", "set", "br0", "up")
            names = [f"d{n}" for n in range(self.daemons)] + [f"c{n}" for n in range(self.clients)]
            for number, name in enumerate(names, 2):
                self._join(name, number)
            self.netem = self._knows_netem()
        except BaseException:
            self.close()
            raise

    def _netns(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _namespace(self, name: str, number: int) -> Host:
        netns = self._netns(name)
        self._made.append(netns)
        _ip("netns", "add", netns)
        _ip("-n", netns, "link", "set", "lo", "up")
        boot = self.directory / f"boot-{name}"
        boot.write_text(f"{uuid.uuid4()}\n")
        prefix = ("ip", "netns", "exec", netns, "sh", "-c", OTHER_BOOT, str(boot))
        self._hosts[name] = host = Host(name, f"{SUBNET}.{number}", prefix)
        done = subprocess.run([*prefix, "true"], capture_output=True, text=True, timeout=20, check=False)
        if done.returncode:
            raise NotPermittedError(f"a command in a namespace says {done.stderr.strip()!r}")
        return host

    def _join(self, name: str, number: int) -> None:
        host, netns, scheduler = self._namespace(name, number), self._netns(name), self._netns("s")
        _ip("-n", netns, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", scheduler)
        _ip("-n", netns, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", netns, "link", "set", "eth0", "up")
        _ip("-n", scheduler, "link", "set", name, "master", "br0", "up")

    def _knows_netem(self) -> bool:
        try:
            _ip(
                "-n",
                self._netns("s"),
                "qdisc",
                "add",
                "dev",
                "br0",
                "root",
                "netem",
                "delay",
                "1ms",
                tool="tc",
            )
            _ip("-n", self._netns("s"), "qdisc", "del", "dev", "br0", "root", tool="tc")
        except (NotPermittedError, OSError):
            return False
        return True

    def host(self, kind: str, number: int) -> Host:
        """The n-th host of daemons or clients."""
        return self._hosts[f"{kind[0]}{number}"]

    def reachable(self, host: Host) -> bool:
        """Whether nothing is done to its link just now."""
        return host.name not in self.cut

    def close(self) -> None:
        """Remove the namespaces, with all that is in them."""
        while self._made:
            subprocess.run(
                ["ip", "netns", "del", self._made.pop()], capture_output=True, timeout=20, check=False
            )

    def left(self) -> list[str]:
        """Namespaces of ours that are still there."""
        listing = subprocess.run(
            ["ip", "netns", "list"], capture_output=True, text=True, timeout=20, check=True
        )
        return [
            f"namespace {line}" for line in listing.stdout.splitlines() if line.startswith(f"{self._mark}-")
        ]

    # --- harm -----------------------------------------------------------------------------------------

    def harm(self, choice: Choice, director: Director, now: float) -> bool:
        """Do something to a link, when that was chosen."""
        if choice.kind not in NETWORK_FAULTS:
            return False
        hosts = [host for host in self._hosts.values() if self.reachable(host) and now >= self._free_at(host)]
        if sum(host.name.startswith("d") and self.reachable(host) for host in self._hosts.values()) < 2:
            hosts = [host for host in hosts if not host.name.startswith("d")]
        host = choice.of(hosts)
        if host is None or (choice.kind == "slow and lossy" and not self.netem):
            return True
        seconds = choice.between(1.0, 30.0)
        self.cut.add(host.name)
        director.book.fault(choice.kind, f"{host.name} for {seconds:.1f} s", now)
        if choice.kind == "link flaps":
            self._flap(host, seconds, director, now)
        else:
            self._break(choice.kind, host)
        if choice.kind == "killed behind a cut":
            for member in director.stage.of("daemon", "client"):
                if member.host is host:
                    director.kill(member, signal.SIGKILL, seconds + 0.5, f"{member.kind} SIGKILL", now)

        def restore() -> None:
            self._mend(choice.kind, host)
            self.cut.discard(host.name)
            self._free[host.name] = time.monotonic() + PEACE_SECONDS
            director.book.over(time.monotonic())
            director.book.log(time.monotonic(), f"{host.name} is well connected again")

        director.cue(now + seconds, restore)
        return True

    def _free_at(self, host: Host) -> float:
        return self._free.get(host.name, 0.0)

    def _flap(self, host: Host, seconds: float, director: Director, now: float) -> None:
        """Some ten times down and up."""
        for number in range(10):
            at = now + number * seconds / 10
            director.cue(at, lambda: self._break("link cut", host))
            director.cue(at + seconds / 25, lambda: self._mend("link cut", host))

    def _break(self, kind: str, host: Host) -> None:
        scheduler = self._netns("s")
        if kind == "one way lost":
            nobody = ("lladdr", NOBODY, "nud", "permanent", "dev", "br0")
            _ip("-n", scheduler, "neigh", "replace", host.address, *nobody)
        elif kind == "slow and lossy":
            worse = ("root", "netem", "delay", "200ms", "loss", "5%")
            _ip("-n", scheduler, "qdisc", "add", "dev", host.name, *worse, tool="tc")
        else:
            _ip("-n", scheduler, "link", "set", host.name, "down")

    def _mend(self, kind: str, host: Host) -> None:
        scheduler = self._netns("s")
        if kind == "one way lost":
            _ip("-n", scheduler, "neigh", "del", host.address, "dev", "br0")
        elif kind == "slow and lossy":
            _ip("-n", scheduler, "qdisc", "del", "dev", host.name, "root", tool="tc")
        else:
            _ip("-n", scheduler, "link", "set", host.name, "up")
