"""Run by gdb: stops a program at many statements, writes a core at each stop and tells what gdb
says there: NNNNN.core and NNNNN.json, which whoever reads them takes away.

Taken from the environment: LR_STOPS, how many; LR_FOLDER, where they go; LR_COMMANDS, the arguments
of the runs, a line for each; LR_LOAD, a command that works the program while it runs; LR_POISON,
the `lr` of another experiment (see poison.py).
"""

import glob
import os
import random
import signal
import subprocess
import sys
import time
import traceback

import gdb

FOLDER = os.environ["LR_FOLDER"]
sys.path.insert(0, FOLDER)

import poison
import tell

WANTED = int(os.environ["LR_STOPS"])
COMMANDS = os.environ["LR_COMMANDS"].split("\n")
LOAD = os.environ.get("LR_LOAD")
POISON = "LR_POISON" in os.environ
# How long one run of the program may take, stops included: with poison, `lr` is asked at each.
SECONDS = 300 + (10 if POISON else 2) * WANTED
# Not every statement is reached: so many are planted in one run, and so many runs are made.
PLANTED = 6 * WANTED
ROUNDS = 12
# A run is at most its share, so that no run's beginning takes all.
SHARE = -(-WANTED // len(COMMANDS))
# Of one function at a time, so that large ones do not take all.
OF_ONE = 6
# Cores that wait to be read: there may be little room for them.
WAITING = 4


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
    """Addresses of statements in the order in which they are tried: some of each function, then some
    more."""
    turns = []
    tables = {}
    for begin, size in sorted(set(functions())):
        symtab = gdb.find_pc_line(begin).symtab
        if symtab is None:
            continue
        name = (symtab.fullname(), symtab.objfile.filename)
        if name not in tables:
            table = symtab.linetable()
            tables[name] = sorted({row.pc for row in table}) if table else []
        inside = [pc for pc in tables[name] if begin <= pc < begin + size]
        chooser = random.Random(begin)
        chooser.shuffle(inside)
        turns += [(index // OF_ONE, pc) for index, pc in enumerate(inside)]
    random.Random(1).shuffle(turns)
    turns.sort(key=lambda turn: turn[0])
    return [pc for _, pc in turns]


def address(expression):
    return int(gdb.parse_and_eval(expression))


class Watchdog:
    """Ends a program that waits for ever, as a server does where no statement that is planted is
    reached any more. It holds none of our streams: whoever reads them would wait for it."""

    # Whether the run before took too long.
    ended_it = False

    def __init__(self):
        pid = gdb.selected_inferior().pid
        self.process = subprocess.Popen(
            ["sh", "-c", "sleep %d; kill -KILL %d" % (SECONDS, pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has done it.
            pass
        Watchdog.ended_it = self.process.wait() == 0


class Load:
    """What works the program while it runs."""

    def __init__(self):
        self.process = None
        if LOAD:
            self.process = subprocess.Popen(
                ["sh", "-c", LOAD], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True)

    def end(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def wait_for_room():
    while len(glob.glob(FOLDER + "/*.core")) > WAITING:
        time.sleep(0.01)


def is_alive():
    return gdb.selected_thread() is not None


def go_on():
    """Whether the program stopped somewhere."""
    try:
        gdb.execute("continue", to_string=True)
    except gdb.error:
        return False
    return is_alive()


def stops_of(arguments, planted, most):
    """One run of the program: yields an address at each stop, up to so many, and then lets it end."""
    gdb.execute("set args " + arguments)
    gdb.execute("set language c")
    gdb.execute("starti", to_string=True)
    bias = address("(long)&main") - MAIN
    for at in planted:
        gdb.execute("tbreak *%#x" % (at + bias), to_string=True)
    gdb.execute("set language auto")
    watchdog, load = Watchdog(), Load()
    count = 0
    while count < most and go_on():
        count += 1
        yield gdb.selected_frame().pc() - bias
    gdb.execute("delete")
    if POISON and is_alive():
        go_on()
    load.end()
    if is_alive():
        gdb.execute("kill")
    watchdog.end()


def run(arguments, planted, stops):
    """Writes what is at the stops of one run; returns the addresses."""
    reached = set()
    for at in stops_of(arguments + " >/dev/null 2>&1 </dev/null", planted,
                       min(SHARE, WANTED - stops)):
        wait_for_room()
        name = "%s/%05d" % (FOLDER, stops + len(reached))
        gdb.execute("generate-core-file %s.new" % name, to_string=True)
        os.rename(name + ".new", name + ".core")
        tell.write(name + ".json")
        reached.add(at)
    return reached


for setting in ["pagination off", "confirm off", "breakpoint always-inserted on",
                "backtrace past-main on", "language c", "print thread-events off",
                "print inferior-events off"]:
    gdb.execute("set " + setting)
# An error within gdb is that of one value.
for setting in ["internal-error quit no", "internal-error corefile no"]:
    gdb.execute("maintenance set " + setting)
gdb.execute("handle all nostop noprint pass", to_string=True)
gdb.execute("handle SIGTRAP stop nopass", to_string=True)
MAIN = address("(long)&main")


def main():
    left = statements()
    if POISON:
        for number, command in enumerate(COMMANDS):
            begin = number * PLANTED
            poison.compare(
                command, number,
                lambda words: stops_of(words, [], WANTED),
                lambda words: stops_of(words, left[begin:begin + PLANTED], WANTED),
                lambda: Watchdog.ended_it)
    else:
        tell.load_printers()
        stops = 0
        for number in range(ROUNDS * len(COMMANDS)):
            planted, rest = left[:PLANTED], left[PLANTED:]
            reached = run(COMMANDS[number % len(COMMANDS)], planted, stops)
            stops += len(reached)
            # What was not reached by one command may be by the next.
            left = rest + [at for at in planted if at not in reached]
            if stops >= WANTED:
                break


try:
    main()
except Exception:
    # gdb ends well when its script does not.
    traceback.print_exc()
    gdb.execute("quit 1")
