# SPDX-License-Identifier: MIT
"""glb's errors: each subject has one type below the root.

GlbError
├── ConfigError                 JSON files, and edits of them
├── TableError                  forwarding tables: GLBD binaries, rows
├── DatapathError               BPF programs, maps, attachment
├── NotAllowedError             a datapath that only root may read
├── CaptureError                captures and their filters
├── NetworkError                interfaces, routes, sockets
├── RoutingError                BIRD and ExaBGP
├── HealthError                 health checks and overrides
├── HistoryError                the versions of tables on disk
├── ChangeError                 changes of tables
├── ControlError                requests from commands to daemons
│   ├── AnswerTooLargeError
│   └── InputRefusedError
├── BadRequestError             requests that lack an input
├── AgentError                  the agents of proxies
├── DaemonError                 start and operation of a daemon
├── LaneClosedError             a daemon that is stopping
├── ReportError                 the daemons' status files
├── LockError                   locks between processes
│   └── LockHeldError
├── DoctorError                 glbctl doctor
├── ExplainError                glbctl explain
└── LabError                    the lab in network namespaces

Each message says what is wrong, where, and what to do about it. str() of an error is what `glbctl` prints.
"""

from collections.abc import Iterable


class GlbError(Exception):
    """A fault that the user can correct."""


class ConfigError(GlbError):
    """A file that cannot be used, or an edit that is refused.

    `problems` holds every problem found, each as `file: field: what is wrong`; str() is one line for each.
    """

    problems: tuple[str, ...]

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class TableError(GlbError):
    """A forwarding table that cannot be built, written or read."""


class DatapathError(GlbError):
    """The kernel or bcc refused a step. The message names the step and the kernel's reason."""


class NotAllowedError(GlbError):
    """This user may not read the BPF file system, so it is unknown whether a datapath is loaded."""


class CaptureError(GlbError):
    """A capture that cannot start, or a filter that cannot match."""


class NetworkError(GlbError):
    """The host's network differs from what glb needs. The message names what was found."""


class RoutingError(GlbError):
    """A BGP speaker that does not start, does not answer, or refuses a command."""


class HealthError(GlbError):
    """Health that cannot be checked, set or reported."""


class HistoryError(GlbError):
    """A version of the tables that does not exist, or cannot be saved."""


class ChangeError(GlbError):
    """A change that is refused or failed. The previous file and tables stay in force."""


class ControlError(GlbError):
    """A daemon that cannot be reached, cannot listen, or has refused a request."""


class AnswerTooLargeError(ControlError):
    """A daemon's answer is longer than glb accepts."""


class InputRefusedError(ControlError):
    """A daemon refused its input: an invalid file, an unknown table or address, a transition that is not allowed."""


class BadRequestError(GlbError):
    """A request lacks what its route requires. The message names each input, one a line."""


class AgentError(GlbError):
    """A proxy's agent that does not answer, or refuses."""


class DaemonError(GlbError):
    """A daemon that cannot start or continue."""


class LaneClosedError(GlbError):
    """The daemon is stopping; this lane accepts no more actions."""


class ReportError(GlbError):
    """A daemon's status file is missing or cannot be read."""


class LockError(GlbError):
    """A lock that cannot be taken. The message names what it protects."""


class LockHeldError(LockError):
    """Another process held the lock for too long. The message names the process if it is known."""


class DoctorError(GlbError):
    """What `glbctl doctor` should examine does not exist."""


class ExplainError(GlbError):
    """No verdict or warning has this name."""


class LabError(GlbError):
    """The lab cannot be started, found, used or removed."""
