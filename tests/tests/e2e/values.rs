//! A value is the value, or there is a reason in its place.

use lr_fixtures::{Fixture, Target, location};
use serde_json::Value;

use crate::world::World;

/// The fields of one hit of `orders.c` whose order has this id.
fn fields_of_order(fixture: &Fixture, template: &str, id: u32) -> Value {
    let world = World::new();
    let target = Target::spawn(&fixture.build(), ["1", "1000"]);
    let line = location("orders.c", "process");
    // The id comes round once only; whatever is congruent has the same values.
    let condition = format!("o.id % 210 == {id}");
    let mut attached = world.attach(
        &target,
        &line,
        template,
        &["--hits", "1", "--if", &condition],
    );
    let log = attached.logs(1).remove(0);
    attached.ended().done();
    target.assert_unharmed();
    log
}

fn check_values(fixture: &Fixture) {
    let template = "{o.priority} {o.weight} {o.total} {o.name} {o.code} {o.grade} {o.express} \
                    {o.status} {o.note} {o.customer.name} {o.customer.address.city} \
                    {o.customer.address.zip} {o.items[1].sku} {o.items[1].quantity} {worker}";
    let log = fields_of_order(fixture, template, 5);
    let fields = &log["fields"];
    // 5 modulo 210 is 5 modulo 7, 2, 5 and 3, of which make_order makes everything.
    assert_eq!(fields["o.priority"], -5);
    assert_eq!(fields["o.name"], "widget");
    assert_eq!(fields["o.code"], "odd");
    assert!(
        fields["o.grade"] == "A" || fields["o.grade"] == "'A'",
        "{fields}"
    );
    assert_eq!(fields["o.express"], false);
    assert!(
        fields["o.status"] == "PAID" || fields["o.status"] == 5,
        "{fields}"
    );
    assert_eq!(fields["o.customer.name"], "carol");
    assert_eq!(fields["o.customer.address.city"], "Lisbon");
    assert_eq!(fields["o.customer.address.zip"], 1100);
    assert_eq!(fields["o.items[1].sku"], "ink");
    assert_eq!(fields["o.items[1].quantity"], 2);
    assert!(fields["o.weight"].is_number(), "{fields}");
    assert!(fields["o.total"].is_number(), "{fields}");
    let note = &fields["o.note"];
    assert!(
        note == "NULL" || note == "0x0" || note["absent"]["reason"] == "unreadable",
        "{fields}"
    );
}

#[test]
fn of_an_unoptimised_program() {
    check_values(&Fixture::c("orders.c"));
}

#[test]
fn of_an_optimised_program() {
    check_values(&Fixture::c("orders.c").opt('2'));
}

#[test]
fn arithmetic() {
    let log = fields_of_order(
        &Fixture::c("orders.c"),
        "{o.item_count * 2 + 1} {{braces}} {o.id % 210:x}",
        14,
    );
    assert_eq!(log["message"], "7 {braces} 0xe", "{log}");
}

#[test]
fn a_pointer_that_leads_nowhere_has_a_reason() {
    let log = fields_of_order(&Fixture::c("orders.c"), "id={o.id} at={*o.note}", 5);
    let value = &log["fields"]["at"];
    assert_eq!(value["absent"]["reason"], "unreadable", "{log}");
    assert!(log["message"].as_str().unwrap().contains("at=<"), "{log}");
}

#[test]
fn a_type_that_cannot_be_shown_has_a_reason() {
    let log = fields_of_order(&Fixture::c("orders.c"), "id={o.id} c={o.items}", 5);
    let value = &log["fields"]["c"];
    assert_eq!(value["absent"]["reason"], "unsupported", "{log}");
    assert!(log["fields"]["id"].is_number(), "the rest is there: {log}");
}

#[test]
fn strings_of_rust() {
    let world = World::new();
    let target = Target::spawn(&Fixture::rust("orders.rs").build(), [""; 0]);
    let line = location("orders.rs", "book");
    let condition = ["--hits", "1", "--if", "order.country == \"NO\""];
    let template = "{order.customer} {order.items.len} {order.express}";
    let template = template.replace(" {order.items.len}", "");
    let mut attached = world.attach(&target, &line, &template, &condition);
    let log = attached.logs(1).remove(0);
    assert_eq!(log["fields"]["order.customer"], "Bjørn Dahl");
    assert!(log["fields"]["order.express"].is_boolean());
    attached.ended().done();
    target.assert_unharmed();
}
