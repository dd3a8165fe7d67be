"""PlayAuto's own jobs: they take effect after a while, and then call back, or do not."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from ops.emulator.playauto.rules import PlayAutoRules
from runtime.clock import SystemClock

CALLBACK_S = 5.0
_TURN_S = 0.02


@dataclass
class Job:
    """One job of one shop. `effect` has the job happen and says why it failed, empty for success."""

    work_no: int
    name: str
    shop_cd: str
    shop_name: str
    shop_id: str
    callback_url: str | None
    effect: Callable[[bool], list[str]]
    state: str = "waiting"
    callbacks: int = 0

    def said(self, messages: list[str]) -> dict[str, Any]:
        """The body of its callback."""
        return {
            "results": {
                "work_no": self.work_no, "job_name": self.name, "site_code": self.shop_cd,
                "site_name": self.shop_name, "site_nick": f"{self.shop_name} {self.shop_id}",
                "shop_id": self.shop_id, "status": "실패" if messages else "성공", "message": messages,
            }
        }  # fmt: skip


class Jobs:
    """A queue of what is due when. One thread at a time, only while something waits."""

    def __init__(
        self, rules: Callable[[], PlayAutoRules], clock: SystemClock, stopping: threading.Event, seed: int
    ) -> None:
        self._rules, self._clock, self._stopping, self._seed = rules, clock, stopping, seed
        self._guard = threading.Lock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count(1)
        self._numbers = itertools.count(700_001)
        self._running = False
        self.all: list[Job] = []

    def add(
        self,
        name: str,
        shop: tuple[str, str, str],
        callback_url: str | None,
        effect: Callable[[bool], list[str]],
    ) -> Job:
        """A job for a shop (code, name, id) that is due after `job_delay_s`."""
        with self._guard:
            job = Job(next(self._numbers), name, *shop, callback_url, effect)
            self.all.append(job)
        if self._strikes("lost", self._rules().job_lost, job.work_no):
            job.state = "lost"
        else:
            self._later(self._rules().job_delay_s, lambda: self._run(job))
        return job

    def resume(self) -> None:
        """Go on after the emulator was stopped and started again."""
        with self._guard:
            self._start()

    def clear(self) -> None:
        """Nothing waits any more."""
        with self._guard:
            self._due.clear()
            self.all.clear()

    def _run(self, job: Job) -> None:
        rules = self._rules()
        messages = job.effect(self._strikes("fails", rules.job_fails, job.work_no))
        job.state = "failed" if messages else "done"
        if job.callback_url is None or self._strikes("unheard", rules.callback_lost, job.work_no):
            return
        times = 2 if self._strikes("doubled", rules.callback_doubled, job.work_no) else 1
        for _ in range(times):
            self._later(rules.callback_delay_s, lambda: self._call_back(job, messages))

    def _call_back(self, job: Job, messages: list[str]) -> None:
        def post() -> None:
            try:
                requests.post(str(job.callback_url), json=job.said(messages), timeout=CALLBACK_S)
            except requests.RequestException:
                return  # nobody is known to be called again
            finally:
                job.callbacks += 1

        threading.Thread(target=post, name="playauto-callback", daemon=True).start()

    def _strikes(self, what: str, share: float, work_no: int) -> bool:
        return share > 0 and random.Random(f"{self._seed}:{what}:{work_no}").random() < share

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        with self._guard:
            heapq.heappush(self._due, (self._clock.monotonic() + delay_s, next(self._order), action))
            self._start()

    def _start(self) -> None:
        if self._due and not self._running:
            self._running = True
            threading.Thread(target=self._work, name="playauto-jobs", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._due or self._stopping.is_set():
                    self._running = False
                    return
                due = self._due[0][0] - self._clock.monotonic()
                action = heapq.heappop(self._due)[2] if due <= 0 else None
            if action is None:
                self._clock.wait(min(due, _TURN_S), self._stopping)
            else:
                action()
