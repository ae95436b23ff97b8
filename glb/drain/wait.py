# SPDX-License-Identifier: MIT
"""Looking at a proxy until its last connection is gone."""

import time
from collections.abc import Collection, Iterator

from glb.drain.agent import Agent
from glb.drain.binds import Wanted
from glb.drain.progress import HOLDING, Progress
from glb.errors import AgentError

_ANSWER_SECONDS = 5.0


def watch(
    agent: Agent,
    wanted: Wanted,
    timeout: float | None = None,
    waited_for: Collection[str] = HOLDING,
    every: float = 1.0,
) -> Iterator[Progress]:
    """What each look shows; the last one is drained, or the time is up.

    To be begun when every director has the backend as draining. timeout: seconds, None for no end; at least one look
    is taken. An agent that does not answer is asked again.
    """
    began = time.monotonic()
    progress = Progress(waited_for)
    while True:
        left = _left(began, timeout)
        try:
            answer = agent.count(wanted, min(_ANSWER_SECONDS, max(left, every)))
            progress = progress.after(answer, time.monotonic())
        except AgentError as error:
            progress = progress.after_failure(str(error))
        yield progress
        left = _left(began, timeout)
        if progress.drained or left <= 0:
            return
        time.sleep(min(every, left))


def _left(began: float, timeout: float | None) -> float:
    return float("inf") if timeout is None else began + timeout - time.monotonic()
