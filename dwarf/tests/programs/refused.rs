//! What is no expression here: where it says so, what it expected, and what would do.

use lr_dwarf::{Binary, LoadBias, Place, Source, Wanted};
use lr_fixtures::{Fixture, location};

use crate::gdb::{one_place, open};

fn place(fixture: &Fixture, program: &str) -> (Binary, Place) {
    let binary = open(&fixture.build());
    let place = one_place(&binary, &location(program, "handle"));
    (binary, place)
}

fn refusal((binary, place): &(Binary, Place), condition: &str) -> String {
    let source = Source {
        condition: Some(condition),
        wanted: Wanted::Nothing,
    };
    match binary.compile(place, LoadBias(0), &source) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => [vec![error.to_string()], error.suggestions()]
            .concat()
            .join("; "),
    }
}

fn check(at: &(Binary, Place), cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (condition, expected) in cases {
        let said = refusal(at, condition).replace(" of the condition", "");
        if said != *expected {
            wrong.push(format!("{condition}: `{said}`, expected `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_of_c() {
    check(
        &place(&Fixture::c("asked.c"), "asked.c"),
        &[
            (
                "order->",
                "expected the name of a member, found the end, at column 8",
            ),
            (
                "atempt > 1",
                "no variable `atempt` here, at column 1; did you mean `attempt`?; in scope are: order, attempt, calls",
            ),
            (
                "order->totals > 1",
                "struct order has no member `totals`, at column 6; did you mean `total`?; its members are: id, customer, state, total, discount, gift, grade, urgent, items, item_count, next, shift, tries, big, numbers",
            ),
            (
                "attempt = 1",
                "expected `==`: nothing can be assigned; an operator or the end, found `=`, at column 9",
            ),
            (
                "strlen(order->customer)",
                "expected an operator or the end: no calls into the target, found `(`, at column 7",
            ),
            (
                "order->customer < shop",
                "expected `a - b < 0` for places, or `a[..64] < b[..64]` for texts, found `const char *` and `const char *const`, at column 17",
            ),
            (
                "order->customer + \"bob\"",
                "expected numbers for `+`, found a text, at column 17",
            ),
            (
                "$thread == \"a name that is too long\"",
                "expected a name of at most 15 bytes, as threads have, found one of 23, at column 9",
            ),
            (
                "attempt++",
                "expected an operator or the end: nothing can be changed, found `+`, at column 8",
            ),
            (
                "attempt += 1",
                "expected an operator or the end: nothing can be changed, found `+`, at column 9",
            ),
            (
                "attempt > 1 and order",
                "expected `&&`, an operator or the end, found `and`, at column 13",
            ),
            (
                "attempt > 1 ? 1 : 0",
                "expected an operator or the end: there is no `a ? b : c` and no `?`, found `?`, at column 13",
            ),
            (
                "if attempt",
                "expected a name, a literal or `(`: this is a keyword, found `if`, at column 1",
            ),
            (
                "Foo(attempt) == 1",
                "expected a variant beside a value that may be it: no calls into the target, found `Foo(…)`, at column 1",
            ),
            (
                "(attempt = 1)",
                "expected `==`: nothing can be assigned; an operator or `)`, found `=`, at column 10",
            ),
            (
                "order->items.len > 1",
                "expected something with members (how many there are is `len(…)`), found `struct item[3]`, at column 13",
            ),
            (
                "order->items.size() > 1",
                "expected a member: no calls into the target (how many there are is `len(…)`), found `(`, at column 18",
            ),
            ("order->items", "accepted"),
            (
                "order->items[0]",
                "expected a value that is true or false, found `struct item`, at column 13",
            ),
            (
                "order->customer[1..]",
                "expected an end of the slice, found `const char *`, whose length nothing tells, at column 16",
            ),
            (
                "order->items[..-1]",
                "expected an end of a slice that is not negative, found a negative one, at column 16",
            ),
            (
                "len(order->total)",
                "expected an array, a slice, a container or a string that knows its length, found `int`, at column 1",
            ),
            (
                "is_some(order->total)",
                "expected an option or a pointer, found `int`, at column 1",
            ),
            (
                "$duration > 5",
                "expected what a line knows: $duration and $return are known when a function ends, found `$`, at column 1",
            ),
            (
                "(nosuch *)order",
                "no type `nosuch` is known here, at column 2",
            ),
            (
                "order as *const nosuch",
                "no type `nosuch` is known here, at column 10",
            ),
            (
                "attempt % 1.5",
                "expected whole numbers for `%`, found `double`, at column 9",
            ),
            (
                "1 < 2 < 3",
                "expected parentheses around the first comparison, found `<`, at column 7",
            ),
            (
                "\"a\"",
                "expected a value that is not a text alone, found a text, at column 1",
            ),
        ],
    );
}

#[test]
fn messages_of_rust_and_cpp() {
    check(
        &place(&Fixture::rust("asked.rs"), "asked.rs"),
        &[
            (
                "order.id + attempt > 0",
                "expected operands of one type, which `as` makes them, found `u32` and `usize`, at column 10",
            ),
            (
                "order.small == 300",
                "expected a number that a `u8` holds, found 300, at column 13",
            ),
            (
                "order.shape == Triangle",
                "Shape has no variant `Triangle`, at column 16; its variants are: Empty, Circle, Square",
            ),
            (
                "order.shape.radius > 1",
                "Shape has no member `radius`, at column 12; its members are: Empty, Circle, Square",
            ),
            (
                "order.items.len() > 1",
                "expected a member: no calls into the target (how many there are is `len(…)`), found `(`, at column 16",
            ),
            (
                "order.coupon == Some(order.nosuch)",
                "Order has no member `nosuch`, at column 27; its members are: id, state, shape, other, coupon, missing, note, nested, checked, refused, customer, shared, cell, tries, title, label, items, queue, stock, names, seen, codes, small, ratio",
            ),
            (
                "order.coupon == Sum(5)",
                "Option<u32> has no variant `Sum`, at column 17; its variants are: None, Some",
            ),
            (
                "Some(5)",
                "expected a variant beside a value that may be it: no calls into the target, found `Some(…)`, at column 1",
            ),
            (
                "order.stock[\"tea\"] == 12",
                "`HashMap<alloc::string::String, u32, std::hash::random::RandomState, alloc::alloc::Global>` cannot be used here: it is read as a whole, while its thread is held, at column 12; use a number or a text of it, such as a member or len(); a log shows the whole with `{…:?}`, a snapshot watches it",
            ),
        ],
    );
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_before_it_costs_anything() {
    let at = place(&Fixture::c("asked.c"), "asked.c");
    let many = 10_000;
    for expression in [
        "a".repeat(1 << 20),
        format!("{}1", "-".repeat(1 << 20)),
        format!("{}1{}", "(".repeat(many), ")".repeat(many)),
        format!("{}1{}", "(".repeat(3000), ")".repeat(3000)),
        format!("{}1", "!".repeat(many)),
        format!("{}1", "*".repeat(3000)),
        format!("{}1", "(int)".repeat(2000)),
        format!("order{}", ".next".repeat(2000)),
        format!("order{}", "[0]".repeat(3000)),
        format!("1{}", " + 1".repeat(3000)),
        format!("1{}", "&&1".repeat(3000)),
        format!("1{}", " as int".repeat(2000)),
        format!("{}1{}", "order->items[".repeat(1000), "]".repeat(1000)),
        format!("{}1{}", "len(".repeat(3000), ")".repeat(3000)),
        format!("a{}", "::a".repeat(3000)),
        format!("\"{}", "x".repeat(16_000)),
        format!("{}1", "1..".repeat(3000)),
    ] {
        let said = refusal(&at, &expression);
        assert!(said.starts_with("expected "), "{:.40}: {said}", expression);
        assert!(said.len() < 300, "{:.40}: {}", expression, said.len());
    }
    // As high as it may be is not too high for whoever reads it.
    let chain = format!("1{}", " + attempt".repeat(60));
    assert_eq!(refusal(&at, &chain), "accepted");
    let deep = format!("{}attempt{}", "(1 + ".repeat(25), ")".repeat(25));
    assert_eq!(refusal(&at, &deep), "accepted");
}

#[test]
fn what_is_nested_is_looked_at_once() {
    // Twice at each depth would be longer than anybody waits.
    let at = place(&Fixture::c("asked.c"), "asked.c");
    for (open, inner, close) in [
        ("(", "attempt", " == 1)"),
        ("(", "attempt", " != PAID)"),
        ("(1 == ", "attempt", ")"),
        ("(attempt + ", "attempt", ")"),
        ("order->numbers[", "attempt", "]"),
        ("order->items[", "attempt", "].count"),
        ("len(order->items[..", "1", "])"),
        ("is_some(&*", "order", ")"),
    ] {
        let deep = format!("{}{inner}{}", open.repeat(24), close.repeat(24));
        let said = refusal(&at, &deep);
        let ended =
            said == "accepted" || said.starts_with("too large") || said.contains("expected");
        assert!(ended, "{deep}: {said}");
    }
    let at = place(&Fixture::cpp("asked.cpp").flag("-std=c++20"), "asked.cpp");
    for (open, inner, close) in [
        ("empty[", "attempt", "]"),
        ("codes[", "attempt", "]"),
        ("queue[", "attempt", "]"),
        ("len(queue[", "attempt", "..])"),
        ("(coupon == ", "attempt", ")"),
        ("(payment.0 == ", "attempt", ")"),
    ] {
        let deep = format!("{}{inner}{}", open.repeat(24), close.repeat(24));
        let said = refusal(&at, &deep);
        assert!(!said.is_empty(), "{deep}");
    }
    let at = place(&Fixture::rust("asked.rs"), "asked.rs");
    let deep = format!("order.nested == {}5{}", "Some(".repeat(40), ")".repeat(40));
    let said = refusal(&at, &deep);
    assert!(said.contains("a variant beside"), "{said}");
}

#[test]
fn columns_of_templates_are_those_of_the_template() {
    let (binary, place) = place(&Fixture::c("asked.c"), "asked.c");
    let refused = |template: &str| {
        let source = Source {
            condition: None,
            wanted: Wanted::Template(template),
        };
        let error = binary.compile(&place, LoadBias(0), &source).unwrap_err();
        error.to_string().replace(" of the template", "")
    };
    for (template, expected) in [
        (
            "a {attempt",
            "expected an operator or `}`, found the end, at column 11",
        ),
        (
            "a } b",
            "expected `}}` for a brace, or a `{` before it, found `}`, at column 3",
        ),
        (
            "{}",
            "expected an expression between the braces, or `{{`, found `}`, at column 2",
        ),
        (
            "ok {attempt} {order->}",
            "expected the name of a member, found `}`, at column 22",
        ),
        (
            "{attempt:z}",
            "expected the format `x`, `?` or `raw`, found `z`, at column 10",
        ),
        (
            "{attempt = 1}",
            "expected `==`: nothing can be assigned; an operator or `}`, found `=`, at column 10",
        ),
        (
            "{attempt++}",
            "expected an operator or `}`: nothing can be changed, found `+`, at column 9",
        ),
        (
            "{handle(1)}",
            "expected an operator or `}`: no calls into the target, found `(`, at column 8",
        ),
        ("{{}} {nosuch}", "no variable `nosuch` here, at column 7"),
    ] {
        assert_eq!(refused(template), expected, "{template}");
    }
}

#[test]
fn what_is_watched_makes_sense_at_the_place() {
    let (binary, place) = place(&Fixture::c("asked.c"), "asked.c");
    let checked = |watch: &str| match binary.check_watch(&place, LoadBias(0), watch) {
        Ok(()) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    for watch in [
        "*order",
        "order->items:raw",
        "order->items[1]",
        "attempt + 1",
        "$rip",
    ] {
        assert_eq!(checked(watch), "accepted", "{watch}");
    }
    for (watch, expected) in [
        (
            "order->nosuch",
            "struct order has no member `nosuch`, at column 6 of the watch",
        ),
        (
            "order->",
            "expected the name of a member, found the end, at column 8 of the watch",
        ),
        ("oder", "no variable `oder` here, at column 1 of the watch"),
        (
            "order as nosuch",
            "no type `nosuch` is known here, at column 10 of the watch",
        ),
        (
            "1 + $pid",
            "expected a value of the process, found what is only known of a hit, at column 5 of the watch",
        ),
        (
            "$thread == \"main\"",
            "expected a value of the process, found what is only known of a hit, at column 1 of the watch",
        ),
    ] {
        assert_eq!(checked(watch), expected, "{watch}");
    }
    let cpp = Fixture::cpp("asked.cpp").flag("-std=c++20").build();
    let binary = open(&cpp);
    let place = one_place(&binary, &location("asked.cpp", "handle"));
    for watch in ["stock", "stock[\"tea\"]", "queue[2..5]", "payment"] {
        let checked = binary.check_watch(&place, LoadBias(0), watch);
        assert!(checked.is_ok(), "{watch}: {checked:?}");
    }
}
