import pytest

from batchroute.providers.simulator.http import (
    MAX_BODY_BYTES,
    HttpRequest,
    ProtocolError,
    RequestReader,
    parse_head,
    render,
)

POST = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
GET = b"GET /health?full=1 HTTP/1.1\r\nHost: a\r\n\r\n"


def read_all(reader: RequestReader) -> list[HttpRequest]:
    requests = []
    while (request := reader.next()) is not None:
        requests.append(request)
    return requests


def test_requests_are_found_however_their_bytes_arrive() -> None:
    sent = POST + GET + b"\r\n" + POST
    whole = RequestReader()
    whole.feed(sent)
    dripped, found = RequestReader(), []
    for octet in sent:
        dripped.feed(bytes([octet]))
        found += read_all(dripped)

    assert [request.path for request in found] == ["/v1/x", "/health", "/v1/x"]
    assert found == read_all(whole)
    assert found[0].body == b"body"
    assert len(whole) == len(dripped) == 0


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"GET / HTTP/1.1\r\nhost: a", True),
        (b"GET / HTTP/1.1\r\nConnection: Close", False),
        (b"GET / HTTP/1.0\r\nhost: a", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", True),
    ],
)
def test_the_connection_is_kept_as_the_client_asks(head: bytes, kept: bool) -> None:
    assert parse_head(head).keep_alive is kept


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\r\n\r\n", 400, id="tls"),
        pytest.param(b"GET / HTTP/2.0\r\n\r\n", 400, id="version"),
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, id="folded"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 400, id="list of lengths"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", 400, id="two lengths"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411, id="chunked"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413, id="large body"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, 431, id="endless head"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431, id="large head"),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(sent: bytes, status: int) -> None:
    reader = RequestReader()
    reader.feed(sent)

    with pytest.raises(ProtocolError) as refused:
        reader.next()

    assert refused.value.status == status


def test_a_client_that_waits_for_continue_is_told_once() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")

    assert reader.next() is None
    assert reader.take_continue()
    assert not reader.take_continue()
    reader.feed(b"ab")
    request = reader.next()
    assert request is not None
    assert request.body == b"ab"


def test_a_response_states_its_length_and_whether_the_connection_stays() -> None:
    kept = render(200, b"{}", kind=b"application/json", headers=b"a: b\r\n", keep_alive=True)
    closed = render(429, b"", kind=b"text/html", headers=b"", keep_alive=False)

    assert kept == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\na: b\r\n\r\n{}"
    )
    assert closed.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert closed.endswith(b"\r\nconnection: close\r\n\r\n")
