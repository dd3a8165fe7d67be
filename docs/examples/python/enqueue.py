"""Ask Jeongsi for a message. `pip install "celery[redis]"`; REDIS_URL, ROOM and AT in the environment."""

import os
import sys
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as NoAnswer

# An app object of its own: your own tasks keep their queues.
jeongsi = Celery("orders", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
jeongsi.conf.update(
    task_default_queue="enqueue", task_default_exchange="", task_default_routing_key="enqueue"
)


def ask(task: str, request: dict[str, Any]) -> dict[str, Any]:
    """The result of one request. No answer within 10 s: ask again, the key makes it safe."""
    for _ in range(3):
        try:
            answer: dict[str, Any] = jeongsi.send_task(task, args=[request]).get(timeout=10)
            return answer
        except NoAnswer:
            continue
    raise NoAnswer("Jeongsi does not answer")


message = {
    "room": os.environ["ROOM"],
    "text": "주문 4711이 출고되었습니다 📦",
    "priority": "high",
    "metadata": {"order": 4711},
    "idempotency_key": "orders/4711/shipped",
}
answer = ask("jeongsi.message.schedule", message)
print(answer["status"], answer["id"])
for error in answer["errors"]:
    print(f"{error['field']}: {error['reason']} ({error['right']})", file=sys.stderr)

again = ask("jeongsi.message.schedule", message)
print(again["status"], again["id"])

later = {"room": os.environ["ROOM"], "text": "내일 뵙겠습니다", "at": os.environ["AT"]}
promised = ask("jeongsi.message.schedule", later | {"idempotency_key": "orders/4711/reminder"})
called_off = ask("jeongsi.message.cancel", {"id": promised["id"]})
print(called_off["status"], called_off["id"])
