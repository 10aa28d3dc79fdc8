"""What strangers write into mails: nothing of it breaks anything, gets out of its folder, or is taken for what it is not."""

import base64
import stat
import time
from pathlib import Path

import pytest

from orchestrator.mail.attachments import Limits, remove, save
from orchestrator.mail.names import harmless
from orchestrator.mail.plain import text_of
from orchestrator.mail.reading import Attached, content, envelope
from orchestrator.mail.sender import sender

LIMITS = Limits(each=100, count=3, total=150)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["ann@example.com"], "ann@example.com"),
        (["Ann <Ann@Example.com>"], "ann@example.com"),
        (['"boss@example.com" <evil@example.org>'], "evil@example.org"),
        (["=?utf-8?q?boss=40example.com=3E?= <evil@example.org>"], "evil@example.org"),
        (["boss@example.com <evil@example.org>"], ""),
        (["<boss@example.com> <evil@example.org>"], ""),
        (["boss@example.com, evil@example.org"], ""),
        (["boss@example.com\r\n <evil@example.org>"], ""),
        (["boss@example.com", "evil@example.org"], ""),
        (["boss@example.com(evil@example.org)"], ""),
        (["nobody"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_a_sender_in_doubt_is_none(headers: list[str], expected: str) -> None:
    assert sender(headers) == expected


def test_headers_in_all_encodings_are_read() -> None:
    found = envelope(
        b"From: =?iso-8859-1?q?J=F6rg?= <joerg@example.com>\r\n"
        b"To: a@example.com, <B@example.com>, broken\r\nCC: c@example.com\r\n"
        b"Subject: =?utf-8?b?" + base64.b64encode("Fertig ✓\r\nX: y".encode()) + b"?=\r\n =?utf-8?q?_!?=\r\n"
        b"Date: Sat, 4 Apr 2026 10:00:00 +0200\r\nMessage-ID: <1@example.com>\r\n\r\n"
    )
    assert (found.address, found.shown_from) == ("joerg@example.com", "Jörg <joerg@example.com>")
    assert (found.to, found.cc) == (["a@example.com", "b@example.com"], ["c@example.com"])
    assert (found.subject, found.date, found.message_id) == ("Fertig ✓ X: y !", "2026-04-04T08:00:00Z", "<1@example.com>")


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"Subject: gr\xc3\xbcn", "grün"),
        (b"Subject: gr\xfcn", "grün"),
        (b"Subject: =?nonsense?b?4pyT?=", "✓"),
        (b"Subject: =?utf-8?b?!?=", ""),
        (b"Subject: =?idna?q?" + b"a" * 5000 + b"?=", "a" * 1000),
        (b"Subject: a\x00\x07b\x7f", "ab"),
        (b"\xff\xfe", ""),
        (b"", ""),
        (b"Date: Sat, 99 Foo 99999 99:99:99 +9999", ""),
        (b"From: " + b"<" * 5000, ""),
    ],
)
def test_broken_headers_are_read_as_far_as_they_go(header: bytes, subject: str) -> None:
    found = envelope(header + b"\r\n\r\n")
    assert (found.subject, found.date) == (subject, None)


def test_a_mail_is_known_again_by_what_never_changes_in_it() -> None:
    one = b"Message-ID: <1@a>\r\nFrom: a@b\r\nSubject: =?utf-8?q?x?=\r\n"
    assert envelope(b"Received: here\r\n" + one).digest == envelope(one.replace(b": ", b":  ") + b"X-Moved: yes\r\n").digest
    assert envelope(one).digest != envelope(one.replace(b"<1@a>", b"<2@a>")).digest


ALTERNATIVE = b"""Content-Type: multipart/mixed; boundary=o

--o
Content-Type: multipart/alternative; boundary=i

--i
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

gr=FCn
--i
Content-Type: text/html

<p>green</p>
--i--
--o
Content-Type: application/pdf; name="../../etc/a.pdf"
Content-Transfer-Encoding: base64

aGVsbG8=
--o
Content-Type: message/rfc822

Subject: inner

text of the inner mail
--o--
"""


def test_text_html_and_attachments_are_told_apart() -> None:
    found = content(ALTERNATIVE)
    assert (found.text, found.html.strip(), found.notes) == ("grün", "<p>green</p>", ())
    first, second = found.attached
    assert (first.name, first.content_type, first.content) == ("../../etc/a.pdf", "application/pdf", b"hello")
    assert (second.name, second.content_type) == ("message.eml", "message/rfc822")
    assert b"text of the inner mail" in second.content


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 1000,
        b"Content-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a",
        b"Content-Type: text/plain; charset=punycode\n\n" + b"a-" * 1000,
        b"Content-Type: text/plain; charset=\xff\xff\n\nx",
        b"Content-Transfer-Encoding: base64\n\n====!!!!",
        b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n\xff\xff\n",
        b"Content-Disposition: attachment; filename*=utf-9'en'%FF%FE\n\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(500)),
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 3000,
    ],
)
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    found = content(raw)
    assert isinstance(found.text, str)
    found.text.encode()


def test_a_long_text_is_cut_with_a_note() -> None:
    found = content(b"\n" + b"x" * 300_000)
    assert len(found.text) == 200_000
    assert found.notes == ("its text is cut after 200000 characters",)


def test_html_becomes_plain_text() -> None:
    html = (
        "<head><title>no</title><style>p {}</style><body><p>Hello&nbsp;<b>you</b></p><ul><li>one<li>two</ul>"
        '<script>alert("no")</script><a href="https://example.com/x">there</a><a href="javascript:no()">not there</a>'
    )
    assert text_of(html) == "Hello you\n\n- one\n- two\nthere (https://example.com/x)not there"


@pytest.mark.parametrize(
    "nasty",
    ["<", "<!--", "<a ", "&#", "</", "<![", "<?", "<title>", "<script>", "<a href=http://x>", "<a href='", "<p>", "</a>", "&lt"],
)
def test_html_made_to_be_slow_is_read_in_time(nasty: str) -> None:
    before = time.process_time()
    text_of((nasty * 100_000)[:200_000])
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("1 < 2 &amp;&amp; 3 > 2", "1 < 2 && 3 > 2"),
        ("a <b", "a <b"),
        ("a<!-- never ends", "a"),
        ("<title>t</title>x<TITLE>y", "xy"),
        ("<style>p{}</STYLE >z", "z"),
        ("<a href='http://x'>http://x</a>", "http://x"),
        ("<td>a<td>b", "a b"),
        ("<", "<"),
        ("", ""),
    ],
)
def test_html_that_is_none(html: str, text: str) -> None:
    assert text_of(html) == text


def test_a_mail_of_nothing_but_parts_does_not_fill_the_memory() -> None:
    found = content(b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * 1_000_000)
    assert found.notes == ("this mail has too many parts or lines: its text is as it came",)


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(200))


@pytest.mark.parametrize(
    "raw",
    [
        b'Content-Disposition: attachment; filename="' + b";" * 500_000 + b"\n\nx",
        b'Content-Type: text/plain; charset="' + b";" * 500_000 + b"\n\nx",
        b'Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: x; a="' + b";" * 500_000 + b"\n\nx\n--a--",
        b"Content-Disposition: attachment; " + b"".join(b"filename*%d*=a; " % n for n in range(100_000)) + b"\n\nx",
        b"X: y\n" * 1_100_000,
        NESTED + b"x\n" * 1_000_000,
        b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\n\nx",
    ],
    ids=["filename", "charset", "inner", "continued", "headers", "nested", "words"],
)
def test_mails_made_to_be_slow_are_read_in_time(raw: bytes) -> None:
    before = time.process_time()
    content(raw)
    assert time.process_time() - before < 5


@pytest.mark.parametrize("nasty", ["<", "(", '"', ",", "<a@b>,", "(a", '"\\', "[", ":;", "=?utf-8?q?", "a@b ", ";"])
def test_headers_made_to_be_slow_are_read_in_time(nasty: str) -> None:
    value = (nasty * 250_000)[:60_000].encode()
    before = time.process_time()
    envelope(
        b"".join(name + b": " + value + b"\r\n" for name in (b"From", b"To", b"Subject", b"Date", b"Content-Type")) + b"\r\n"
    )
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("..", "attachment-7"),
        ("", "attachment-7"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("...---a.txt", "a.txt"),
        ("con.txt", "_con.txt"),
        ("COM1", "_COM1"),
        ("nul .tar.gz", "_nul .tar.gz"),
        ("a\x00b\n\u202egnp.exe", "a_b__gnp.exe"),
        ("$(rm -rf ~);`x`.sh", "_(rm -rf _)__x_.sh"),
        ("café ✓ 报告.txt", "café _ 报告.txt"),
        ("x" * 300 + ".txt", "x" * 100 + ".txt"),
        ("名" * 300 + ".txt", "名" * 33 + ".txt"),
        ("a.", "a"),
        ("a.txt ", "a.txt"),
        ("A.TXT", "A.TXT"),
    ],
)
def test_names_are_made_harmless(name: str, expected: str, tmp_path: Path) -> None:
    found = harmless(name, 7)
    assert found == expected
    (tmp_path / found).touch()
    assert [one.name for one in tmp_path.iterdir()] == [found]


def test_names_do_not_meet() -> None:
    taken: list[str] = []
    for _ in range(3):
        taken.append(harmless("A.txt", 1, taken))
    assert [*taken, harmless("a.TXT", 1, taken)] == ["A.txt", "A-2.txt", "A-3.txt", "a-4.TXT"]


def attached(*sizes: int) -> list[Attached]:
    return [Attached(f"{number}.bin", "application/x", b"x" * size) for number, size in enumerate(sizes)]


def test_attachments_are_saved_in_a_folder_of_their_mail(tmp_path: Path) -> None:
    (found,) = save([Attached("../a.sh", "text/x-sh", b"echo")], tmp_path / "new" / "folder", "1-2-abc", LIMITS)
    path = tmp_path / "new" / "folder" / "1-2-abc" / "a.sh"
    assert found == {"name": "a.sh", "path": str(path), "size": 4, "content_type": "text/x-sh", "note": None}
    assert path.read_bytes() == b"echo"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert [one.name for one in path.parent.parent.iterdir()] == ["1-2-abc"]


def test_attachments_past_a_limit_are_named_but_not_saved(tmp_path: Path) -> None:
    found = save(attached(101, 100, 51, 20, 30, 0, 0), tmp_path, "m", LIMITS)
    assert [one["path"] is not None for one in found] == [False, True, False, True, True, False, False]
    assert [str(one["note"]).partition("=")[0].strip() for one in found if one["note"]] == [
        "not saved: larger than email.max_attachment_bytes",
        "not saved: all together larger than email.max_attachments_bytes",
        "not saved: more than email.max_attachments",
        "not saved: more than email.max_attachments",
    ]
    assert sorted(one.name for one in (tmp_path / "m").iterdir()) == ["1.bin", "3.bin", "4.bin"]


def test_a_mail_that_comes_again_finds_its_attachments(tmp_path: Path) -> None:
    (tmp_path / ".m.partial").mkdir()
    (tmp_path / ".m.partial" / "0.bin").write_bytes(b"half")
    first = save(attached(3), tmp_path, "m", LIMITS)
    (tmp_path / "m" / "0.bin").write_bytes(b"read by an agent")
    assert save(attached(3), tmp_path, "m", LIMITS) == first
    assert (tmp_path / "m" / "0.bin").read_bytes() == b"read by an agent"
    remove(tmp_path, "m")
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_attachments_are_only_named(tmp_path: Path) -> None:
    (found,) = save(attached(3), None, "m", LIMITS)
    assert (found["path"], found["note"]) == (None, "not saved: email.attachments_directory is empty")
