"""Pages of other origins, by the words of the Fetch standard: off without the option, in every answer with it."""

import pytest

from live_server import Live, post
from nin.errors import UsageError
from nin.run.options import ServeOptions

PAGE = "https://example.org"
ASKS = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


def allowed(reply) -> str | None:
    return reply.headers.get("Access-Control-Allow-Origin")


def test_nobody_is_let_by_default(live, pictures):
    reply = live.ask("POST", "/predict", pictures[0][1], Origin=PAGE)
    assert reply.status == 200 and not [name for name in reply.headers if name.startswith("Access-Control")]
    assert live.ask("OPTIONS", "/predict", **ASKS).status == 405


@pytest.mark.parametrize(("option", "said"), [(PAGE, PAGE), (f"http://localhost:3000, {PAGE}", PAGE), ("*", "*")])
def test_an_origin_that_is_let_hears_it_in_every_answer_and_beforehand(option, said, pictures):
    with Live(origins=ServeOptions(cors=option).origins) as live:
        _, png = pictures[0]
        for reply in (
            live.ask("POST", "/predict", png, Origin=PAGE),
            live.ask("POST", "/predict", b"hello", Origin=PAGE),
            live.ask("GET", "/nothing", Origin=PAGE),
            live.ask("OPTIONS", "/predict", **ASKS),
            live.ask("OPTIONS", "/v2/models/colours/infer", **ASKS),
        ):
            assert allowed(reply) == said and (reply.headers.get("Vary") == "Origin") == (said != "*")
        before = live.ask("OPTIONS", "/predict", **ASKS)
        assert (before.status, before.headers["Access-Control-Allow-Methods"]) == (200, "POST")
        assert "Content-Type" in before.headers["Access-Control-Allow-Headers"]
        assert live.ask("OPTIONS", "/models", **ASKS).headers["Access-Control-Allow-Methods"] == "GET, HEAD"
        assert live.ask("OPTIONS", "/predict", Origin=PAGE).status == 405
        too_long = post(b"", "/predict", f"Origin: {PAGE}").replace(b"Length: 0", b"Length: 99999999")
        assert b"Access-Control-Allow-Origin: " + said.encode() in live.say(too_long)


def test_another_origin_hears_nothing(pictures):
    with Live(origins=(PAGE,)) as live:
        for origin in ("https://example.org.evil", "http://example.org", "null", "https://example.org:444", ""):
            reply = live.ask("POST", "/predict", pictures[0][1], Origin=origin)
            assert (reply.status, allowed(reply), reply.headers["Vary"]) == (200, None, "Origin")
            assert live.ask("OPTIONS", "/predict", **{**ASKS, "Origin": origin}).status == 405


@pytest.mark.parametrize(
    "word",
    ["example.org", "https://example.org/", "https://*.org", "https://a\r\nX: 1", "null", "", " , ", "HTTPS://A"],
)
def test_what_is_no_origin_is_refused_by_the_option(word):
    with pytest.raises(UsageError, match=r"^--cors is .*expected an origin"):
        ServeOptions(cors=word)
