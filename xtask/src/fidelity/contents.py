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
         "StdBTreeSetProvider", "StdStackOrQueuePrinter"}
MAPS = {"StdMapPrinter", "Tr1UnorderedMapPrinter", "StdBTreeMapProvider"}
HASHED = {"StdHashMapProvider"}
SHARED = {"SharedPointerPrinter", "StdRcProvider"}
WRAPPERS = {"StdCellProvider", "StdAtomicPrinter"}
# What is nothing but what is in it.
WRAPPED = re.compile("core::(cell::((Sync)?Unsafe)?Cell|cell::once::OnceCell|cell::lazy::LazyCell"
                     "|mem::manually_drop::ManuallyDrop|mem::maybe_dangling::MaybeDangling)<")
# The iterators that some containers are made of.
ENDS = ("_M_start", "_M_finish")
WEAK = re.compile("alloc::(rc|sync)::Weak<")
OF_STR = re.compile("alloc::(rc::Rc|sync::Arc)<str[,>]")
# What a `Weak` that never had an object points to.
DANGLING = 2**64 - 1
POINTING = (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ARRAY)
NOTHING = (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC)
# How many elements of one container are told, and bytes of one text.
FIRST = 40
TEXT = 2048
# How many words of a container are told, and how many nodes of a tree are looked at.
WORDS = 40
NODES = 1000


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
    try:
        value = unwrapped(value)
    except tell.ERRORS as error:
        found.append((path, {"none": str(error)}))
        return
    of = value.type.strip_typedefs()
    try:
        if of.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            viewer = gdb.default_visualizer(value)
            name = type(viewer).__name__ if viewer else ""
            if WEAK.match(of.name or ""):
                weak(value, path, found)
                return
            if of.name and of.name.startswith("std::") and not viewer:
                # What is a wrapper to `lr` is a structure to gdb: compared as one elsewhere.
                return
            if viewer and contents(name, viewer, value, path, way.inside(), found):
                return
            if viewer and not name.endswith("Provider"):
                found.append((path, {"skipped": "what " + name + " shows"}))
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
    except tell.TooLong:
        raise
    except (Exception, KeyboardInterrupt) as error:
        # Printers fail in many ways on what is not set up.
        found.append((path, {"none": "%s %s" % (type(error).__name__, error)}))


def unwrapped(value):
    """What is in wrappers, which gdb lists as structures of one member."""
    while WRAPPED.match(value.type.strip_typedefs().name or ""):
        inside = [field for field in value.type.strip_typedefs().fields() if field.type.sizeof > 0]
        if len(inside) != 1:
            break
        value = value[inside[0]]
    return value


def add(path, way, found, leaf):
    if way.is_new:
        found.append((path, leaf()))


def members(value, of, path, way, found):
    if way.depth == 0:
        return
    active = tell.variant(value, of)
    if active is not None and of.sizeof == 0:
        return
    if active is not None:
        if way.is_new:
            found.append((path + ["(which)"], tell.which(value, active)))
        walk(value[active], path + [active.name], way.deeper(), found)
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
    to = unwrapped(to)
    inner = to.type.strip_typedefs()
    if inner.code in NOTHING or inner.sizeof == 0:
        return
    if tell.is_text(to.type):
        if of.code == gdb.TYPE_CODE_PTR:
            found.append((path + ["*"], up_to_nul(int(value), inner.sizeof)))
        return
    # The members of a structure are those of the pointer; whatever else it leads to is `*`.
    is_plain = inner.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
    is_plain = is_plain and not gdb.default_visualizer(to) and not WEAK.match(inner.name or "")
    is_plain = is_plain and not tell.is_enum(inner)
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
    return {"text": tell.decode(bytes(taken), size)}


def weak(value, path, found):
    """rustc has no printer for `Weak`, so this is one: the counts as `Weak::weak_count` has them while
    there is an owner."""
    pointer = value["ptr"]["pointer"]
    while pointer.type.strip_typedefs().code != gdb.TYPE_CODE_PTR:
        pointer = pointer[pointer.type.fields()[0]]
    if int(pointer) % 2**64 == DANGLING:
        found.append((path, {"text": "dangling"}))
        return
    strong, held = (innermost(pointer[name]) for name in ("strong", "weak"))
    found.append((path + ["strong"], {"int": str(strong)}))
    if strong:
        found.append((path + ["weak"], {"int": str(held - 1)}))


def innermost(value):
    """The number in a cell or an atomic."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        value = value[value.type.fields()[0]]
    return int(value)


def contents(name, viewer, value, path, way, found):
    """Whether a printer's answer is told, and with it the words that it was made of."""
    if name in ITEMS | MAPS | TEXTS | HASHED or name == "StdExpOptionalPrinter":
        found.append((path + ["(words)"], {"words": words(value)}))
    if name in HASHED:
        name = "Tr1UnorderedMapPrinter" if viewer.display_hint() == "map" else "StdSetPrinter"
    if name in TEXTS:
        found.append((path, {"text": content_text(viewer.to_string())}))
    elif name in ITEMS:
        if way.depth == 0:
            return True
        count = 0
        for _, child in itertools.islice(viewer.children(), FIRST):
            element(child, path + [str(count)], way, found)
            count += 1
        if count < FIRST and name != "StdTuplePrinter":
            found.append((path + ["(len)"], {"int": str(count)}))
    elif name in MAPS:
        if way.depth == 0:
            return True
        count = 0
        for _, child in itertools.islice(viewer.children(), 2 * FIRST):
            part = "value" if count % 2 else "key"
            element(child, path + ["#%d" % (count // 2), part], way, found)
            count += 1
        if count < 2 * FIRST:
            found.append((path + ["(len)"], {"int": str(count // 2)}))
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
            elif label == "value" and OF_STR.match(value.type.name or ""):
                if way.followed:
                    continue
                # rustc's printer has the first byte.
                length = int(value["ptr"]["pointer"]["length"])
                letters = gdb.selected_inferior().read_memory(int(child.address), length)
                found.append((path + ["*"], {"text": tell.decode(bytes(letters)[:TEXT], 1)}))
            elif label == "value":
                element(child, path + ["*"], way.behind(), found)
    elif name == "StdPairPrinter":
        for label, child in viewer.children():
            element(child, path + [label], way, found)
    elif name == "StdPathPrinter":
        walk(value["_M_pathname"], path, way, found)
    elif name == "StdAtomicPrinter" and not hasattr(viewer, "children"):
        element(atomic(value), path, way, found)
    elif name in WRAPPERS:
        for label, child in viewer.children():
            element(child, path, way, found)
    elif name == "StdRefCellProvider":
        for label, child in viewer.children():
            element(child, path + [label], way, found)
    elif name == "StdNonZeroNumberProvider":
        found.append((path, {"int": str(viewer.to_string())}))
    else:
        return False
    return True


def atomic(value):
    """What gdb's printer of `std::atomic` shows, which it gives as a text."""
    names = {field.name for field in value.type.strip_typedefs().fields()}
    for path in (["_M_i"], ["_M_fp"], ["_M_b", "_M_p"], ["_M_base", "_M_i"]):
        if path[0] in names:
            for name in path:
                value = value[name]
            return value
    raise gdb.error("an atomic of another form")


def words(value):
    """The numbers and addresses that a container consists of, by their last names; the size and
    alignment of its elements; and of a tree whether each node's parent is the node that leads to
    it."""
    leaves = []
    tell.walk(value, [], 8, leaves)
    told = {}
    for path, leaf in leaves[:WORDS]:
        number = leaf.get("address", leaf.get("int"))
        if number is not None:
            last = "".join(path[-1:])
            # Some have two iterators, with members of the same names.
            ends = [part + "." + last for part in path if part in ENDS]
            for name in [last] + ends:
                told.setdefault(name, int(number) % 2**64)
    try:
        element = value.type.strip_typedefs().template_argument(0).strip_typedefs()
        told["(size)"], told["(alignment)"] = element.sizeof, element.alignof
    except (AttributeError, RuntimeError):
        # It is made of no type.
        pass
    if "_M_node_count" in told:
        told["strays"] = strays(value)
    return told


def strays(value):
    """How many nodes of a tree have another parent than they are reached from, or cannot be read."""
    header = value["_M_t"]["_M_impl"]["_M_header"]
    left, count, seen = [(header["_M_parent"], int(header.address))], 0, 0
    while left and seen < NODES:
        at, parent = left.pop()
        seen += 1
        if int(at) == 0:
            continue
        try:
            if int(at["_M_parent"]) != parent:
                count += 1
                continue
            left += [(at["_M_left"], int(at)), (at["_M_right"], int(at))]
        except gdb.MemoryError:
            count += 1
    return count


def element(child, path, way, found):
    if isinstance(child, gdb.Value):
        walk(child, path, way.deeper(), found)
    elif child == "inaccessible":
        found.append((path, {"none": child}))
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
        return tell.decode(bytes(taken), size)
    if isinstance(text, gdb.Value):
        return text.string()
    return str(text)
