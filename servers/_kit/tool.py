"""``@tool``: an annotated async function becomes an MCP tool with input schema, output schema and effect.

The function's first parameter is the server's client; a parameter annotated Principal receives who is asking; every
other parameter is an input of the tool, with pydantic ``Field`` bounds and descriptions through Annotated.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

import mcp_types as t
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from servers._kit.failures import InvalidInput
from shared_auth.principal import Principal

Effect = Literal["read", "write", "destructive"]
Handler = Callable[..., Awaitable[Any]]

EFFECT_META = "mcp-portal/effect"
SCOPE_META = "mcp-portal/scope"


class Output(BaseModel):
    """Base of every output model. Each field is always present, null when unknown: programs need no ``.get``."""

    model_config = ConfigDict(
        frozen=True, json_schema_serialization_defaults_required=True, ser_json_inf_nan="null", use_enum_values=True
    )


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool, complete: what is listed, how arguments are checked, what runs, how the answer is written."""

    name: str
    definition: t.Tool
    effect: Effect
    scope: str
    vendor_scopes: tuple[str, ...]
    handler: Handler
    client_parameter: str
    principal_parameter: str | None
    inputs: type[BaseModel]
    output: TypeAdapter[Any]
    wrapped: bool

    def parse(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the validated keyword arguments. Raises InvalidInput that names each bad argument, not its value."""
        try:
            parsed = self.inputs.model_validate(arguments)
        except ValidationError as error:
            found = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False, include_context=False)[:5]
            )
            raise InvalidInput(found) from None
        return {name: getattr(parsed, name) for name in type(parsed).model_fields}

    def dump(self, value: Any) -> Any:
        """Return the handler's answer as JSON; a root that is not an object is wrapped as ``{"result": …}``."""
        plain = self.output.dump_python(value, mode="json", by_alias=True)
        return {"result": plain} if self.wrapped else plain


def tool(
    *, effect: Effect, scope: str, vendor_scopes: tuple[str, ...] = (), idempotent: bool | None = None
) -> Callable[[Handler], Handler]:
    """Declare an async function as a tool. ``effect`` has no default: forgetting it must not compile.

    ``vendor_scopes`` are what the vendor's documents say that the caller's account must have granted. A call of whose
    caller it is known that they have not does not reach the tool.
    """

    def declare(handler: Handler) -> Handler:
        handler.__tool_spec__ = _spec(handler, effect, scope, vendor_scopes, idempotent)  # type: ignore[attr-defined]
        return handler

    return declare


def spec_of(handler: Handler) -> ToolSpec:
    """Return what @tool declared. Raises AttributeError for a function without it."""
    spec: ToolSpec = handler.__tool_spec__  # type: ignore[attr-defined]
    return spec


def discover(package: str) -> list[ToolSpec]:
    """Return the tools of a package, one per module, in name order.

    Raises LookupError when a module does not define a tool of its own name: a file and its tool never drift apart.
    """
    root = importlib.import_module(package)
    found = []
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package}.{info.name}")
        handler = getattr(module, info.name, None)
        if handler is None or not hasattr(handler, "__tool_spec__"):
            raise LookupError(f"{module.__name__} must define the @tool function {info.name}")
        found.append(spec_of(handler))
    return found


def _spec(
    handler: Handler, effect: Effect, scope: str, vendor_scopes: tuple[str, ...], idempotent: bool | None
) -> ToolSpec:
    name = handler.__name__
    hints = get_type_hints(handler, include_extras=True)
    client, *rest = inspect.signature(handler).parameters.values()
    principal = next((p.name for p in rest if hints[p.name] is Principal), None)
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default)
        for p in rest
        if p.name != principal
    }
    inputs = create_model(f"{name}_input", __base__=_Input, **fields)
    output: TypeAdapter[Any] = TypeAdapter(hints["return"])
    output_schema = output.json_schema(mode="serialization")
    wrapped = "properties" not in _root(output_schema)
    if wrapped:
        definitions = output_schema.pop("$defs", None)
        output_schema = {"type": "object", "properties": {"result": output_schema}, "required": ["result"]}
        if definitions:
            output_schema["$defs"] = definitions
    definition = t.Tool(
        name=name,
        description=inspect.getdoc(handler) or "",
        input_schema=_input_schema(inputs),
        output_schema=output_schema,
        annotations=t.ToolAnnotations(
            read_only_hint=effect == "read",
            destructive_hint=effect == "destructive",
            idempotent_hint=effect == "read" if idempotent is None else idempotent,
            open_world_hint=True,
        ),
        _meta={EFFECT_META: effect, SCOPE_META: scope},
    )
    return ToolSpec(
        name, definition, effect, scope, vendor_scopes, handler, client.name, principal, inputs, output, wrapped
    )


def _input_schema(inputs: type[BaseModel]) -> dict[str, Any]:
    """Return the inputs' schema without the titles that pydantic adds: they repeat the names and cost tokens."""
    schema = inputs.model_json_schema()
    schema.pop("title", None)
    for prop in schema.get("properties", {}).values():
        prop.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: Mapping[str, Any] = schema["$defs"][reference.rsplit("/", 1)[-1]]
        return found
    return schema
