"""The public REST API as the demo's people use it: one client per person, nothing private."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from app.core.errors import KizuError

POLL_SECONDS = 0.5
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class ApiError(KizuError):
    status, code, title = 500, "demo-failed", "The demo could not go on"


class Api:
    """One person's session: a base URL and an API token."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(120.0, connect=10.0),
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._json(self._client.get(path, params=params))

    def post(self, path: str, body: Any = None, *, if_match: str | None = None) -> Any:
        headers = {} if if_match is None else {"If-Match": if_match}
        return self._json(self._client.post(path, json=body, headers=headers))

    def patch(self, path: str, body: Any, *, if_match: str) -> Any:
        return self._json(self._client.patch(path, json=body, headers={"If-Match": if_match}))

    def put(self, path: str, body: Any) -> Any:
        return self._json(self._client.put(path, json=body))

    def upload(
        self, path: str, files: list[tuple[str, bytes]], captures: list[dict[str, str]]
    ) -> Any:
        parts = [("files", (name, content)) for name, content in files]
        form = {"metadata": json.dumps(captures)}
        return self._json(self._client.post(path, files=parts, data=form))

    def download(self, path: str) -> bytes:
        response = self._client.get(path, follow_redirects=True)
        self._ensure_success(response)
        return response.content

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=500, **params, **cursor)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def wait(self, job_id: str, on_progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """The job once it has ended well. Raises `ApiError` with the job's own words if not."""
        while True:
            job: dict[str, Any] = self.get(f"/jobs/{job_id}")
            on_progress(job)
            if job["state"] == "succeeded":
                return job
            if job["state"] in ENDED:
                reason = (job.get("error") or {}).get("detail", job["state"])
                raise ApiError(f"The {job['kind']} job did not succeed: {reason}")
            time.sleep(POLL_SECONDS)

    def _json(self, response: httpx.Response) -> Any:
        self._ensure_success(response)
        return response.json() if response.content else None

    @staticmethod
    def _ensure_success(response: httpx.Response) -> None:
        if response.is_error:
            raise ApiError(f"{response.request.url.path}: {response.status_code} {response.text}")
