"""Part of stops.py: what gdb's printers of libstdc++ and Rust's std show, and what pointers lead to,
as leaves with the paths that `lr` has for them (ARCHITECTURE, "Reading values").

The printers are those that come with the library and with rustc; a type without one is a structure.
"""

import itertools
import re

import gdb

import tell

TEXTS = {"StdStringPrinter", "StdExpStringViewPrinter", "StdStringProvider",
         "StdOsStringProvider", "StdStrProvider"}
ITEMS = {"StdVectorPrinter", "StdListPrinter", "StdDequePrinter", "StdSetPrinter",
         "Tr1UnorderedSetPrinter", "StdForwardListPrinter", "StdTuplePrinter", "StdSpanPrinter",
         "StdInitializerListPrinter", "StdSliceProvider", "StdVecProvider", "StdVecDequeProvider",
         "StdBTreeSetProvider"}
MAPS = {"StdMapPrinter", "Tr1UnorderedMapPrinter", "StdBTreeMapProvider"}
HASHED = {"StdHashMapProvider"}
SHARED = {"SharedPointerPrinter", "StdRcProvider"}
WRAPPERS = {"StdCellProvider", "StdAtomicPrinter"}
POINTING = (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ARRAY)
NOTHING = (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC)
# How many elements of one container are told, and bytes of one text.
FIRST = 40
TEXT = 2048


class Way:
    """How far a value is from its variable. What is not in a container and behind no pointer is
    told elsewhere."""

    def __init__(self, depth, followed, is_new):
        self.depth, self.followed, self.is_new = depth, followed, is_new

    def deeper(self):
        return Way(self.depth - 1, self.followed, self.is_new)

    def inside(self):
        return Way(self.depth, self.followed, True)

    def behind(self):
        return Way(self.depth, True, True)


def of_variable(value, found):
    walk(value, [], Way(tell.DEPTH, False, False), found)


def walk(value, path, way, found):
    of = value.type.strip_typedefs()
    try:
        if of.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            viewer = gdb.default_visualizer(value)
            name = type(viewer).__name__ if viewer else ""
            if of.name and of.name.startswith("std::") and not viewer:
                # What is a wrapper to `lr` is a structure to gdb: compared as one elsewhere.
                return
            if viewer and contents(name, viewer, value, path, way.inside(), found):
                return
            if viewer and not name.endswith("Provider"):
                return
            members(value, of, path, way, found)
        elif of.code == gdb.TYPE_CODE_ARRAY:
            if tell.is_text(of.target()):
                add(path, way, found, lambda: tell.text(value, of.range()[1] + 1))
                return
            low, high = of.range()
            if way.depth > 0 and of.sizeof > 0:
                for index in range(min(high - low + 1, FIRST)):
                    walk(value[low + index], path + [str(index)], way.deeper(), found)
        elif of.sizeof > 0:
            add(path, way, found, lambda: tell.leaf(value, of))
            if of.code == gdb.TYPE_CODE_PTR or of.code in tell.REFERENCES:
                pointee(value, of, path, way, found)
    except tell.ERRORS as error:
        found.append((path, {"none": str(error)}))


def add(path, way, found, leaf):
    if way.is_new:
        found.append((path, leaf()))


def members(value, of, path, way, found):
    if way.depth == 0:
        return
    for field, inside in tell.fields(of, path):
        try:
            member = value[field]
        except tell.ERRORS as error:
            if way.is_new:
                found.append((inside, {"none": str(error)}))
            continue
        walk(member, inside, way.deeper() if inside != path else way, found)


def pointee(value, of, path, way, found):
    """What a pointer leads to, one pointer deep."""
    try:
        what_is_there(value, of, path, way, found)
    except tell.ERRORS as error:
        found.append((path + ["*"], {"none": str(error)}))


def what_is_there(value, of, path, way, found):
    if of.code == gdb.TYPE_CODE_PTR:
        if int(value) == 0 or way.followed or of.target().strip_typedefs().code in NOTHING:
            return
        to = value.dereference()
    else:
        if way.followed:
            return
        to = value.referenced_value()
    inner = to.type.strip_typedefs()
    if inner.code in NOTHING or inner.sizeof == 0:
        return
    if tell.is_text(to.type):
        if of.code == gdb.TYPE_CODE_PTR:
            found.append((path + ["*"], up_to_nul(int(value), inner.sizeof)))
        return
    # The members of a structure are those of the pointer; whatever else it leads to is `*`.
    is_plain = inner.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
    is_plain = is_plain and not gdb.default_visualizer(to)
    walk(to, path if is_plain else path + ["*"], way.behind(), found)


def up_to_nul(address, size):
    """The text of characters of so many bytes."""
    taken, end = bytearray(), None
    while len(taken) < TEXT * size and end is None:
        # Up to the end of a page: what is behind it may not be there.
        count = min(64 - address % 64, TEXT * size)
        begin = len(taken) // size * size
        taken += bytes(gdb.selected_inferior().read_memory(address, count))
        address += count
        for at in range(begin, len(taken) - size + 1, size):
            if not any(taken[at:at + size]):
                end = at
                break
    taken = taken[:end][:TEXT * size]
    taken = taken[:len(taken) // size * size]
    return {"text": taken.decode(tell.ENCODINGS[size], errors="backslashreplace")}


def contents(name, viewer, value, path, way, found):
    """Whether a printer's answer is told."""
    if name in HASHED:
        name = "Tr1UnorderedMapPrinter" if viewer.display_hint() == "map" else "StdSetPrinter"
    if name in TEXTS:
        found.append((path, {"text": content_text(viewer.to_string())}))
    elif name in ITEMS:
        if way.depth == 0:
            return True
        for index, (_, child) in enumerate(itertools.islice(viewer.children(), FIRST)):
            element(child, path + [str(index)], way, found)
    elif name in MAPS:
        if way.depth == 0:
            return True
        children = itertools.islice(viewer.children(), 2 * FIRST)
        for index, (_, child) in enumerate(children):
            part = "value" if index % 2 else "key"
            element(child, path + ["#%d" % (index // 2), part], way, found)
    elif name == "StdExpOptionalPrinter":
        # Its children are those of what it contains, which may be an optional too.
        contained = viewer.contained_value
        found.append((path + ["(which)"], {"text": "None" if contained is None else "Some"}))
        if contained is not None:
            element(contained, path + ["Some", "0"], way, found)
    elif name == "StdVariantPrinter":
        for _, child in viewer.children():
            element(child, path + ["(any)", "0"], way, found)
    elif name == "StdExpAnyPrinter":
        children = list(viewer.children())
        for _, child in children:
            element(child, path + ["(any)", "0"], way, found)
    elif name == "UniquePointerPrinter":
        for _, child in viewer.children():
            found.append((path, tell.leaf(child, child.type.strip_typedefs())))
    elif name in SHARED:
        told = str(viewer.to_string())
        for word, label in [("strong", r"(?:use count |strong=)(\d+)"),
                            ("weak", r"(?:weak count |weak=)(\d+)")]:
            count = re.search(label, told)
            if count:
                found.append((path + [word], {"int": count.group(1)}))
        for label, child in viewer.children():
            if label == "get()" and "expired" in told:
                found.append((path, {"text": "expired"}))
            elif label == "get()":
                found.append((path, tell.leaf(child, child.type.strip_typedefs())))
            elif label == "value":
                element(child, path + ["*"], way.behind(), found)
    elif name in WRAPPERS:
        for label, child in viewer.children():
            element(child, path, way, found)
    elif name == "StdNonZeroNumberProvider":
        found.append((path, {"int": str(viewer.to_string())}))
    else:
        return False
    return True


def element(child, path, way, found):
    if isinstance(child, gdb.Value):
        walk(child, path, way.deeper(), found)
    else:
        found.append((path, {"int": str(int(child))}))


def content_text(text):
    """What is in a string, lazy or not."""
    if hasattr(text, "value"):
        address, length = int(text.address), int(text.length)
        letter = text.type.strip_typedefs()
        letter = letter.target() if letter.code in POINTING else letter
        size = letter.sizeof
        if length == 0:
            return ""
        if length < 0:
            return up_to_nul(address, size)["text"]
        taken = gdb.selected_inferior().read_memory(address, size * min(length, TEXT))
        return bytes(taken).decode(tell.ENCODINGS[size], errors="backslashreplace")
    if isinstance(text, gdb.Value):
        return text.string()
    return str(text)
