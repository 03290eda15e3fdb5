"""Part of stops.py: an experiment on variables of which `lr` says that they are not live yet, and of
which gdb shows the bytes that happen to be there.

At each stop these bytes are overwritten, and the program goes on. What it prints and how it ends is
then what it is without that, or the bytes were not nobody's. Of `lr` it takes the snapshot of a core
of the same moment.
"""

import hashlib
import json
import os
import subprocess

import gdb

import tell

LR = os.environ.get("LR_POISON")
FOLDER = os.environ["LR_FOLDER"]
PATTERN = b"\xa5"
STACK = 64 << 10
REGISTERS = ("rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15").split()
# Who declares it has not begun to: on the line itself it may be half done.
NOT_BEGUN = "declared further down"


def output(number):
    return "%s/output-%d" % (FOLDER, number)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def ending(number):
    """What a run that is over printed, and how it ended."""
    ends = [str(gdb.parse_and_eval(name)) for name in ("$_exitcode", "$_exitsignal")]
    return digest(output(number)), ends


class Places:
    """Where the variables of all frames are: those that are to be overwritten, and all others."""

    def __init__(self, snapshot):
        self.poisoned, self.kept = [], []
        self.words = set(words())
        frame, own = gdb.newest_frame(), iter(snapshot["frames"])
        while frame is not None:
            said = next(own, {}).get("variables", [])
            self.add(frame, said)
            frame = frame.older()

    def add(self, frame, said):
        seen = {}
        for symbol in tell.variables(frame):
            nth = seen.get(symbol.name, 0)
            seen[symbol.name] = nth + 1
            try:
                value = frame.read_var(symbol)
                if value.address is None or value.type.sizeof == 0:
                    continue
                place = (int(value.address), value.type.sizeof)
            except tell.ERRORS:
                continue
            alike = [own for own in said if own["name"] == symbol.name]
            absent = alike[nth].get("absent", {}) if nth < len(alike) else {}
            if absent.get("reason") == "not_live" and absent.get("detail") == NOT_BEGUN:
                self.poisoned.append(place)
            elif absent.get("reason") != "not_live":
                self.kept.append(place)

    def free(self):
        """Those that are nobody else's: variables of blocks that are not entered at once, and
        temporaries without a name, share places. To the latter something points."""
        for address, size in self.poisoned:
            is_apart = all(address + size <= other or other + length <= address
                           for other, length in self.kept)
            if is_apart and not any(word in self.words
                                    for word in range(address, address + size)):
                yield address, size


def words():
    """What the registers hold, and the stack from here on."""
    frame = gdb.newest_frame()
    for name in REGISTERS:
        yield int(frame.read_register(name)) % 2**64
    address = int(frame.read_register("rsp"))
    try:
        bytes_ = gdb.selected_inferior().read_memory(address, STACK)
    except gdb.MemoryError:
        # The stack ends before.
        size = 4096 - address % 4096
        bytes_ = gdb.selected_inferior().read_memory(address, size)
    for at in range(0, len(bytes_) - 7, 8):
        yield int.from_bytes(bytes(bytes_[at:at + 8]), "little")


def poison(core, told):
    gdb.execute("generate-core-file " + core, to_string=True)
    snapshot = subprocess.run(
        [LR, "snapshot", "--raw", "--json", "--core", core], capture_output=True, check=True)
    os.unlink(core)
    places = Places(json.loads(snapshot.stdout))
    for address, size in places.free():
        gdb.selected_inferior().write_memory(address, PATTERN * size)
        told["variables"] += 1
        told["bytes"] += size
    told["shared"] += len(places.poisoned) - len(list(places.free()))


def compare(arguments, number, alone, stop_at, is_late):
    """A run on its own, and one that stops and has poison: under gdb both, so that addresses and
    environment are the same. Each of the two runs the program, and yields at each stop."""
    words = "%s >%s 2>&1 </dev/null" % (arguments, output(number))
    told = {"command": arguments, "stops": 0, "variables": 0, "bytes": 0, "shared": 0}
    for _ in alone(words):
        pass
    expected, told["late"] = ending(number), is_late()
    for _ in stop_at(words):
        told["stops"] += 1
        poison("%s/%d.core" % (FOLDER, number), told)
    told["same"] = ending(number) == expected
    told["late"] |= is_late()
    with open(FOLDER + "/poison.json", "a") as out:
        out.write(json.dumps(told) + "\n")
