"""What browsers are told about pages of elsewhere."""

from orchestrator.http.cors import Cors
from orchestrator.http.envelope import Header

BOARD = b"https://board.example"
ASKS = (b"access-control-request-method", b"POST")


def preflight(cors: Cors, origin: bytes, *headers: Header) -> dict[bytes, bytes] | None:
    told = cors.preflight([(b"origin", origin), *headers])
    return None if told is None else dict(told.raw_headers)


def test_a_named_page_may_send_what_it_asks_for() -> None:
    cors = Cors([BOARD.decode()])
    told = preflight(cors, BOARD, ASKS, (b"access-control-request-headers", b"authorization,x-one"))
    assert told is not None
    assert told[b"access-control-allow-origin"] == BOARD
    assert told[b"access-control-allow-headers"] == b"authorization,x-one"
    assert b"DELETE" in told[b"access-control-allow-methods"]
    assert b"access-control-allow-credentials" not in told
    assert dict(cors.headers(BOARD))[b"access-control-allow-origin"] == BOARD


def test_another_page_may_not() -> None:
    cors = Cors([BOARD.decode()])
    assert preflight(cors, b"https://board.example.org", ASKS) is None
    assert preflight(cors, b"null", ASKS) is None
    assert preflight(cors, BOARD) is None
    assert cors.preflight([ASKS]) is None
    assert cors.headers(b"https://elsewhere.example") == cors.headers(None) == [(b"vary", b"origin")]


def test_names_of_headers_are_not_sent_back_unseen() -> None:
    told = preflight(Cors(["*"]), BOARD, ASKS, (b"access-control-request-headers", b"a\tb\x7f"))
    assert told is not None
    assert b"access-control-allow-headers" not in told
    assert told[b"access-control-allow-origin"] == BOARD


def test_without_origins_nothing_is_said() -> None:
    assert Cors([]).headers(BOARD) == []
    assert preflight(Cors([]), BOARD, ASKS) is None
