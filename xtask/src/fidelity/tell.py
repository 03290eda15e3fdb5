"""Part of stops.py: tells frames and variables as JSON, as gdb sees them.

Taken from the environment: LR_FRAMES, how many frames; and of how many the variables,
LR_LOOKED_INTO.
"""

import json
import os
import re
import signal
import sys

import gdb

FRAMES = int(os.environ["LR_FRAMES"])
LOOKED_INTO = int(os.environ["LR_LOOKED_INTO"])
# Elements of one array, and how deep structures nest.
ITEMS = 100
DEPTH = 5
# How much of a processor the printers may take for one variable: in what was never set up, lists
# have no end.
SECONDS = 3
TEXT = 2048
# An assertion of gdb's that fails is an interrupt to Python, and what has no address is None.
ERRORS = (gdb.error, gdb.MemoryError, KeyboardInterrupt, AttributeError, TypeError)


class TooLong(Exception):
    """What is asked takes longer than it may."""


NUMBERS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_ENUM)
# Characters of several bytes, and how such texts are encoded.
WIDE = {"wchar_t", "char16_t", "char32_t", "char8_t"}
ENCODINGS = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}
# The instruction `ret`.
RETURN = b"\xc3"
# What gcc says of itself, with its options; clang does not say how it was asked to optimise.
IN_ORDER = re.compile("GNU ")
OPTIMISED = re.compile(" -O(?!0)")
REFERENCES = (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)


def last_component(name):
    """`a::b<c::d>` is `b<c::d>`."""
    depth, start = 0, 0
    for at, letter in enumerate(name):
        if letter in "<({":
            depth += 1
        elif letter in ">)}":
            depth -= 1
        elif letter == ":" and depth == 0:
            start = at + 1
    return name[start:]


def field_name(field):
    if field.is_base_class:
        return last_component(field.name)
    name = field.name
    if name and name.startswith("__") and name[2:].isdigit():
        return name[2:]
    return name


def fields(of, path):
    """The members of a structure with their paths; what is in one without a name is the structure's."""
    for field in of.fields():
        if not hasattr(field, "bitpos") and not field.is_base_class:
            continue
        if field.artificial and not (field.name or "").startswith("_vptr"):
            continue
        name = field_name(field)
        yield field, path + [name] if name else path


def variant(value, of):
    """Of an enumeration of Rust, the member that is its active variant; None of what is none. Of one that is in several places, Python is shown all variants; gdb's `print` finds the
    active one by the bytes."""
    members = variants(of)
    if not members:
        return None
    if len(members) == 1:
        return members[0]
    # A part that is gone makes a whole that is gone, even if gdb has bytes for it.
    text = value.format_string(raw=True, max_elements=1)
    for field in members:
        rest = text.removeprefix(field.type.name)
        if rest != text and rest[:1] in ("", "(", "{"):
            return field
    raise gdb.error("which variant it is: " + text)


def which(value, active):
    """The active variant's name, and whether gdb itself says that what tells it is not there."""
    told = {"text": active.name}
    by = [field for field in value.type.strip_typedefs().fields()
          if hasattr(field, "bitpos") and field.artificial]
    # One that can be of one variant only has nothing that tells it.
    is_gone = (value[by[0]] if by else value).is_optimized_out
    return {**told, "gone": True} if is_gone else told


def variants(of):
    """The type of each is in the scope of the enumeration."""
    members = [field for field in of.fields()
               if hasattr(field, "bitpos") and not field.artificial]
    are_variants = all(of.name and field.name
                       and field.type.name == "%s::%s" % (of.name, field.name)
                       for field in members)
    return members if are_variants else []


def is_enum(of):
    return bool(variants(of))


def is_text(of):
    """Also of what C calls `wchar_t`, which is another name for a number."""
    while of.code == gdb.TYPE_CODE_TYPEDEF and of.unqualified().name not in WIDE:
        of = of.target()
    name = of.unqualified().name
    if name in WIDE:
        return True
    return of.sizeof == 1 and name == "char" and of.code in NUMBERS


def leaf(value, of):
    """What a number or an address is, in a form that can be compared."""
    if of.code == gdb.TYPE_CODE_METHODPTR:
        return member_function(value)
    if of.code == gdb.TYPE_CODE_PTR:
        return {"address": int(value) % 2**64}
    if of.code in REFERENCES:
        to = value.referenced_value().address
        if to is None:
            raise gdb.error("what it refers to is in no memory")
        return {"address": int(to) % 2**64}
    if of.code == gdb.TYPE_CODE_FLT:
        return {"float": str(float(value)), "bytes": of.sizeof, "type": of.name}
    if of.code == gdb.TYPE_CODE_ENUM:
        return {"int": str(int(value)), "name": str(value)}
    if of.code in NUMBERS:
        return {"int": str(number(value, of))}
    if value.is_optimized_out:
        raise gdb.error("optimized out")
    return {"text": str(value)}


def member_function(value):
    """The function, or which virtual one; and what is added to `this` (Itanium C++ ABI, 2.3)."""
    if value.address is None:
        raise gdb.error("it is in no memory")
    words = value.address.cast(gdb.lookup_type("unsigned long").pointer())
    return {"function": int(words[0]), "adjustment": int(words[1])}


def number(value, of):
    """Python has numbers of up to 64 bits only from gdb."""
    if of.sizeof <= 8:
        return int(value)
    word = int(value.format_string(format="x"), 16)
    is_negative = of.is_signed and word >> (8 * of.sizeof - 1)
    return word - (1 << 8 * of.sizeof) if is_negative else word


def decode(letters, size):
    """Bytes as the text that `lr` makes of them: what is no character is its number."""
    if size == 1:
        return letters.decode(ENCODINGS[size], errors="backslashreplace")
    if size == 2:
        words = map(ord, letters.decode(ENCODINGS[size], errors="surrogatepass"))
    else:
        words = [int.from_bytes(letters[at:at + 4], "little")
                 for at in range(0, len(letters), 4)]
    return "".join(chr(word) if word < 0xd800 or 0xe000 <= word <= 0x10ffff
                   else "\\u{%x}" % word for word in words)


def text(value, count):
    """An array of characters up to its NUL."""
    taken = bytearray()
    size = value[0].type.sizeof if count else 1
    for index in range(min(count, TEXT)):
        letter = int(value[index]) % 256**size
        if letter == 0:
            break
        taken += letter.to_bytes(size, "little")
    return {"text": decode(bytes(taken), size)}


def walk(value, path, depth, found):
    of = value.type.strip_typedefs()
    try:
        if of.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            if depth == 0:
                return
            active = variant(value, of)
            if active is not None and of.sizeof == 0:
                # Without a byte, gdb takes the last one, which may be one that cannot be.
                return
            if active is not None:
                found.append((path + ["(which)"], which(value, active)))
                walk(value[active], path + [active.name], depth - 1, found)
                return
            for field, inside in fields(of, path):
                try:
                    member = value[field]
                except ERRORS as error:
                    found.append((inside, {"none": str(error)}))
                    continue
                walk(member, inside, depth - 1 if inside != path else depth, found)
            return
        if of.code == gdb.TYPE_CODE_ARRAY:
            low, high = of.range()
            # Of a flexible one, gdb makes up the first element.
            count = high - low + 1 if of.sizeof > 0 else 0
            if is_text(of.target()):
                found.append((path, text(value, count)))
                return
            if depth == 0:
                return
            for index in range(min(count, ITEMS)):
                walk(value[low + index], path + [str(index)], depth - 1, found)
            return
        if of.sizeof > 0:
            found.append((path, leaf(value, of)))
    except ERRORS as error:
        found.append((path, {"none": str(error)}))


def variables(frame):
    """Symbols of the frame's function, outermost block first."""
    blocks = []
    try:
        block = frame.block()
    except RuntimeError:
        return
    while block is not None:
        blocks.append(block)
        if block.function is not None:
            break
        block = block.superblock
    for block in reversed(blocks):
        for symbol in block:
            if symbol.is_argument or symbol.is_variable:
                yield symbol


def tell(frame):
    sal = frame.find_sal()
    return {
        "function": frame.name() or "",
        "line": sal.line if sal.symtab else 0,
        "file": sal.symtab.fullname() if sal.symtab else "",
        "inlined": frame.type() == gdb.INLINE_FRAME,
        "tail": frame.type() == gdb.TAILCALL_FRAME,
        "signal": frame.type() == gdb.SIGTRAMP_FRAME,
        "entry": is_at_entry(frame),
        "address": frame.pc(),
        # Where a row begins at the frame's place: the line of the one before.
        "before": gdb.find_pc_line(max(frame.pc(), 1) - 1).line if sal.pc == frame.pc() else 0,
    }


def is_at_entry(frame):
    """Whether nothing of a function has run: what its caller had in registers is still there."""
    block = function_of(frame)
    return is_innermost(frame) and block is not None and block.start == frame.pc()


def is_innermost(frame):
    """Whether a frame is of the function, with all that is inlined in it, that a thread is in."""
    return outside_of(frame).level() == outside_of(gdb.newest_frame()).level()


def frames():
    found = []
    frame = gdb.newest_frame()
    while frame is not None and len(found) < FRAMES:
        told = tell(frame)
        if len(found) < LOOKED_INTO:
            told["framed"] = is_framed(frame)
            told["leaves"] = []
            told["contents"] = []
            told["declared"] = []
            seen = {}
            for symbol in variables(frame):
                nth = seen.get(symbol.name, 0)
                seen[symbol.name] = nth + 1
                told["declared"].append(
                    {"variable": symbol.name, "nth": nth, **declared(frame, symbol, told)})
                leaves, contents = [], []
                # Values are printed in the language of the frame that is selected.
                frame.select()
                try:
                    value = frame.read_var(symbol)
                    walk(value, [], DEPTH, leaves)
                    printed(value, contents)
                    ask_outside(frame, symbol, leaves, contents)
                except ERRORS as error:
                    leaves.append(([], {"none": str(error)}))
                for name, of_kind in [("leaves", leaves), ("contents", contents)]:
                    for path, value in of_kind:
                        told[name].append(
                            {"variable": symbol.name, "nth": nth, "path": path, **value})
        found.append(told)
        try:
            frame = frame.older()
        except gdb.error:
            break
    return found


def declared(frame, symbol, told):
    """Where a variable is declared, as gdb has it, and whether code of that line is still to come:
    what shows that a declaration has not run."""
    file = symbol.symtab.fullname() if symbol.symtab else ""
    own = {"line": symbol.line, "here": told["line"], "is_here": file == told["file"],
           "is_framed": told["framed"]}
    if own["is_here"]:
        own["is_ahead"] = is_ahead(frame, symbol)
    return own


def is_ahead(frame, symbol):
    """Whether some code of a variable's line ends behind the frame's place, or there is none.
    Optimised code is in another order than its lines."""
    producer = symbol.symtab.producer or ""
    if OPTIMISED.search(producer) or not IN_ORDER.match(producer):
        return True
    block = function_of(frame)
    rows = symbol.symtab.linetable().line(symbol.line) or ()
    rows = [row.pc for row in rows if block and block.start <= row.pc < block.end]
    # What a caller does next may be on the next line already.
    at = frame.pc() if is_innermost(frame) else frame.pc() - 1
    return not rows or any(gdb.find_pc_line(pc).last >= at for pc in rows)


def is_framed(frame):
    """Whether a function has its frame: it waits for a call, or is behind its first line and not at
    its return."""
    outside = outside_of(frame)
    block = function_of(frame)
    symtab = outside.find_sal().symtab
    if not is_innermost(frame) or block is None or symtab is None:
        return True
    lines = [row.pc for row in symtab.linetable() if block.start < row.pc < block.end]
    has_begun = not lines or frame.pc() >= min(lines)
    return has_begun and bytes(gdb.selected_inferior().read_memory(frame.pc(), 1)) != RETURN


def function_of(frame):
    """The block of the function that a frame's code is in."""
    try:
        block = outside_of(frame).block()
    except RuntimeError:
        return None
    while block is not None and block.function is None:
        block = block.superblock
    return block


def is_there(symbol):
    try:
        gdb.parse_and_eval("(long)&" + symbol)
        return True
    except gdb.error:
        return False


def outside_of(frame):
    """The frame of the function that inlined ones are in."""
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame


def ask_outside(frame, symbol, leaves, contents):
    """In an inlined function gdb computes entry values from wrong registers. Its variables are
    those of the function around it too, which has the same address and registers."""
    if frame.type() != gdb.INLINE_FRAME:
        return
    frame = outside_of(frame)
    frame.select()
    value = frame.read_var(symbol)
    outside = []
    walk(value, [], DEPTH, outside)
    if outside == leaves:
        return
    of_contents = []
    printed(value, of_contents)
    for told, others in ((leaves, outside), (contents, of_contents)):
        others = {tuple(path): dict(leaf) for path, leaf in others}
        for path, leaf in told:
            other = others.get(tuple(path), {"none": "it is not there"})
            if leaf != other:
                leaf["outside"] = other


def too_long(*_):
    raise TooLong


def printed(value, found):
    """What printers show. They are made for what was set up, and fail in many ways on other things."""
    import contents
    signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        contents.of_variable(value, found)
    except (Exception, KeyboardInterrupt) as error:
        found.append(([], {"skipped": "the printers end with " + type(error).__name__}))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def load_printers():
    """Those of rustc for a Rust program, which take some C++ for theirs; libstdc++'s come with its
    library."""
    folder = os.environ.get("LR_RUST_PRINTERS")
    if folder and is_there("rust_eh_personality"):
        sys.path.insert(0, folder)
        import gdb_lookup
        for objfile in gdb.objfiles():
            gdb_lookup.register_printers(objfile)


def write(path):
    with open(path + ".new", "w") as out:
        out.write(json.dumps(frames()))
    os.rename(path + ".new", path)
