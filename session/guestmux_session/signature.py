"""A command's types from a method's signature: annotations become QAPI types, defaults make members optional."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Nothing(Arguments, frozen=True):
    """What a command answers that has nothing to say."""


def arguments_of(function: Callable[..., Any], leading: int = 1) -> type[Arguments]:
    """The typed arguments that a method's parameters describe, the leading ones left aside: its own object, a stream.

    A parameter `x: T | None = None` becomes an optional member of type T: QMP leaves out what is not given.

    Raises:
        TypeError: a parameter has no annotation, or is `*args` or the like.
    """
    hints = hints_of(function)
    parameters = list(inspect.signature(function).parameters.values())[leading:]
    fields = [_field(function, parameter, hints) for parameter in parameters]
    name = "".join(word.title() for word in function.__name__.split("_"))
    made = msgspec.defstruct(f"{name}Arguments", fields, bases=(Arguments,), kw_only=True, frozen=True)
    return typing.cast("type[Arguments]", made)


def result_of(function: Callable[..., Any]) -> Any:
    """The type that a method returns; `-> None` is QMP's empty object.

    Raises:
        TypeError: it is not annotated.
    """
    hints = hints_of(function)
    if "return" not in hints:
        raise TypeError(f"{function.__qualname__} needs a return annotation: it is the command's schema")
    return Nothing if hints["return"] is types.NoneType else hints["return"]


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """A function's annotations, evaluated.

    Raises:
        TypeError: one names something that its module does not have.
    """
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{function.__qualname__}: {error}; its types must be the module's own") from error


def _field(
    function: Callable[..., Any], parameter: inspect.Parameter, hints: dict[str, Any]
) -> tuple[str, Any] | tuple[str, Any, Any]:
    where = f"{function.__qualname__}: parameter '{parameter.name}'"
    if parameter.kind not in _BY_NAME:
        raise TypeError(f"{where} must be one that can be given by name")
    if parameter.name not in hints:
        raise TypeError(f"{where} needs an annotation: it is the command's schema")
    hint = hints[parameter.name]
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, hint
    if parameter.default is None:
        return parameter.name, _without_none(hint) | UnsetType, UNSET
    return parameter.name, hint, parameter.default


def _without_none(hint: Any) -> Any:
    kept = [choice for choice in typing.get_args(hint) if choice is not types.NoneType]
    return typing.Union[tuple(kept)] if kept else hint  # noqa: UP007 - built at run time
