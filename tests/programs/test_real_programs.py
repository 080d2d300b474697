"""Programs from Debian, unmodified, print in the guest what they print natively.

To add one: append a row to COMMANDS: the program, its arguments, and its standard input.
"""

from __future__ import annotations

import pytest

from ringlet.testing import Guest
from tests.programs.debian import program

TEXT = b"The quick brown fox\njumps over\nthe lazy dog\n" * 40
BINARY = bytes(range(256)) * 300

AWK_FLOAT = "BEGIN{s=0; for(i=1;i<2000;i++) s+=sin(i)/i; printf \"%.12f %g %e\\n\", s, s*1e10, 1/3}"
AWK_STRINGS = ("BEGIN{for(i=0;i<50;i++){a[i]=i*i}; n=0; for(k in a) n+=a[k]; print n; "
               "s=\"abc\"; gsub(/b/,\"XX\",s); print s, length(s), toupper(s)}")

COMMANDS: list[tuple[str, list[str], bytes]] = [
    ("busybox", ["echo", "hello", "world"], b""),
    ("busybox", ["echo", "-e", r"a\tb\nc"], b""),
    ("busybox", ["expr", "6", "*", "7"], b""),
    ("busybox", ["expr", "1", "=", "2"], b""),
    ("busybox", ["seq", "1", "200"], b""),
    ("busybox", ["seq", "-w", "0", "7", "100"], b""),
    ("busybox", ["true"], b""),
    ("busybox", ["false"], b""),
    ("busybox", ["printf", "%05d|%-8s|%x\\n", "42", "abc", "255"], b""),
    ("busybox", ["cat"], TEXT),
    ("busybox", ["cat"], BINARY),
    ("busybox", ["sha256sum"], BINARY),
    ("busybox", ["sha256sum"], b""),
    ("busybox", ["sha512sum"], BINARY),
    ("busybox", ["md5sum"], TEXT),
    ("busybox", ["cksum"], BINARY),
    ("busybox", ["wc"], TEXT),
    ("busybox", ["sort"], TEXT),
    ("busybox", ["uniq", "-c"], TEXT),
    ("busybox", ["head", "-n", "5"], TEXT),
    ("busybox", ["tail", "-n", "5"], TEXT),
    ("busybox", ["tr", "a-z", "A-Z"], TEXT),
    ("busybox", ["rev"], TEXT),
    ("busybox", ["cut", "-d", " ", "-f", "2"], TEXT),
    ("busybox", ["grep", "-n", "fox"], TEXT),
    ("busybox", ["grep", "nowhere"], TEXT),
    ("busybox", ["sed", "s/quick/slow/;3q"], TEXT),
    ("busybox", ["od", "-A", "d", "-t", "x1"], BINARY[:500]),
    ("busybox", ["hexdump", "-C"], BINARY[:500]),
    ("busybox", ["base64"], BINARY),
    ("busybox", ["gzip", "-c"], TEXT),
    ("busybox", ["bzip2", "-c"], TEXT),
    ("busybox", ["factor", "1234567890", "97"], b""),
    ("busybox", ["dc", "-e", "2 100 ^ p"], b""),
    ("busybox", ["bc"], b"scale=30; 4*a(1)\n2^200\n"),
    ("busybox", ["awk", AWK_FLOAT], b""),
    ("busybox", ["awk", AWK_STRINGS], b""),
    ("busybox", ["awk", "{n+=NF} END{print NR, n}"], TEXT),
    ("busybox", ["sh", "-c", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; echo $i"], b""),
    ("busybox", ["sh", "-c", "echo $((0x7fffffff * 3 % 1000)); exit 7"], b""),
    ("busybox", ["nosuchapplet"], b""),
    ("busybox", ["sleep", "3"], b""),
    ("busybox", ["basename", "/a/b/c.txt", ".txt"], b""),
    ("busybox", ["dirname", "/a/b/c.txt"], b""),
    ("busybox", ["cal", "11", "2026"], b""),
    ("busybox", ["date", "-u", "-d", "@1000000000", "+%Y-%m-%dT%H:%M:%S"], b""),
    ("busybox", ["env"], b""),
    ("busybox", ["pwd"], b""),
    ("bash-static", ["-c", "for i in {1..50}; do echo -n $((i*i)) ''; done; echo"], b""),
    ("bash-static", ["-c", "a=(3 1 2); echo ${#a[@]} ${a[*]}; printf '%s\\n' \"${a[@]:1}\""], b""),
    ("bash-static", ["-c", "f() { echo in $1; return 3; }; f x; echo $?"], b""),
    ("bash-static", ["-c", "x=hello; echo ${x^^} ${x/l/L} ${#x} ${x:1:3}"], b""),
    ("bash-static", ["-c", "[[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}"], b""),
    ("bash-static", ["-c", "while read -r line; do echo \"<$line>\"; done"], TEXT[:200]),
    ("bash-static", ["-c", "echo $((2**62)) $((-7/2)) $((RANDOM >= 0)); exit 42"], b""),
    ("bash-static", ["-c", "declare -A m=([a]=1 [b]=2); for k in a b; do echo $k=${m[$k]}; done"],
     b""),
    ("bash-static", ["-c", "kill -l 9; type cd; nosuch() { :; }; echo ok"], b""),
    ("bash-static", ["-c", "nosuchcommand"], b""),
    ("zsh-static", ["-fc", "print -l {a..e}; echo $((7.0/2))"], b""),
    ("zsh-static", ["-fc", "a=(one two three); print $#a ${a[2]} ${(U)a[3]}"], b""),
    ("zsh-static", ["-fc", "repeat 5; do print -n x; done; print; exit 9"], b""),
]


def _identifier(row: tuple[str, list[str], bytes]) -> str:
    name, arguments, stdin = row
    return f"{name} {' '.join(arguments)[:40]}{f' <{len(stdin)}' if stdin else ''}"


@pytest.mark.native
@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("row", COMMANDS, ids=_identifier)
def test_output_and_status_are_the_native_ones(guest: Guest,
                                               row: tuple[str, list[str], bytes]) -> None:
    """Does this command print the same bytes and end with the same status?"""
    name, arguments, stdin = row
    guest(program(name), *arguments, stdin=stdin)
