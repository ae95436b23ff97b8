"""Asking a daemon over its control socket."""

from pathlib import Path
from typing import Any

import httpx

from glb.control.errors import ControlError

_CONNECT_SECONDS = 5


class Client:
    """One daemon's API. Every call raises ControlError if the daemon cannot be asked, or refuses."""

    def __init__(self, socket: Path, timeout: float = 30) -> None:
        """timeout: seconds that an answer may take."""
        self._socket = socket
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://glb",
            timeout=httpx.Timeout(timeout, connect=_CONNECT_SECONDS),
        )

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, body)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        try:
            answer = self._http.request(method, path, json=body)
        except UnicodeEncodeError as error:
            raise ControlError(f"{error.object!r} is no text that could be sent: it is not UTF-8") from error
        except httpx.TimeoutException as error:
            raise ControlError(f"{self._socket}: the daemon has not answered in time") from error
        except httpx.TransportError as error:
            raise ControlError(f"{self._socket}: no daemon answers there: {error}") from error
        if answer.is_error:
            raise ControlError(_refusal(answer))
        return answer.json()


def _refusal(answer: httpx.Response) -> str:
    """What the daemon says of its refusal: the API's errors are {"detail": text}."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url.path}: {answer.status_code} {answer.reason_phrase}"
    return detail if isinstance(detail, str) else f"{answer.request.url.path}: {detail}"
