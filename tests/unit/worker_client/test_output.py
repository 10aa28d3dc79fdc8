import pytest

from worker_client.output import LINE_LIMIT, LineSplitter, Tail


def lines_of(*chunks: bytes, seconds_between: float = 0.001) -> list[str]:
    now = 0.0
    splitter = LineSplitter(lambda: now)
    lines = []
    for chunk in chunks:
        now += seconds_between
        lines += splitter.feed(chunk)
    return lines + splitter.feed(b"", final=True)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\n\nb"], ["a", "", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"one\r\ntwo\r", b"\nthree"], ["one", "two", "three"]),
        (["ü".encode()[:1], "ü".encode()[1:]], ["ü"]),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"]),
        ([b"\xc3"], ["\ufffd"]),
        ([b"a\0b\n"], ["a\ufffdb"]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert lines_of(*chunks) == lines


def test_a_progress_bar_is_kept_now_and_then_and_as_it_was_last() -> None:
    chunks = [f"\r{percent} %".encode() for percent in range(0, 101, 10)]
    assert lines_of(*chunks, b"\nready\n", seconds_between=0.5) == ["0 %", "40 %", "80 %", "100 %", "ready"]
    assert lines_of(b"50 %\r100 %\r\n") == ["100 %"]
    assert lines_of(b"working\r", b"done") == ["working", "done"]
    assert lines_of(b"working...\r", b"\r") == ["working..."]


def test_long_lines_are_split() -> None:
    long = b"x" * (2 * LINE_LIMIT + 3)
    assert [len(line) for line in lines_of(long[:100], long[100:] + b"\n")] == [LINE_LIMIT, LINE_LIMIT, 3]
    assert [len(line) for line in lines_of(long)] == [LINE_LIMIT, LINE_LIMIT, 3]


def test_the_tail() -> None:
    tail = Tail(10)
    for line in ("first", "second", "third"):
        tail.add(line)
    assert str(tail) == "third"
    tail.add("x" * 20)
    assert str(tail) == "x" * 10
