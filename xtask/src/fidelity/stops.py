"""Run by gdb: stops a program at many statements and writes a core at each stop.

Taken from the environment: LR_STOPS, how many; LR_FOLDER, where the cores go.
"""

import os
import random
import signal
import subprocess

import gdb

WANTED = int(os.environ["LR_STOPS"])
FOLDER = os.environ["LR_FOLDER"]
# How long the program may run, stops included.
SECONDS = 20 + WANTED
# Not every statement is reached.
PLANTED = 12 * WANTED
# Of one function, so that large ones do not take all.
OF_ONE = 6


def functions():
    """Addresses and sizes of the program's functions, as the file has them."""
    program = gdb.current_progspace().filename
    lines = subprocess.run(
        ["nm", "--defined-only", "--print-size", program],
        capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[2] in "tTwW":
            yield int(words[0], 16), int(words[1], 16)


def statements():
    """Addresses of statements, some of each function."""
    tables = {}
    for begin, size in sorted(set(functions())):
        symtab = gdb.find_pc_line(begin).symtab
        if symtab is None:
            continue
        name = symtab.fullname()
        if name not in tables:
            table = symtab.linetable()
            tables[name] = sorted({row.pc for row in table}) if table else []
        inside = [pc for pc in tables[name] if begin <= pc < begin + size]
        chooser = random.Random(begin)
        chooser.shuffle(inside)
        yield from inside[:OF_ONE]


def address(expression):
    return int(gdb.parse_and_eval(expression))


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("set language c")
gdb.execute("set breakpoint always-inserted on")
addresses = list(statements())
random.Random(1).shuffle(addresses)
before = address("(long)&main")
gdb.execute("starti >/dev/null 2>&1 </dev/null", to_string=True)
bias = address("(long)&main") - before
gdb.execute("handle all nostop noprint pass", to_string=True)
gdb.execute("handle SIGTRAP stop nopass", to_string=True)
for at in addresses[:PLANTED]:
    gdb.execute("tbreak *%#x" % (at + bias), to_string=True)
# A server waits for ever where no statement that is planted is reached any more.
pid = gdb.selected_inferior().pid
# It holds none of our streams: whoever reads them would wait for it.
watchdog = subprocess.Popen(
    ["sh", "-c", "sleep %d; kill -KILL %d" % (SECONDS, pid)],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    start_new_session=True)
stops = 0
while stops < WANTED:
    try:
        gdb.execute("continue", to_string=True)
    except gdb.error:
        break
    if gdb.selected_thread() is None:
        break
    gdb.execute("generate-core-file %s/%05d.core" % (FOLDER, stops), to_string=True)
    stops += 1
os.killpg(watchdog.pid, signal.SIGKILL)
watchdog.wait()
if gdb.selected_thread() is not None:
    gdb.execute("kill")
