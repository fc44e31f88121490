"""The bodies and parameters of the server's interface as JSON Schema, and the media types that they come in."""

from typing import Any

Schema = dict[str, Any]
JSON = "application/json"
BYTES = "application/octet-stream"
PNG = "image/png"
PAGE = "text/html; charset=utf-8"


def object_schema(required: str, **properties: Any) -> Schema:
    """An object with these properties; `required` names those that are always there, with blanks between them."""
    return {"type": "object", "required": required.split(), "properties": properties}


def array(items: Schema, **more: Any) -> Schema:
    """A list whose elements are all like `items`."""
    return {"type": "array", "items": items, **more}


def component(name: str) -> Schema:
    """A reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def parameter(place: str, name: str, schema: Schema, *, required: bool = False, what: str = "") -> Schema:
    """A parameter of an address; `place` is path or query."""
    description = {"description": what} if what else {}
    return {"in": place, "name": name, "required": required, "schema": schema, **description}


STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
COUNT: Schema = {"type": "integer", "minimum": 1}
FILE: Schema = {"type": "string", "format": "binary"}  # OpenAPI 3.1 needs no schema here; generators make bytes of it
STATUS = object_schema("status", status=STRING)
LIVE = object_schema("live", live=BOOLEAN, ready=BOOLEAN)
TENSOR = object_schema(
    "name datatype shape", name=STRING, datatype=STRING, shape=array({"type": "integer", "minimum": -1})
)
OUTPUT_NAME: Schema = {"type": "string", "enum": ["probabilities", "logits", "class_maps", "distance"]}
UNKNOWN = "The best score is under the model's threshold, or the picture is unlike those that the model was trained on."
ASKED: Schema = {
    "type": "object",
    "description": "binary_data: true, behind the JSON; classification: so many classes in words.",
}
SCHEMAS: dict[str, Schema] = {
    "error": {**object_schema("error", error=STRING), "additionalProperties": False},
    "class": {
        **object_schema(
            "label score",
            label=STRING,
            score=SHARE,
            unknown={"type": "boolean", "const": True, "description": UNKNOWN},
            map={"type": "string", "contentEncoding": "base64", "contentMediaType": PNG},
        ),
        "additionalProperties": False,
    },
    "model": object_schema(
        "name classes size channels unknown_below precision sha256",
        name=STRING,
        classes=array(STRING),
        size=array(COUNT, minItems=2, maxItems=2, description="Height and width that the network sees."),
        channels={"type": "integer", "enum": [1, 3, 4]},
        unknown_below=SHARE,
        unknown_beyond={
            "type": "number",
            "minimum": 0,
            "description": "Distance; only models that measure it have it.",
        },
        precision=STRING,
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    ),
    "infer": object_schema(
        "inputs",
        id=STRING,
        parameters={"type": "object", "description": "binary_data_output: true, for all outputs behind the JSON."},
        inputs=array(component("input"), minItems=1, maxItems=1),
        outputs=array(object_schema("name", name={**STRING, "description": "One of the outputs."}, parameters=ASKED)),
    ),
    "input": object_schema(
        "name shape datatype",
        name={"type": "string", "description": "pictures or files."},  # generators make a class of an enum
        shape=array(COUNT, minItems=1, maxItems=4),
        datatype={"type": "string", "description": "UINT8 or BYTES."},
        parameters={"type": "object", "description": "binary_data_size, where the data is behind the JSON."},
        data=array({}, description="Numbers, flat or nested, or pictures in base64."),
    ),
    "answers": object_schema(
        "model_name outputs",
        model_name=STRING,
        model_version=STRING,
        id=STRING,
        outputs=array(
            object_schema(
                "name shape datatype",
                name=OUTPUT_NAME,
                shape=array(COUNT),
                datatype={"type": "string", "enum": ["FP32", "BYTES"]},
                parameters={"type": "object", "description": "binary_data_size, where the data is behind the JSON."},
                data=array({}),
            )
        ),
    ),
}
