# SPDX-License-Identifier: MIT
"""Requests to a daemon over its control socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from glb.control.http import HttpResponse, request
from glb.errors import ControlError, InputRefusedError


class Client:
    """One daemon's API. Every call raises ControlError if the daemon cannot be reached, or refuses."""

    def __init__(self, socket: Path, timeout: float = 30) -> None:
        """timeout: seconds that an answer may take."""
        self._socket = socket
        self._timeout = timeout

    def get(self, path: str) -> Any:
        return self._request("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self._request("PUT", path, body)

    def _request(self, method: str, path: str, body: Any) -> Any:
        try:
            data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
            answer = request(socket.AF_UNIX, str(self._socket), "glb", method, path, data, self._timeout)
        except UnicodeEncodeError as error:
            raise ControlError(f"{error.object!r} is no text that could be sent: it is not UTF-8") from error
        except TimeoutError as error:
            raise ControlError(f"{self._socket}: the daemon has not answered in time") from error
        except PermissionError as error:
            raise ControlError(
                f"{self._socket}: permission denied; root and the members of the daemon's --group may use it"
            ) from error
        except OSError as error:
            raise ControlError(f"{self._socket}: no daemon answers there: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise ControlError(f"{self._socket}: what answers there is not glb: {error!r}") from error
        if answer.status >= http.client.BAD_REQUEST:
            kind = InputRefusedError if answer.status == http.client.UNPROCESSABLE_ENTITY else ControlError
            raise kind(_refusal(path, answer))
        return json.loads(answer.content)


def _refusal(path: str, answer: HttpResponse) -> str:
    """What the daemon says of its refusal: the API's errors are {"detail": text}."""
    try:
        detail = json.loads(answer.content)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{path}: {answer.status} {answer.reason}"
    return str(detail)
