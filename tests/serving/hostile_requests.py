# ruff: noqa: UP031 - JSON is full of the braces that the other ways of formatting want doubled
"""What a client may send that it should not: values, bodies and whole requests, and the codes that they get."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.serving import tiny

TYPES = {"guide": "FP64", "make": "BYTES"}


@dataclass(frozen=True)
class Target:
    """A door that takes JSON: ``rows`` puts JSON texts of rows into its envelope, ``cell`` one value into a row."""

    path: str
    rows: Callable[[list[str]], str]
    cell: Callable[[str, str], str]
    nan: bool = False  # a bare NaN is read as null


def _row(name: str, raw: str) -> str:
    return '{"guide":22400,%s:%s}' % (json.dumps(name), raw) if name != "guide" else '{"guide":%s}' % raw


def _rows(member: str) -> Callable[[list[str]], str]:
    return lambda rows: '{"%s":[%s]}' % (member, ",".join(rows))


def _by_row(path: str, member: str, **more) -> Target:
    return Target(path, _rows(member), lambda name, raw: _rows(member)([_row(name, raw)]), **more)


def _columns(path: str, member: str, **more) -> Target:
    def cell(name: str, raw: str) -> str:
        values = {"guide": "22400", name: raw}
        return '{"%s":{%s}}' % (member, ",".join(f"{json.dumps(k)}:[{v}]" for k, v in values.items()))

    return Target(path, _rows(member), cell, **more)


def _split() -> Target:
    def cell(name: str, raw: str) -> str:
        values = {"guide": "22400", name: raw}
        return '{"dataframe_split":{"columns":%s,"data":[[%s]]}}' % (
            json.dumps(list(values)),
            ",".join(values.values()),
        )

    return Target("/invocations", lambda rows: '{"dataframe_split":{"columns":["guide"],"data":[%s]}}' % ",".join(rows), cell, nan=True)  # fmt: skip


def _v2() -> Target:
    def tensor(name: str, raw: str, count: int = 1) -> str:
        kind = TYPES.get(name, "FP64")
        return '{"name":%s,"shape":[%d,1],"datatype":"%s","data":[%s]}' % (json.dumps(name), count, kind, raw)

    def cell(name: str, raw: str) -> str:
        guide = [] if name == "guide" else [tensor("guide", "22400")]
        return '{"inputs":[%s]}' % ",".join([*guide, tensor(name, raw)])

    return Target(f"/v2/models/{tiny.MODEL}/infer", lambda rows: '{"inputs":[%s]}' % tensor("guide", ",".join(["0"] * len(rows)), len(rows)), cell)  # fmt: skip


TARGETS = {
    "predict": _by_row("/v1/predict", "rows"),
    "predict columns": _columns("/v1/predict", "columns"),
    "invocations records": _by_row("/invocations", "dataframe_records", nan=True),
    "invocations instances": _by_row("/invocations", "instances", nan=True),
    "invocations inputs": _columns("/invocations", "inputs", nan=True),
    "invocations split": _split(),
    "v2": _v2(),
}
GOOD = {name: target.cell("make", '"Ford"').encode() for name, target in TARGETS.items()}

# one value in the place of a good one: (column, JSON text)
VALUES = {
    "nan": ("guide", "NaN"),
    "infinity": ("guide", "Infinity"),
    "minus infinity": ("guide", "-Infinity"),
    "1e400": ("guide", "1e400"),
    "-1e400": ("guide", "-1e400"),
    "400 digits": ("guide", "9" * 400),
    "5000 digits": ("guide", "9" * 5_000),
    "half a million digits": ("guide", "9" * 500_000),
    "half a million decimals": ("year", "1." + "9" * 500_000 + "e300"),
    "2**63": ("guide", str(2**63)),
    "2**64": ("guide", str(2**64)),
    "-2**63": ("guide", str(-(2**63))),
    "1e-400": ("guide", "1e-400"),
    "minus zero": ("guide", "-0"),
    "minus zero point zero": ("guide", "-0.0"),
    "above range": ("guide", "1000000.0000000002"),
    "true": ("guide", "true"),
    "text as number": ("guide", '"1"'),
    "NaN as text": ("guide", '"NaN"'),
    "object as number": ("guide", "{}"),
    "list as number": ("guide", "[1,[2]]"),
    "required null": ("guide", "null"),
    "hexadecimal": ("guide", "0x10"),
    "leading zero": ("guide", "01"),
    "leading plus": ("guide", "+1"),
    "leading point": ("guide", ".5"),
    "trailing point": ("guide", "1."),
    "underscore": ("guide", "1_000"),
    "arabic digits": ("guide", "\u0661"),
    "full width digits": ("guide", "\uff11"),
    "number as text": ("make", "1"),
    "bool as text": ("make", "false"),
    "list as text": ("make", '["Ford",["Ford"]]'),
    "object as text": ("make", '{"a":1}'),
    "nul": ("make", '"a\\u0000b"'),
    "raw nul": ("make", '"a\0b"'),
    "raw line break": ("make", '"a\nb"'),
    "high surrogate": ("make", '"\\ud800"'),
    "low surrogate": ("make", '"\\udc00x"'),
    "swapped surrogates": ("make", '"\\udc00\\ud800"'),
    "bad escape": ("make", '"\\x41"'),
    "half an escape": ("make", '"\\u12"'),
    "201 characters": ("make", '"' + "x" * 201 + '"'),
    "a megabyte of text": ("make", '"' + "x" * 1_000_000 + '"'),
    "a megabyte of escapes": ("make", '"' + "\\u0041" * 170_000 + '"'),
    "open text": ("make", '"Ford'),
    "deep lists": ("guide", "[" * 100_000 + "]" * 100_000),
    "deep objects": ("guide", '{"a":' * 100_000 + "1" + "}" * 100_000),
    "deep and open": ("guide", "[" * 500_000),
    "a megabyte of lists": ("guide", "[" + ",".join(["[]"] * 330_000) + "]"),
    "a megabyte of objects": ("guide", "[" + ",".join(["{}"] * 330_000) + "]"),
    "a megabyte of numbers": ("guide", "[" + ",".join(["1"] * 500_000) + "]"),
    "a megabyte of floats": ("guide", "[" + ",".join(["1.5"] * 250_000) + "]"),
    "many names in a value": ("guide", "{" + ",".join(f'"{i}":1' for i in range(90_000)) + "}"),
    "unknown column": ("gide", "1"),
    "long name": ("x" * 1_000_000, "1"),
    "surrogate in a name": ("\ud800", "1"),
    "nul in a name": ("guide\0", "1"),
    "prototype": ("__proto__", "1"),
}
# only half of these ever reach the check of values; the others are no JSON at all
NOT_JSON = {
    "nan", "infinity", "minus infinity", "5000 digits", "half a million digits", "hexadecimal", "leading zero",
    "leading plus", "leading point", "trailing point", "underscore", "arabic digits", "full width digits", "raw nul",
    "raw line break", "bad escape", "half an escape", "open text",
}  # fmt: skip

Bytes = Callable[[Target], bytes]


def _encoded(encoding: str) -> Bytes:
    return lambda target: target.cell("make", '"Ford"').encode(encoding)


def _raw(old: str, new: bytes) -> Bytes:
    return lambda target: target.cell("make", f'"{old}"').encode().replace(old.encode(), new)


def _many(count: int, row: str) -> Bytes:
    return lambda target: target.rows([row] * count).encode()


# whole bodies: (bytes, headers)
BODIES: dict[str, tuple[Bytes, dict[str, str]]] = {
    "nothing": (lambda _: b"", {}),
    "a blank": (lambda _: b" ", {}),
    "blanks only": (lambda _: b" " * 1_000_000, {}),
    "null": (lambda _: b"null", {}),
    "number": (lambda _: b"1", {}),
    "text": (lambda _: b'"rows"', {}),
    "list": (lambda _: b"[]", {}),
    "empty object": (lambda _: b"{}", {}),
    "half": (lambda t: t.cell("guide", "1").encode()[:-2], {}),
    "twice": (lambda t: t.cell("guide", "1").encode() * 2, {}),
    "comment": (lambda t: b"/* hi */" + t.cell("guide", "1").encode(), {}),
    "single quotes": (lambda t: t.cell("make", '"Ford"').replace('"', "'").encode(), {}),
    "trailing comma": (lambda t: t.cell("guide", "1,").encode(), {}),
    "utf-16": (_encoded("utf-16"), {}),
    "utf-16 without mark": (_encoded("utf-16-le"), {}),
    "utf-32": (_encoded("utf-32"), {}),
    "byte order mark": (_encoded("utf-8-sig"), {}),
    "bad utf-8": (_raw("SECRET", b"SECRET\xff"), {}),
    "overlong utf-8": (_raw("SECRET", b"SECRET\xc0\x80"), {}),
    "surrogate in utf-8": (_raw("SECRET", b"SECRET\xed\xa0\x80"), {}),
    "cut utf-8": (_raw("SECRET", b"SECRET\xf0\x9f"), {}),
    "binary": (lambda _: bytes(range(256)) * 1_000, {}),
    "name twice": (
        lambda t: t.cell("guide", '1,"guide":2').encode() if "inputs" not in t.cell("guide", "1") else b'{"a":1,"a":2}',
        {},
    ),
    "100,000 rows": (_many(100_000, '{"a":1}'), {}),
    "1,001 rows": (_many(1_001, '{"guide":1}'), {}),
    "330,000 empty rows": (_many(330_000, "{}"), {}),
    "150,000 unknown columns": (
        lambda t: (
            t.cell("guide", "1")
            .replace('"guide"', '"guide":1,' + ",".join(f'"{i:x}":1' for i in range(90_000)) + ',"z"', 1)
            .encode()
        ),
        {},
    ),
    "1,000 rows of 100 unknown columns": (_many(1_000, "{" + ",".join(f'"{i}":1' for i in range(100)) + "}"), {}),
    "1,000 bad rows": (_many(1_000, '{"guide":0,"year":0,"miles":-9,"make":1}'), {}),
    "a byte too many": (lambda t: t.cell("guide", "1").encode().ljust((1 << 20) + 1), {}),
    "gzip": (lambda t: gzip.compress(t.cell("guide", "1").encode()), {"content-encoding": "gzip"}),
    "gzip that lies": (lambda t: t.cell("guide", "1").encode(), {"content-encoding": "gzip"}),
    "gzip unsaid": (lambda t: gzip.compress(t.cell("guide", "1").encode()), {}),
    "unknown coding": (lambda t: t.cell("guide", "1").encode(), {"content-encoding": "br, x"}),
    "plain text": (lambda t: t.cell("guide", "1").encode(), {"content-type": "text/plain"}),
    "form": (lambda _: b"rows=1", {"content-type": "application/x-www-form-urlencoded"}),
    "multipart": (lambda _: b"--x\r\n\r\n1\r\n--x--", {"content-type": "multipart/form-data; boundary=x"}),
    "xml": (lambda _: b"<a/>", {"content-type": "application/xml"}),
    "json of others": (lambda t: t.cell("guide", "1").encode(), {"content-type": "application/problem+json"}),
    "strange type": (lambda t: t.cell("guide", "1").encode(), {"content-type": ";;;" + "a" * 1_000}),
}


def request(path: str, body: bytes, *lines: str, length: str | None = "", method: str = "POST", version="1.1") -> bytes:
    """One HTTP request as bytes; ``length`` None sends no Content-Length, "" the true one."""
    head = [f"{method} {path} HTTP/{version}", "host: x", "content-type: application/json", *lines]
    if length is not None:
        head.append(f"content-length: {length or len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


Wire = Callable[[str, bytes], bytes]
CHUNKED = "transfer-encoding: chunked"

# whole requests on a connection of their own (address, good body): bytes, and the statuses that may come; 0: closed
WIRE: dict[str, tuple[Wire, set[int]]] = {
    "length and chunks": (lambda p, b: request(p, b"5\r\nhello\r\n0\r\n\r\n", CHUNKED, length="5"), {400}),
    "two lengths": (lambda p, b: request(p, b, f"content-length: {len(b) + 1}"), {400}),
    "negative length": (lambda p, b: request(p, b, length="-1"), {400}),
    "length no number": (lambda p, b: request(p, b, length="ten"), {400}),
    "huge length": (lambda p, b: request(p, b"", length=str(1 << 62)), {413}),
    "length of 5000 digits": (lambda p, b: request(p, b"", length="9" * 5_000), {400, 413}),
    "garbage for chunks": (lambda p, b: request(p, b"zz\r\nhello\r\n", CHUNKED, length=None), {400, 0}),
    "huge chunk": (lambda p, b: request(p, b"f" * 30 + b"\r\nhello", CHUNKED, length=None), {400, 0}),
    "negative chunk": (lambda p, b: request(p, b"-1\r\nhello\r\n", CHUNKED, length=None), {400, 0}),
    "unknown coding": (lambda p, b: request(p, b, "transfer-encoding: gzip"), {400, 413, 415}),
    "chunks above the cap": (
        lambda p, b: request(p, (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 20, CHUNKED, length=None),
        {413},
    ),
    "200 kB header": (lambda p, b: request(p, b, "x-large: " + "a" * 200_000), {400}),
    "header without end": (lambda p, b: f"POST {p} HTTP/1.1\r\nx-large: ".encode() + b"a" * 600_000, {400}),
    "20,000 headers": (lambda p, b: request(p, b, *(f"x-{i}: {i}" for i in range(20_000))), {400, 200}),
    "endless trailer": (lambda p, b: request(p, b"0\r\nx-large: " + b"a" * 400_000, CHUNKED, length=None), {400, 415}),
    "200 kB address": (lambda p, b: request("/" + "a" * 200_000, b), {400}),
    "no host": (lambda p, b: request(p, b).replace(b"host: x\r\n", b""), {200, 400}),
    "bytes in the address": (lambda p, b: request(p + "\xff", b), {400, 404}),
    "escapes in the address": (lambda p, b: request("/%00%ff/..%2f..%2fetc/passwd", b), {404}),
    "query": (lambda p, b: request(p + "?a=%00&b=<script>", b), {200}),
    "absolute address": (lambda p, b: request("http://elsewhere" + p, b), {200, 400, 404}),
    "star": (lambda p, b: request("*", b"", method="OPTIONS"), {400, 404, 405}),
    "unknown method": (lambda p, b: request(p, b, method="BREW"), {400}),
    "CONNECT": (lambda p, b: request("a:1", b"", method="CONNECT"), {400, 404, 405}),
    "TRACE": (lambda p, b: request(p, b"", method="TRACE"), {405}),
    "nul in a header": (lambda p, b: request(p, b, "x-a: a\0b"), {400}),
    "blank before the colon": (lambda p, b: request(p, b, "x-a : 1"), {400}),
    "folded header": (lambda p, b: request(p, b, "x-a: 1\r\n 2"), {200, 400}),
    "bare line feeds": (lambda p, b: request(p, b).replace(b"\r\n", b"\n"), {200, 400}),
    "no HTTP": (lambda p, b: b"hello\r\n\r\n", {400}),
    "HTTP/0.9": (lambda p, b: b"GET /livez\r\n\r\n", {200, 400}),
    "HTTP/9.9": (lambda p, b: request(p, b, version="9.9"), {400}),
    "HTTP/2": (lambda p, b: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "TLS": (lambda p, b: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, {400}),
    "HTTP/1.0": (lambda p, b: request(p, b, version="1.0"), {200}),
    "expect": (lambda p, b: request(p, b, "expect: 100-continue"), {200}),
    "expect too much": (lambda p, b: request(p, b"", "expect: 100-continue", length="99999999"), {413}),
    "upgrade": (
        lambda p, b: request(
            "/livez", b"", "upgrade: websocket", "connection: upgrade", "sec-websocket-key: x", method="GET"
        ),
        {200, 400, 404},
    ),
    "upgrade to HTTP/2": (lambda p, b: request(p, b, "upgrade: h2c", "connection: upgrade"), {200, 400}),
    "request id of an attacker": (lambda p, b: request(p, b, "x-request-id: " + "a" * 10_000), {200}),
    "trace of an attacker": (lambda p, b: request(p, b, "traceparent: \xff"), {200}),
}
