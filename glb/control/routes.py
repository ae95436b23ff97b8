# SPDX-License-Identifier: MIT
"""Routes of an API: typed functions whose signature defines the inputs of a request and the type of its answer."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from glb.errors import BadRequestError

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class From:
    """Marks a parameter, as `Annotated[T, From(read)]`, whose value comes from `read` instead of the client."""

    read: Callable[[web.Request], Any]


class InputPlace(Enum):
    """The part of a request that holds an input."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class ApiInput:
    """A parameter of a handler that the client sends. `default` is `inspect.Parameter.empty` if it is required."""

    name: str
    place: InputPlace
    adapter: TypeAdapter[Any]
    default: Any
    is_list: bool

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An answer that is not JSON, or already serialized."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """A method and a path template ("/v1/tables/{table}") with the handler that answers.

    given: parameters that the server supplies. answer: the type of the answer; None if the handler returns
    `RawResponse`. media_type: the Content-Type of the answer.
    """

    method: str
    path: str
    tag: str
    handler: Callable[..., Awaitable[Any]]
    inputs: tuple[ApiInput, ...]
    given: dict[str, From]
    answer: TypeAdapter[Any] | None
    media_type: str = "application/json"

    async def call(self, request: web.Request) -> Any:
        """The handler's answer. Raises BadRequestError, which names each bad input, and the handler's own errors."""
        arguments = {name: given.read(request) for name, given in self.given.items()}
        problems: list[str] = []
        for wanted in self.inputs:
            try:
                arguments[wanted.name] = await _read(request, wanted)
            except ValidationError as error:
                problems += [_described(wanted, problem["loc"], problem["msg"]) for problem in error.errors()]
            except BadRequestError as error:
                problems.append(str(error))
        if problems:
            raise BadRequestError("\n".join(problems))
        return await self.handler(**arguments)


class ApiRouter:
    """The routes of one subject, under a common prefix."""

    def __init__(self, tag: str, prefix: str = "/v1") -> None:
        self.routes: list[ApiRoute] = []
        self._tag = tag
        self._prefix = prefix

    def get(self, path: str, media_type: str = "application/json", answer: Any = None) -> Callable[[F], F]:
        """answer: the type of the JSON in a handler's `RawResponse`, for the description."""
        return self._add("get", path, media_type, answer)

    def post(self, path: str) -> Callable[[F], F]:
        return self._add("post", path)

    def put(self, path: str) -> Callable[[F], F]:
        return self._add("put", path)

    def _add(
        self, method: str, path: str, media_type: str = "application/json", answer: Any = None
    ) -> Callable[[F], F]:
        def add(handler: F) -> F:
            self.routes.append(_route(method, self._prefix + path, self._tag, handler, media_type, answer))
            return handler

        return add


def _route(
    method: str, path: str, tag: str, handler: Callable[..., Awaitable[Any]], media_type: str, answer: Any
) -> ApiRoute:
    hints = get_type_hints(handler, include_extras=True)
    returned = hints.pop("return")
    inputs, given = [], {}
    for name, parameter in inspect.signature(handler).parameters.items():
        marks = [mark for mark in get_args(hints[name]) if isinstance(mark, From)]
        if marks:
            given[name] = marks[0]
            continue
        bare = _without_annotation(hints[name])
        inputs.append(
            ApiInput(
                name=name,
                place=_place(name, bare, path),
                adapter=TypeAdapter(hints[name]),
                default=parameter.default,
                is_list=get_origin(bare) is list,
            )
        )
    said = answer if returned is RawResponse else returned
    return ApiRoute(
        method, path, tag, handler, tuple(inputs), given, None if said is None else TypeAdapter(said), media_type
    )


def _without_annotation(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _place(name: str, hint: Any, path: str) -> InputPlace:
    if f"{{{name}}}" in path:
        return InputPlace.PATH
    models = (hint, *get_args(hint))
    is_body = any(inspect.isclass(model) and issubclass(model, BaseModel) for model in models)
    return InputPlace.BODY if is_body else InputPlace.QUERY


async def _read(request: web.Request, wanted: ApiInput) -> Any:
    match wanted.place:
        case InputPlace.PATH:
            return wanted.adapter.validate_python(request.match_info[wanted.name])
        case InputPlace.QUERY:
            values: Sequence[str] = request.query.getall(wanted.name, ())
            if not values and wanted.required:
                raise BadRequestError(f"{wanted.name}: Field required")
            if not values:
                return wanted.default
            return wanted.adapter.validate_python(list(values) if wanted.is_list else values[-1])
        case InputPlace.BODY:
            data = await request.read()
            if not data and not wanted.required:
                return wanted.default
            if not data:
                raise BadRequestError("a JSON object is required in the body of the request")
            return wanted.adapter.validate_json(data)


def _described(wanted: ApiInput, place: Sequence[int | str], message: str) -> str:
    """For example "reason: String should have at most 200 characters"."""
    names = [*([] if wanted.place is InputPlace.BODY else [wanted.name]), *map(str, place)]
    return f"{'.'.join(names)}: {message}" if names else message
