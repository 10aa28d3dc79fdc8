"""What the command line shows of what others have written."""

import io

from orchestrator.cli import output


def test_control_signs_are_seen_and_not_obeyed() -> None:
    shown = output.Shown(file=io.StringIO(), force_terminal=True, width=60, highlight=False)
    evil = "a\x1b]0;title\x07b\x1b[31mc\x9bd\u202ee\r"
    shown.print(output.table("NAME", "STATUS", rows=[[evil, output.status("failed")], ["plain", "x"]]))
    shown.print(output.facts([("name", evil)]))
    shown.print(evil)
    assert isinstance(shown.file, io.StringIO)
    text = shown.file.getvalue()
    assert "\x1b[1;31mfailed" in text  # our own colours stay
    assert not any(sign in text for sign in ("\x1b]", "\x1b[31mc", "\x07", "\x9b", "\u202e", "\r"))
    assert text.count("a\ufffd]0;titleb\ufffd[31mc") == 3
