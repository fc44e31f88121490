"""page.json and check.json as JSON Schema, written from web/src/app/site.ts and web/src/net/types.ts by hand."""

TEXT = {"type": "string"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
FILE = {"type": "string", "pattern": r"^(?!\.)[a-z]+\.(json|safetensors)$"}


def closed(**properties):
    """An object with exactly these members."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def or_null(schema):
    return {"anyOf": [{"type": "null"}, schema]}


def listed(schema, **limits):
    return {"type": "array", "items": schema, **limits}


MODEL = closed(
    id={"type": "string", "pattern": r"^[^\s/<>&?#%'\"]+$", "maxLength": 64},
    folder={"type": "string", "pattern": r"^models/[A-Za-z0-9_-][A-Za-z0-9._-]*$"},
    files=listed(FILE, minItems=2, uniqueItems=True),
    bytes={"type": "integer", "minimum": 1},
    sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    labels=closed(ko=or_null(listed(TEXT, minItems=1))),
    examples=listed(
        closed(
            file={"type": "string", "pattern": r"^examples/\d+\.(png|jpg)$"},
            label=or_null(TEXT),
            credit=TEXT,
        )
    ),
    summary=closed(
        parameters={"type": "integer", "minimum": 1},
        accuracy=or_null(SHARE),
        interval=or_null(listed(SHARE, minItems=2, maxItems=2)),
    ),
)
SITE = closed(
    format={"const": 1},
    nin=TEXT,
    language={"enum": ["en", "ko", None]},
    models=listed(MODEL, minItems=1),
    goodbye=or_null(TEXT),
)
NUMBERS = listed({"type": "number"}, minItems=1)
CHECK = closed(
    format={"const": 1},
    pictures=listed(
        closed(
            height={"type": "integer", "minimum": 1, "maximum": 144},
            width={"type": "integer", "minimum": 1, "maximum": 144},
            channels={"enum": [1, 3, 4]},
            pixels={"type": "string", "pattern": "^[A-Za-z0-9+/]+=*$"},
            logits=NUMBERS,
            probabilities=NUMBERS,
            distance=or_null({"type": "number", "minimum": 0}),
        ),
        minItems=3,
    ),
)
