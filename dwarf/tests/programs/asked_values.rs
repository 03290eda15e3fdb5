//! The language over what the libraries of C++ and Rust make: containers, owners, options, states.

use lr_fixtures::{Fixture, location};

use crate::gdb::{Stopped, one_place, open};

type Cases<'a> = &'a [(&'a str, &'a str)];

/// Checks what templates say, without and with optimisation.
fn check(fixture: &Fixture, program: &str, cases: Cases<'_>) {
    for level in ['0', '2'] {
        let exe = fixture.clone().opt(level).build();
        let binary = open(&exe);
        let place = one_place(&binary, &location(program, "handle"));
        let stopped = Stopped::at(&exe, &place, 1);
        let mut wrong = Vec::new();
        for (template, expected) in cases {
            let said = match stopped.try_message(&exe, &binary, &place, template) {
                Ok(said) => said,
                Err(error) => format!("{error}; {}", error.suggestions().join("; ")),
            };
            if said != *expected {
                wrong.push(format!("{template}: `{said}`, expected `{expected}`"));
            }
        }
        assert!(wrong.is_empty(), "-O{level}\n{}", wrong.join("\n"));
    }
}

#[test]
fn slices_and_statics_of_c() {
    check(
        &Fixture::c("asked.c"),
        "asked.c",
        &[
            (
                "{order->customer[..2]} {order->customer[1..9]:?}",
                "bo \"ob\"",
            ),
            (
                "{order->items[0].name[..2]} {order->items[1].name[1..3]}",
                "te il",
            ),
            (
                "{order->items[0].name[1..]} {order->items[0].name[..=1]}",
                "ea te",
            ),
            (
                "{order->customer[..2] == \"bo\"} {order->customer[1..3] != \"ob\"}",
                "true false",
            ),
            ("{order->numbers[1..3]}", "[20, 30]"),
            (
                "{len(order->numbers[1..3])} {order->numbers[1..3][1]}",
                "2 30",
            ),
            (
                "{order->numbers[1..3][2]} {len(order->items[1..9])}",
                "<undefined> 2",
            ),
            (
                "{len(order->items[3..])} {len(order->items[4..])}",
                "0 <undefined>",
            ),
            ("{calls} {handle::calls} {shop}", "10 10 corner"),
            (
                "{order->state == PAID} {order->state} {PAID + 1}",
                "true PAID 11",
            ),
            (
                "{$rip != 0} {$rsp > $rsp - 8} {$rax == 0 || $rax != 0}",
                "true true true",
            ),
        ],
    );
}

#[test]
fn containers_of_cpp() {
    check(
        &Fixture::cpp("asked.cpp").flag("-std=c++20"),
        "asked.cpp",
        &[
            ("{items[1].name} {items[0].count} {len(items)}", "milk 3 2"),
            (
                "{items[2].name} {len(empty)} {empty[0]}",
                "<undefined> 0 <undefined>",
            ),
            ("{all[1].price} {len(all)}", "0.75 2"),
            ("{codes[2]} {len(codes)} {codes[3]}", "9 3 <undefined>"),
            (
                "{queue[0]} {queue[129]} {len(queue)} {queue[130]}",
                "4900 39601 130 <undefined>",
            ),
            ("{queue[57]} {queue[58]} {queue[60]}", "16129 16384 16900"),
            (
                "{len(stock)} {len(names)} {len(tags)} {len(chain)}",
                "2 2 3 2",
            ),
            (
                "{customer->name} {customer.age} {(*customer).age}",
                "bob 44 44",
            ),
            ("{referrer->name} {referrer->age + 1}", "ann 34"),
            (
                "{nobody->age} {is_some(nobody)} {is_some(customer)}",
                "<unreadable> false true",
            ),
            (
                "{*coupon} {is_some(coupon)} {is_none(none)} {*none}",
                "20 true true <undefined>",
            ),
            ("{tries} {tries > 3}", "4 true"),
            (
                "{state == State::Paid} {state == Paid} {state != shop::State::Sent}",
                "true true true",
            ),
            (
                "{by[..3]} {note[2..6]} {by == \"counter\"}",
                "cou note true",
            ),
            ("{calls} {made} {Order::made}", "73 2 2"),
            ("{items[0].name == \"tea\" && items[1].price < 1}", "true"),
            ("{codes[1..]} {codes:?}", "[8, 9] [7, 8, 9]"),
            (
                "{stock[\"tea\"]} {names[2]} {stock[\"none\"]}",
                "12 two <unsupported>",
            ),
        ],
    );
}

#[test]
fn containers_and_states_of_rust() {
    check(
        &Fixture::rust("asked.rs"),
        "asked.rs",
        &[
            (
                "{order.shape == Circle} {order.other == Circle} {order.other != Shape::Square}",
                "true false false",
            ),
            (
                "{order.shape.Circle.radius} {order.other.Circle.radius}",
                "1.5 <undefined>",
            ),
            ("{order.other.Square.0} {order.other.Square.1 * 2}", "3 8"),
            (
                "{order.state == State::Paid} {order.state == Open}",
                "true false",
            ),
            (
                "{is_some(order.coupon)} {is_some(order.missing)} {is_none(order.note)}",
                "true false false",
            ),
            (
                "{order.coupon == None} {order.missing == None} {order.coupon == Some}",
                "false true true",
            ),
            (
                "{order.coupon.Some.0 + 1} {order.missing.Some.0}",
                "21 <undefined>",
            ),
            (
                "{order.note.Some.0} {order.note.Some.0 == \"fragile\"}",
                "fragile true",
            ),
            ("{order.customer.name} {order.customer.age}", "bob 44"),
            (
                "{order.shared.name} {order.cell.age} {borrowed.name}",
                "ann 22 eve",
            ),
            ("{order.tries} {order.tries < 0} {SERVED}", "-4 true 41"),
            (
                "{order.title} {order.label} {order.title == \"title\"}",
                "title label true",
            ),
            (
                "{len(order.title)} {order.label[1..3]} {order.customer.name[..2]}",
                "5 ab bo",
            ),
            (
                "{order.items[1].0} {order.items[1].1} {len(order.items)}",
                "milk -5 2",
            ),
            (
                "{order.queue[0]} {order.queue[7]} {len(order.queue)} {order.queue[8]}",
                "5 12 8 <undefined>",
            ),
            ("{len(order.stock)} {len(order.names)}", "2 2"),
            (
                "{words[1]} {words[1..]} {len(words[..2])}",
                "two [\"two\", \"three\"] 2",
            ),
            ("{order.codes[2..]} {order.codes[..=1]}", "[-9, 10] [7, 8]"),
            ("{order.codes[1..3][0] + 1}", "9"),
            ("{order.stock[\"tea\"]} {order.names[2]}", "12 two"),
            (
                "{order.ratio == 0.1} {order.ratio + 0.2} {order.small + 10}",
                "true 0.3 4",
            ),
        ],
    );
}
