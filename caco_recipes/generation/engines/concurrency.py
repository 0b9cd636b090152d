"""How many requests a server should have at once: more while that makes it answer more, fewer when it suffers.

Measured is the time per generated token, because requests are of unlike length. With more requests at once that time
grows on every server; as long as it grows less than half as fast as their number, throughput grows, and the limit does.
"""

import statistics

START = 8
TOLERANCE = 2.0  # at an unchanged limit, this much more time per token means that the server suffers
ASK_AGAIN = 8  # windows


class Concurrency:
    """The limit of one server. `clock` values are seconds of any monotonic clock."""

    def __init__(self, maximum: int) -> None:
        self.maximum = max(1, maximum)
        self.limit = min(START, self.maximum)
        self._window: list[float] = []
        self._accepted: tuple[int, float] | None = None  # the limit before this one, and its time per token
        self._probing = True  # doubling, until the first time that more does not help
        self._calm_from = 0.0
        self._stays = 0  # windows for which the limit has stayed

    def answered(self, seconds: float, tokens: int, in_flight: int) -> None:
        """A request was answered. `in_flight` counts it."""
        if in_flight < self.limit * 0.75:
            return  # the limit was not what held the server back: this says nothing about it
        self._window.append(seconds / max(1, tokens))
        if len(self._window) < self.limit:
            return
        pace = statistics.median(self._window)
        self._window.clear()
        if self._accepted is None:
            self._grow(pace)
            return
        before_limit, before_pace = self._accepted
        more = self.limit / before_limit
        if more > 1 and pace <= before_pace * (1 + (more - 1) / 2):
            self._grow(pace)
        elif pace > before_pace * TOLERANCE * max(1.0, more):
            self._probing = False
            self._accepted = None
            self.limit = max(1, int(self.limit * 0.8))
        else:
            # More did not help: back to what was enough, and ask again some windows later, because load changes.
            self._probing = False
            self._stays += 1
            if self._stays > ASK_AGAIN:
                self._stays, self._accepted = 0, None
            else:
                self.limit = before_limit
                self._accepted = (before_limit, before_pace)

    def overloaded(self, clock: float, round_trip: float) -> None:
        """The server said so (429, 5xx) or timed out: half of it, once per round trip."""
        if clock < self._calm_from:
            return  # requests sent before the last cut still come back
        self._calm_from = clock + round_trip
        self._probing = False
        self._accepted = None
        self._window.clear()
        self.limit = max(1, self.limit // 2)

    def _grow(self, pace: float) -> None:
        self._accepted = (self.limit, pace)
        self._stays = 0
        step = self.limit if self._probing else max(1, self.limit // 10)
        self.limit = min(self.maximum, self.limit + step)
