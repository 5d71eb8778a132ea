"""The calls of the WellFlow interface."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional
from uuid import uuid4

from .http import Http, Token, segment

Json = Dict[str, Any]


class WellFlowClient:
    """`token`: a JWT, or a function that is asked for one before each call. `timeout`: seconds, for one try."""

    def __init__(
        self,
        base_url: str,
        token: Optional[Token] = None,
        *,
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        http = Http(base_url, token, timeout, retries)
        self.jobs = Jobs(http)
        self.schedules = Schedules(http)
        self.webhooks = Webhooks(http)


class Jobs:
    def __init__(self, http: Http) -> None:
        self._http = http

    def add(
        self, queue: str, job: Mapping[str, Any], *, idempotency_key: Optional[str] = None
    ) -> Json:
        """Adds `{'name': ..., 'data': ..., 'opts': ...}`; its id is `jobId`.

        Repeated by itself, and never added twice, when an answer is lost.
        """
        return self._http.call(
            "POST",
            f"/queues/{segment(queue)}/jobs",
            body=dict(job),
            idempotency_key=idempotency_key or uuid4().hex,
        )

    def add_bulk(
        self, jobs: Iterable[Mapping[str, Any]], *, idempotency_key: Optional[str] = None
    ) -> Json:
        """Adds jobs that name their `queue`, each by itself: `jobIds`, and `errors` by index."""
        return self._http.call(
            "POST",
            "/bulk",
            body={"jobs": [dict(job) for job in jobs]},
            idempotency_key=idempotency_key or uuid4().hex,
        )

    def get_queues(self) -> List[Json]:
        return self._http.call("GET", "/queues")

    def get_queue(self, queue: str) -> Json:
        return self._http.call("GET", f"/queues/{segment(queue)}")

    def list(
        self,
        queue: str,
        *,
        status: Optional[str] = None,
        limit: Optional[int] = None,
        offset: Optional[int] = None,
        order: Optional[str] = None,
    ) -> Json:
        query = {"status": status, "limit": limit, "offset": offset, "order": order}
        return self._http.call("GET", f"/queues/{segment(queue)}/jobs", query=query)

    def remove(self, queue: str, job_id: str) -> Json:
        return self._http.call("DELETE", f"/queues/{segment(queue)}/jobs/{segment(job_id)}")

    def retry(self, queue: str, job_id: str) -> Json:
        return self._http.call("POST", f"/queues/{segment(queue)}/jobs/{segment(job_id)}/retry")

    def get_status(self, job_ids: Iterable[str]) -> List[Json]:
        return self._http.call("POST", "/status", body={"jobIds": [str(one) for one in job_ids]})

    def get_metrics(
        self, *, timeframe: Optional[str] = None, queue: Optional[str] = None
    ) -> Json:
        """`timeframe`: e.g. `24h`."""
        return self._http.call("GET", "/metrics", query={"timeframe": timeframe, "queue": queue})

    def get_stats(self) -> Json:
        return self._http.call("GET", "/stats")

    def get_health(self) -> Json:
        return self._http.call("GET", "/health")


class Schedules:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> List[Json]:
        return self._http.call("GET", "/schedules")

    def create(self, schedule: Mapping[str, Any]) -> Json:
        """`{'name': ..., 'cron': ..., 'jobData': {...}}`."""
        return self._http.call("POST", "/schedules", body=dict(schedule))

    def update(self, name: str, changes: Mapping[str, Any]) -> Json:
        return self._http.call("PUT", f"/schedules/{segment(name)}", body=dict(changes))

    def delete(self, name: str) -> Json:
        return self._http.call("DELETE", f"/schedules/{segment(name)}")


class Webhooks:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> List[Json]:
        return self._http.call("GET", "/webhooks")

    def create(self, webhook: Mapping[str, Any]) -> Json:
        return self._http.call("POST", "/webhooks", body=dict(webhook))

    def delete(self, webhook_id: str) -> Json:
        return self._http.call("DELETE", f"/webhooks/{segment(webhook_id)}")
