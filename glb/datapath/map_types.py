# SPDX-License-Identifier: MIT
"""C types of maps' keys and values, as numpy knows them, and as text."""

from typing import Any, NamedTuple

import numpy as np

Type = np.dtype[Any]


class MapTypes(NamedTuple):
    """A map's key and value, as C declares them."""

    key: Type
    value: Type


def text_of_type(dtype: Type) -> Any:
    """Such as "<u4", or a list of fields: name, type, and shape where it is an array."""
    return np.lib.format.dtype_to_descr(dtype)


def type_of_text(text: Any) -> Type:
    """The same back out of JSON, which knows no tuples."""
    found: Type = np.dtype(_fields(text))
    return found


def _fields(text: Any) -> Any:
    if isinstance(text, str):
        return text
    return [(name, _fields(kind), *map(tuple, shape)) for name, kind, *shape in text]
