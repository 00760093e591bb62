"""Parameters: what a strategy lets its user set, read from its class attributes."""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from engine.errors import ConfigError, EngineError

_SCALARS = (bool, int, float, str)
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0", ""}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range that a number must lie in, both ends included; None leaves an end open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One class attribute of a strategy: its type, its default, and what may be set instead.

    `choices` is empty unless only these values are allowed; `optional` means that None (an empty field) is allowed too.
    """

    name: str
    type: type
    default: Any
    low: float | None = None
    high: float | None = None
    description: str = ""
    choices: tuple[Any, ...] = ()
    optional: bool = False

    @property
    def title(self) -> str:
        """Return the name as a label: `stop_atr` is "Stop atr"."""
        return self.name.replace("_", " ").strip().capitalize()

    def parse(self, value: Any) -> Any:
        """Return `value`, a number or the text of a form field, as the parameter's type.

        Raises:
            ConfigError: with the field `params.<name>`, when it is not of the type, not finite or out of bounds.
        """
        if value is None or (isinstance(value, str) and not value.strip() and self.type is not str):
            if self.optional:
                return None
            if self.type is not bool:
                raise self._refuse("is empty", f"Enter {self._wanted()}.")
        parsed = self._convert(value)
        if self.choices and parsed not in self.choices:
            raise self._refuse(f"is {parsed!r}", f"Choose one of {', '.join(map(str, self.choices))}.")
        if (self.low is not None and parsed < self.low) or (self.high is not None and parsed > self.high):
            raise self._refuse(f"is {_shown(parsed)}", f"Enter {self._wanted()}.")
        return parsed

    def _convert(self, value: Any) -> Any:
        convert = {bool: _to_bool, int: _to_int, float: _to_float}.get(self.type, str)
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(f"is {_shown(value)}", f"Enter {self._wanted()}.") from None

    def _wanted(self) -> str:
        kind = {bool: "yes or no", int: "a whole number", float: "a number"}.get(self.type, "text")
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{kind} of {self.low:g} or more"
        if self.high is not None:
            return f"{kind} of {self.high:g} or less"
        return kind

    def _refuse(self, problem: str, way_out: str) -> ConfigError:
        return ConfigError(f"{self.title} {problem}. {way_out}", field=f"params.{self.name}")


def read_parameters(strategy: type) -> tuple[Parameter, ...]:
    """Return the parameters of a strategy class, inherited ones first, in the order they were written.

    A parameter is a public class attribute that is a bool, int, float or str, or None with an annotation that says
    which. `Annotated[int, Bounds(2, 200), "What it is"]` gives it bounds and a description, `Literal` its choices.

    Raises:
        ConfigError: a default does not satisfy its own declaration.
    """
    found: dict[str, Parameter] = {}
    for owner in reversed(strategy.__mro__):
        if owner is object or owner.__module__ == "engine.strategy":
            continue
        hints = _hints(owner)
        for name, default in vars(owner).items():
            parameter = None if name.startswith("_") else _read(name, default, hints.get(name))
            if parameter is not None:
                found[name] = parameter
            elif name in found:
                del found[name]  # a subclass put a method or property in its place
    for parameter in found.values():
        parameter.parse(parameter.default)
    return tuple(found.values())


def check_parameters(strategy: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of `strategy`: `values` parsed, the rest at their defaults, checked together.

    Raises:
        ConfigError: an unknown name, a value out of range, or a combination that the strategy's `check` refuses.
    """
    parameters = {parameter.name: parameter for parameter in read_parameters(strategy)}
    for name in values:
        if name not in parameters:
            raise unknown("parameter", name, parameters, field=f"params.{name}")
    checked = {name: parameter.parse(values.get(name, parameter.default)) for name, parameter in parameters.items()}
    check = getattr(strategy, "check", None)
    if check is not None:
        check(checked)
    return checked


def check_together(strategy: Any, values: Mapping[str, Any], title: str) -> None:
    """Let the strategy check its parameters together, each of them good by itself.

    Raises:
        ConfigError: it refuses them, or cannot check them.
    """
    check = getattr(strategy, "check", None)
    if check is None:
        return
    try:
        check(dict(values))
    except EngineError:
        raise
    except (Exception, SystemExit) as error:  # a user's own code
        problem = f"{title} could not check its parameters: {type(error).__name__}: {error}"
        raise ConfigError(f"{problem[:300]}. Correct its check method.", field="strategy") from error


def unknown(kind: str, name: str, known: typing.Iterable[str], *, field: str) -> ConfigError:
    """Return the refusal of a name that is not among the `known`, with the nearest or all of them as the way out."""
    known = sorted(known)
    # Casing is the most common slip, and difflib takes it for a difference.
    folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    if near:
        hint = f"Did you mean {folded[near[0]]}?"
    elif known:
        hint = f"Known: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}."
    else:
        hint = "There are none."
    return ConfigError(f"There is no {kind} {_shown(name)}. {hint}", field=field)


def _read(name: str, default: Any, hint: Any) -> Parameter | None:
    kind, bounds, description = hint, Bounds(), ""
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        bounds = next((note for note in notes if isinstance(note, Bounds)), bounds)
        description = next((note for note in notes if isinstance(note, str)), "")
    options = [option for option in _options(kind) if option is not type(None)]
    optional = type(None) in _options(kind)
    choices = tuple(value for option in options if get_origin(option) is Literal for value in get_args(option))
    if default is None:
        candidates = [type(choices[0])] if choices else [option for option in options if option in _SCALARS]
        if not candidates:
            return None
        scalar = float if float in candidates else candidates[0]
        optional = True
    elif isinstance(default, _SCALARS):
        scalar = float if float in options and not isinstance(default, bool) else _scalar_of(default)
    else:
        return None
    return Parameter(name, scalar, default, bounds.low, bounds.high, description, choices, optional)


def _scalar_of(value: Any) -> type:
    return next(scalar for scalar in _SCALARS if isinstance(value, scalar))


def _options(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (typing.Union, types.UnionType):
        return get_args(kind)
    return (kind,)


def _hints(owner: type) -> dict[str, Any]:
    """Return the annotations of one class; one that cannot be evaluated only loses its metadata."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except Exception:  # whatever a user's annotation raises: the defaults still tell the types
        return {
            name: hint for name, hint in vars(owner).get("__annotations__", {}).items() if not isinstance(hint, str)
        }


def _to_bool(value: Any) -> bool:
    if value is None:
        return False  # an unticked box is not sent at all
    text = str(value).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise ValueError(value)


def _to_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, str):
        value = value.strip()
        # int() takes digits of any length; a bound is what stops those, and float tells 1e3 from text.
        number = int(value) if value.lstrip("+-").isdecimal() else float(value)
    else:
        number = value
    if int(number) != number:
        raise ValueError(value)
    return int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
