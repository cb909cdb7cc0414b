"""The client's own brakes, which keep us under a vendor's known rate.

Belongs here: how many calls may go out per time, and where that is counted. Does not belong here: what a vendor answers
when it is still too much, a memory that processes share (``ledger.rates``).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from threading import Lock, local
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

State = dict[str, Any]
"""What a memory keeps about one limit, fit for JSON."""

_LONGER = 1.01
"""Our window against a vendor's, whose edges we do not see."""

_ALIKE = 1e-6
"""Seconds below which two instants are one."""

_EXACT = 250
"""Calls per window up to which every instant is kept."""

_GRAINS = 100
"""Parts of a window that are told apart where it holds more calls than that; a call counts from the end of its part."""

_ENOUGH = 10
"""Answers after which it is known how long a call takes at least."""

_LATE = 0.1
"""Seconds by which an answer may be slower than another."""

_LONGEST_HOLD = 60.0


class Memory(Protocol):
    """Where limits are counted; who shares a memory shares its limits."""

    def change(self, name: str, step: Callable[[State, float], T]) -> T:
        """Let ``step`` see what is known of the limit ``name`` and the instant, change it, and return what it returns.

        Nobody else changes it meanwhile.
        """
        ...


class OwnMemory:
    """The memory of one client; implements ``Memory``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: defaultdict[str, State] = defaultdict(dict)
        self._lock = Lock()

    def change(self, name: str, step: Callable[[State, float], T]) -> T:
        """See ``Memory``."""
        with self._lock:
            return step(self._states[name], self._clock())


class RateLimit:
    """A token bucket: ``burst`` calls at once, refilled with ``calls`` per ``per`` seconds.

    Args:
        calls: Calls the vendor allows per period.
        per: Length of the period in seconds.
        burst: Calls that may go out at once; all of ``calls`` by default.
        clock: Seconds, never going back.
        sleep: How to wait.
    """

    def __init__(
        self,
        calls: float,
        per: float,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if calls <= 0 or per <= 0:
            msg = f"A rate limit needs calls and seconds above 0, not {calls} per {per} s"
            raise ValueError(msg)
        self._rate = calls / per
        self._burst = max(1.0, calls if burst is None else burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = self._burst
        self._seen = clock()
        self._lock = Lock()

    def take(self) -> float:
        """Take one call, waiting for it when the bucket is empty; return the seconds waited."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
            self._seen = now
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
        if wait > 0:
            self._sleep(wait)
        return wait


class Window(RateLimit):
    """No more than ``calls`` in any stretch of ``per`` seconds, or as many as the vendor's answers say.

    A window that slides, because vendors' do: a bucket that is refilled would let twice as many through at first. A
    call reaches the vendor between sending and answer. It counts from its answer, less the time that the quickest call
    took there and back: the one that takes its place is on its way for as long at least, so it finds room whichever way
    was the slow one. A call without an answer counts from when it was sent.

    Args:
        calls: Calls per window until an answer tells.
        per: Length of the window in seconds until an answer tells.
        name: Which of the memory's limits this is.
        memory: Where it is counted; the client's own by default.
        clock: Seconds of the own memory, never going back.
        sleep: How to wait.
    """

    def __init__(
        self,
        calls: int,
        per: float,
        *,
        name: str = "calls",
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(calls, per, clock=clock, sleep=sleep)
        self._calls = calls
        self._per = per
        self._name = name
        self._memory = memory or OwnMemory(clock)
        self._mine = local()
        self._answers, self._quickest = 0, math.inf

    def take(self) -> float:
        """Take one call, waiting until the window has room for it; return the seconds waited."""
        waited = 0.0
        while (wait := self._memory.change(self._name, self._try)) > 0:
            self._sleep(wait)
            waited += wait
        return waited

    def learn(
        self,
        *,
        calls: int | None = None,
        per: float | None = None,
        remaining: int | None = None,
        wait: float | None = None,
    ) -> None:
        """Take over what an answer says; what others have used of the window counts as ours.

        Args:
            calls: Calls per window.
            per: Length of the window in seconds.
            remaining: Calls it still has.
            wait: Seconds in which nobody is to call.
        """

        def note(state: State, now: float) -> None:
            self._count_answered(state, now)
            told = {"calls": calls, "per": per}
            state.update({name: value for name, value in told.items() if value})
            if remaining is not None:
                # Of what they count nothing is missing here: calls stay known for a while after they have left.
                known = sum(n for _, n in state.get("sent", []))
                self._count(state, now, self._limit(state)[0] - known - remaining)
            if wait:
                state["held"] = now + wait

        self._memory.change(self._name, note)

    def _try(self, state: State, now: float) -> float:
        """Count a call if there is room; return the seconds until there is."""
        calls, span = self._limit(state)
        # An instant still to come is from before the clock was set back: no wait is longer than the vendor's own.
        latest = now + span / _GRAINS
        kept = now - span - 2 * self._way() - _LATE
        sent = [[min(at, latest), n] for at, n in state.get("sent", []) if at > kept]
        held = min(state.get("held", 0.0), now + _LONGEST_HOLD)
        state["sent"], state["held"] = sent, held
        if held > now:
            return float(held - now)
        sent = [entry for entry in sent if entry[0] + span > now + _ALIKE]
        over = sum(n for _, n in sent) - calls
        if over < 0:
            self._mine.call = (now, self._count(state, now, 1))
            return 0.0
        leaves = now
        for at, n in sent:
            leaves, over = at, over - n
            if over < 0:
                break
        return max(leaves + span - now, _ALIKE)

    def _count_answered(self, state: State, now: float) -> None:
        """Let the call this thread made count anew, now that it was answered."""
        call, self._mine.call = getattr(self._mine, "call", None), None
        if call is None:
            return
        began, counted_at = call
        self._answers, self._quickest = self._answers + 1, min(self._quickest, max(now - began, 0.0))
        for entry in state.get("sent", []):
            if entry[0] == counted_at:
                entry[1] -= 1
                state["sent"] = [one for one in state["sent"] if one[1]]
                self._count(state, now - self._way(), 1)
                return

    def _way(self) -> float:
        """Return the seconds that every call is on its way, there and back, as far as that is known."""
        return min(self._quickest, self._per / 4) if self._answers >= _ENOUGH else 0.0

    def _count(self, state: State, now: float, calls: int) -> float:
        """Count calls made at an instant, and return the one by which they are found again."""
        most, span = self._limit(state)
        grain = span / _GRAINS
        at = now if most <= _EXACT else math.ceil(now / grain) * grain
        sent = state.setdefault("sent", [])
        if calls > 0:
            known = next((entry for entry in reversed(sent) if entry[0] == at), None)
            if known is None:
                sent.append([at, calls])
                sent.sort()
            else:
                known[1] += calls
        return at

    def _limit(self, state: State) -> tuple[int, float]:
        """Return how many calls the window holds, and how long it is for us."""
        return int(state.get("calls") or self._calls), float(state.get("per") or self._per) * _LONGER
