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
    """A daemon's API. Every call raises ControlError if the daemon cannot be reached or refuses the request."""

    def __init__(self, socket: Path, timeout: float = 30) -> None:
        """timeout: seconds to wait for an answer."""
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
            raise ControlError(f"{error.object!r} cannot be sent: it is not valid UTF-8") from error
        except TimeoutError as error:
            raise ControlError(f"{self._socket}: the daemon did not answer within {self._timeout:g} s") from error
        except PermissionError as error:
            raise ControlError(
                f"{self._socket}: permission denied; only root and members of the groups glb and glb-admin may use it"
            ) from error
        except (ConnectionResetError, BrokenPipeError, http.client.IncompleteRead) as error:
            done = "" if method == "GET" else "; what was requested may have been done, in part or as a whole"
            raise ControlError(f"{self._socket}: the daemon ended before it answered{done}") from error
        except OSError as error:
            raise ControlError(f"{self._socket}: no daemon is listening: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise ControlError(f"{self._socket}: the answer is not from glb: {error!r}") from error
        if answer.status >= http.client.BAD_REQUEST:
            kind = InputRefusedError if answer.status == http.client.UNPROCESSABLE_ENTITY else ControlError
            raise kind(_refusal(path, answer))
        return json.loads(answer.content)


def _refusal(path: str, answer: HttpResponse) -> str:
    """The reason in the daemon's answer: errors of the API are {"detail": text}."""
    try:
        detail = json.loads(answer.content)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{path}: {answer.status} {answer.reason}"
    return str(detail)
