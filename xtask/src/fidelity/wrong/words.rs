//! What the words that gdb has of a container say of it.

use serde_json::{Map, Value};

use super::{Seen, find, path};

/// More bytes than a process has.
const MAX_BYTES: u64 = 1 << 47;
/// No program has addresses from here on (x86-64 with five levels of pages).
const MAX_ADDRESS: u64 = 1 << 56;
/// The names under which containers count their elements.
const COUNTS: [&str; 6] = [
    "_M_size",
    "_M_node_count",
    "_M_element_count",
    "items",
    "length",
    "len",
];
/// Of a deque of small elements (libstdc++, `_GLIBCXX_DEQUE_BUF_SIZE`).
const BLOCK: u64 = 512;

/// Whether the words that gdb has of a container around a leaf contradict each other as `lr` says
/// that they do.
pub(super) fn contradicts_itself(detail: &str, leaf: &Value, seen: Seen<'_>) -> bool {
    let path = path(leaf);
    (0..=path.len()).any(|len| {
        let words = find(seen.contents, leaf, &path[..len], "(words)");
        let words = words.and_then(|found| found["words"].as_object());
        let shown = find(seen.contents, leaf, &path[..len], "(len)");
        let shown = shown.and_then(|shown| shown["int"].as_str()?.parse().ok());
        // Of many elements gdb is asked for the first ones, and not how many there are.
        let at_least = path.get(len).and_then(|part| Some(1 + index_of(part)?));
        words.is_some_and(|words| are_contradicting(detail, words, shown, at_least))
    })
}

/// Which element of a container a part of a path is.
fn index_of(part: &str) -> Option<u64> {
    part.strip_prefix('#').unwrap_or(part).parse().ok()
}

/// `shown` is how many elements gdb shows, where it shows all, and `at_least` how many there are.
fn are_contradicting(
    detail: &str,
    words: &Map<String, Value>,
    shown: Option<u64>,
    at_least: Option<u64>,
) -> bool {
    let word = |name: &str| words.get(name).and_then(Value::as_u64);
    let is_before = |end: &str, begin: &str| word(end) < word(begin) && word(end).is_some();
    let has = |number: u64| words.values().any(|word| *word == number);
    let has_strays = || word("strays").is_some_and(|strays| strays > 0);
    let numbers = numbers(detail);
    let number = numbers.first().copied();
    match detail {
        "its begin and end do not go together" => is_torn(&word),
        "its begin is not the address of an element" => {
            let alignment = word("(alignment)");
            let begins = ["_M_start", "_M_array", "_M_ptr"]
                .iter()
                .find_map(|name| word(name));
            begins
                .zip(alignment)
                .is_some_and(|(begin, alignment)| !is_place(begin, alignment))
        }
        "its end is inside an element" => {
            let bytes = word("_M_finish").zip(word("_M_start"));
            let bytes = bytes.and_then(|(end, begin)| end.checked_sub(begin));
            let size = word("(size)").filter(|size| *size > 0);
            bytes
                .zip(size)
                .is_some_and(|(bytes, size)| !bytes.is_multiple_of(size))
        }
        "its end is before its begin, or further than memory goes" => {
            let bytes = word("_M_finish._M_p").zip(word("_M_start._M_p"));
            bytes.is_some_and(|(end, begin)| end.wrapping_sub(begin) > MAX_BYTES)
        }
        "its begin is not the address of a word" => {
            word("_M_start._M_p").is_some_and(|begin| !is_place(begin, 8))
        }
        "its end is before its begin" => is_before("_M_finish", "_M_start"),
        "its end is behind the memory that it has" => is_before("_M_end_of_storage", "_M_finish"),
        // Also where what leads to a node is no address.
        "a node's parent is another node" => has_strays(),
        _ if detail.starts_with("no memory at ") => has_strays(),
        _ if detail.starts_with("it says that it has ") => {
            let is_counted = COUNTS.iter().any(|name| word(name) == number);
            let is_other = match shown {
                Some(_) => shown != number,
                None => at_least > number,
            };
            number.is_some() && is_counted && is_other
        }
        _ if detail.starts_with("its length is ") && numbers.len() == 2 => {
            numbers[0] > numbers[1] && has(numbers[0])
        }
        _ if detail.ends_with(", which no memory holds") => {
            number.is_some_and(|len| len > MAX_BYTES && has(len))
        }
        _ if detail.starts_with("whether it has a value is told by ") => {
            number.is_some_and(|flag| flag > 1) && word("_M_engaged") == number
        }
        _ if detail.starts_with("its alternative is ") && numbers.len() == 2 => {
            numbers[0] >= numbers[1] && word("_M_index") == number
        }
        _ => false,
    }
}

/// Whether the iterators that a deque begins and ends with are not of one: each of them is in a block
/// of the size that all have, and the second one is not before the first (libstdc++,
/// bits/stl_deque.h).
fn is_torn(word: &dyn Fn(&str) -> Option<u64>) -> bool {
    let iterator = |name: &str| {
        let part = |of: &str| word(&format!("{name}.{of}"));
        Some([
            part("_M_cur")?,
            part("_M_first")?,
            part("_M_last")?,
            part("_M_node")?,
        ])
    };
    let (Some(start), Some(finish), Some(size), Some(alignment)) = (
        iterator("_M_start"),
        iterator("_M_finish"),
        word("(size)").filter(|size| *size > 0),
        word("(alignment)"),
    ) else {
        return false;
    };
    let block = (BLOCK / size).max(1) * size;
    let is_whole = |[at, first, last, node]: [u64; 4]| {
        last.wrapping_sub(first) == block
            && (first..=last).contains(&at)
            && (at - first).is_multiple_of(size)
            && is_place(first, alignment)
            && is_place(node, 8)
    };
    let place = |[at, _, _, node]: [u64; 4]| (node, at);
    !is_whole(start) || !is_whole(finish) || place(finish) < place(start)
}

fn is_place(address: u64, alignment: u64) -> bool {
    address < MAX_ADDRESS && (alignment == 0 || address.is_multiple_of(alignment))
}

fn numbers(text: &str) -> Vec<u64> {
    let words = text.split([' ', ',']);
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{CALLED, check, leaf};
    use super::super::{Outcome, Seen};

    #[test]
    fn gdbs_own_words_contradict_each_other() {
        let check = |why: &str, words: Value, expected: bool| {
            let contents = [leaf(&["a", "(words)"], &json!({ "words": words }))];
            let seen = Seen {
                has_called: false,
                contents: &contents,
                ..CALLED
            };
            let expected = expected.then_some(Outcome::MadeUp);
            check(
                why,
                &leaf(&["a", "0"], &json!({"int": "600"})),
                seen,
                expected,
            );
            // Nothing is known of the words of another container.
            super::tests::check(why, &leaf(&["b", "0"], &json!({"int": "600"})), seen, None);
        };
        let why = "size: its end is before its begin";
        check(why, json!({"_M_start": 32, "_M_finish": 16}), true);
        check(why, json!({"_M_start": 16, "_M_finish": 32}), false);
        check(why, json!({"_M_start": 16}), false);
        let why = "size: its end is behind the memory that it has";
        check(why, json!({"_M_finish": 32, "_M_end_of_storage": 16}), true);
        check(
            why,
            json!({"_M_finish": 32, "_M_end_of_storage": 32}),
            false,
        );
        let why = "size: its length is 6, its capacity 5";
        check(why, json!({"len": 6, "cap": 5}), true);
        check(why, json!({"len": 4, "cap": 5}), false);
        // What `lr` says must contradict itself too.
        check(
            "size: its length is 4, its capacity 5",
            json!({"len": 4}),
            false,
        );
        let why = "size: its length is 1152921504606846976, which no memory holds";
        check(why, json!({"length": 1u64 << 60}), true);
        check(why, json!({"length": 3}), false);
        let why = "size: whether it has a value is told by 14";
        check(why, json!({"_M_engaged": 14}), true);
        check(why, json!({"_M_engaged": 1}), false);
        let why = "size: its alternative is 9, of 3";
        check(why, json!({"_M_index": 9}), true);
        check(why, json!({"_M_index": 2}), false);
        let why = "unreadable: a node's parent is another node";
        check(why, json!({"strays": 1}), true);
        check(why, json!({"strays": 0}), false);
        check("unreadable: no memory at 0x8", json!({"strays": 1}), true);
        check("unreadable: no memory at 0x8", json!({"strays": 0}), false);
        check(
            "unreadable: no memory at 0x8",
            json!({"_M_start": 8}),
            false,
        );
        check(
            "size: it is odd",
            json!({"_M_start": 32, "_M_finish": 16}),
            false,
        );
    }

    /// The words of a container, and what is said of one of its elements.
    fn check_words(why: &str, words: &Value, expected: bool) {
        let contents = [leaf(&["a", "(words)"], &json!({ "words": words }))];
        let seen = Seen {
            contents: &contents,
            ..CALLED
        };
        let element = leaf(&["a", "0"], &json!({"int": "600"}));
        check(why, &element, seen, expected.then_some(Outcome::MadeUp));
    }

    #[test]
    fn iterators_of_two_deques() {
        let why = "size: its begin and end do not go together";
        let whole = json!({
            "(size)": 4, "(alignment)": 4,
            "_M_start._M_cur": 0x1010, "_M_start._M_first": 0x1000, "_M_start._M_last": 0x1200,
            "_M_start._M_node": 0x5000,
            "_M_finish._M_cur": 0x2000, "_M_finish._M_first": 0x2000, "_M_finish._M_last": 0x2200,
            "_M_finish._M_node": 0x5008,
        });
        check_words(why, &whole, false);
        for (name, wrong) in [
            ("_M_start._M_cur", 0xfff),
            ("_M_start._M_cur", 0x1011),
            ("_M_finish._M_cur", 0x2204),
            ("_M_start._M_last", 0x1204),
            ("_M_finish._M_first", 0x2100),
            ("_M_start._M_node", 0x5001),
            // Before the block of the first one.
            ("_M_finish._M_node", 0x4ff8),
        ] {
            let mut torn = whole.clone();
            torn[name] = wrong.into();
            check_words(why, &torn, true);
        }
        let mut unknown = whole.clone();
        unknown["(size)"] = Value::Null;
        check_words(why, &unknown, false);
        // Large elements have blocks of their own.
        let large = json!({
            "(size)": 1024, "(alignment)": 8,
            "_M_start._M_cur": 0x1000, "_M_start._M_first": 0x1000, "_M_start._M_last": 0x1400,
            "_M_start._M_node": 0x5000,
            "_M_finish._M_cur": 0x1000, "_M_finish._M_first": 0x1000, "_M_finish._M_last": 0x1400,
            "_M_finish._M_node": 0x5000,
        });
        check_words(why, &large, false);
    }

    #[test]
    fn what_begins_or_ends_inside_an_element() {
        let why = "size: its begin is not the address of an element";
        check_words(why, &json!({"_M_start": 33, "(alignment)": 4}), true);
        check_words(why, &json!({"_M_start": 36, "(alignment)": 4}), false);
        check_words(why, &json!({"_M_array": 33, "(alignment)": 8}), true);
        check_words(why, &json!({"_M_start": 33}), false);
        check_words(
            why,
            &json!({"_M_start": u64::MAX - 7, "(alignment)": 8}),
            true,
        );
        let why = "size: its end is inside an element";
        let between = |size: u64| json!({"_M_start": 32, "_M_finish": 38, "(size)": size});
        check_words(why, &between(4), true);
        check_words(why, &between(3), false);
        let why = "size: its end is before its begin, or further than memory goes";
        let bits = |begin: u64, end: u64| json!({"_M_start._M_p": begin, "_M_finish._M_p": end});
        check_words(why, &bits(16, 8), true);
        check_words(why, &bits(16, 1 << 60), true);
        check_words(why, &bits(16, 24), false);
        let why = "size: its begin is not the address of a word";
        check_words(why, &bits(17, 24), true);
        check_words(why, &bits(16, 24), false);
    }

    #[test]
    fn more_or_fewer_elements_than_are_counted() {
        let why = "length: it says that it has 0, and has more";
        let check = |count: u64, shown: &str, expected: Option<Outcome>| {
            let words = json!({"words": {"_M_element_count": count}});
            let contents = [
                leaf(&["a", "(words)"], &words),
                leaf(&["a", "(len)"], &json!({ "int": shown })),
            ];
            let seen = Seen {
                has_called: false,
                contents: &contents,
                ..CALLED
            };
            super::tests::check(
                why,
                &leaf(&["a", "0"], &json!({"int": "1"})),
                seen,
                expected,
            );
        };
        check(0, "2", Some(Outcome::MadeUp));
        // gdb counts what `lr` does not, or shows what it counts.
        check(2, "2", None);
        check(0, "0", None);
        // More than gdb is asked for.
        let words = |count: u64| {
            [leaf(
                &["a", "(words)"],
                &json!({"words": {"_M_node_count": count}}),
            )]
        };
        for (count, expected) in [(0, Some(Outcome::MadeUp)), (1, None)] {
            let words = words(count);
            let seen = Seen {
                contents: &words,
                ..CALLED
            };
            let why = format!("length: it says that it has {count}, and has more");
            let key = leaf(&["a", "#0", "key"], &json!({"int": "1"}));
            super::tests::check(&why, &key, seen, expected);
        }
    }
}
