//! `lr attach … --log …` on each language, optimised and not, position-independent and not.

use lr_fixtures::{Fixture, Target, copy_program, location, wait_until};
use serde_json::Value;

use crate::world::World;

/// Attaches to a program, takes ten logs of its marked line, checks each and the target.
fn check(fixture: &Fixture, location: &str, template: &str, value: impl Fn(&Value)) {
    let world = World::new();
    let target = Target::spawn(&fixture.build(), [""; 0]);
    let mut attached = world.attach(&target, location, template, &["--hits", "10"]);
    let logs = attached.logs(10);
    let ended = attached.ended().status(0);
    assert!(
        !ended.stdout.contains(r#""type":"log""#),
        "more than --hits logs: {}",
        ended.stdout
    );
    for log in &logs {
        assert_eq!(log["pid"], target.pid(), "{log}");
        let tid = u32::try_from(log["tid"].as_u64().unwrap()).unwrap();
        assert!(target.threads().contains(&tid), "{log}");
        let file = location.rsplit_once(':').unwrap().0;
        assert!(log["file"].as_str().unwrap().ends_with(file), "{log}");
        value(log);
    }
    target.assert_unharmed();
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 10);
}

fn check_c(fixture: Fixture) {
    let line = location("orders.c", "process");
    check(
        &fixture,
        &line,
        "id={o.id} name={o->name} age={o.customer.age}",
        |log| {
            let id = log["fields"]["id"].as_i64().unwrap();
            let name = if id % 2 == 1 { "widget" } else { "gadget" };
            let age = [31, 47, 65][usize::try_from(id % 3).unwrap()];
            assert_eq!(log["message"], format!("id={id} name={name} age={age}"));
            assert_eq!(log["function"], "process_order", "{log}");
        },
    );
}

#[test]
fn c_unoptimised() {
    check_c(Fixture::c("orders.c"));
}

#[test]
fn c_optimised() {
    check_c(Fixture::c("orders.c").opt('2'));
}

#[test]
fn c_unoptimised_at_fixed_addresses() {
    check_c(Fixture::c("orders.c").no_pie());
}

#[test]
fn c_optimised_at_fixed_addresses() {
    check_c(Fixture::c("orders.c").opt('2').no_pie());
}

#[test]
fn c_linked_statically() {
    check_c(Fixture::c("orders.c").opt('2').linked_statically());
}

#[test]
fn c_linked_statically_at_fixed_addresses() {
    check_c(Fixture::c("orders.c").no_pie().linked_statically());
}

#[test]
fn c_without_frame_pointers_and_with_cet() {
    check_c(
        Fixture::c("orders.c")
            .opt('2')
            .flag("-fomit-frame-pointer")
            .flag("-fcf-protection=full"),
    );
}

fn check_cpp(fixture: Fixture) {
    let line = location("orders.cpp", "put");
    check(
        &fixture,
        &line,
        "id={order.id} country={order.customer.country} q={order.quantities[1]}",
        |log| {
            let id = log["fields"]["id"].as_i64().unwrap();
            let country = ["PT", "NO", "FR"][usize::try_from(id % 3).unwrap()];
            assert_eq!(log["message"], format!("id={id} country={country} q=2"));
        },
    );
}

#[test]
fn cpp_unoptimised() {
    check_cpp(Fixture::cpp("orders.cpp"));
}

#[test]
fn cpp_optimised() {
    check_cpp(Fixture::cpp("orders.cpp").opt('2'));
}

fn check_rust(fixture: Fixture) {
    let line = location("orders.rs", "process");
    check(
        &fixture,
        &line,
        "order={o.id} customer={o.customer} country={o.country} total={o.total}",
        |log| {
            let fields = &log["fields"];
            let countries = [
                ("Amália Fonseca", "PT"),
                ("Bjørn Dahl", "NO"),
                ("Chen Wei", "CN"),
                ("Dana Scully", "US"),
                ("Émile Zola", "FR"),
                ("Frida Kahlo", "MX"),
            ];
            let customer = fields["customer"].as_str().unwrap();
            let country = fields["country"].as_str().unwrap();
            assert!(countries.contains(&(customer, country)), "{log}");
            let total = fields["total"].as_f64().unwrap();
            assert!(total > 0.0 && total <= 1000.0, "{log}");
        },
    );
}

#[test]
fn rust_unoptimised() {
    check_rust(Fixture::rust("orders.rs"));
}

#[test]
fn rust_optimised() {
    check_rust(Fixture::rust("orders.rs").opt('2'));
}

#[test]
fn rust_at_fixed_addresses() {
    check_rust(Fixture::rust("orders.rs").no_pie());
}

#[test]
fn a_function_by_its_name() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let mut attached = world.attach(&target, "process_order", "w={worker}", &["--hits", "4"]);
    for log in attached.logs(4) {
        assert_eq!(log["function"], "process_order", "{log}");
        assert!(
            [0, 1].contains(&log["fields"]["w"].as_i64().unwrap()),
            "{log}"
        );
    }
    attached.ended().done();
    target.assert_unharmed();
}

#[test]
fn a_program_whose_file_was_replaced() {
    let world = World::new();
    let copy = world.folder().join("orders");
    copy_program(&Fixture::c("orders.c").build(), &copy);
    let target = Target::spawn(&copy, [""; 0]);
    std::fs::remove_file(&copy).unwrap();
    std::fs::write(&copy, "something else").unwrap();
    let line = location("orders.c", "process");
    let mut attached = world.attach(&target, &line, "id={o.id}", &["--hits", "3"]);
    attached.logs(3);
    attached.ended().done();
    target.assert_goes_on();
}

#[test]
fn a_program_whose_main_thread_has_ended() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("leaderless.c").build(), [""; 0]);
    let stat = format!("/proc/{}/stat", target.pid());
    wait_until("the main thread to end", || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.contains(") Z ").then_some(())
    });
    let line = location("leaderless.c", "pass");
    let mut attached = world.attach(
        &target,
        &line,
        "n={*n}",
        &["--hits", "100", "--ignore-quota"],
    );
    let bound = attached.until_bound();
    assert_eq!(bound["bound"], 1, "{bound}");
    target.send("go");
    assert_eq!(target.line(), "worked 100");
    for log in attached.logs(50) {
        assert_eq!(log["message"], "n=1", "{log}");
    }
    attached.ended().done();
    target.send("go");
    assert_eq!(target.line(), "worked 200");
    let differences = lr_fixtures::text_differences(target.threads()[1]).unwrap();
    assert!(differences.is_empty(), "text changed: {differences:x?}");
}

#[test]
fn json_lines_keep_their_contract() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let line = location("orders.c", "process");
    let mut attached = world.attach(&target, &line, "id={o.id}", &["--hits", "1"]);
    let log = attached.logs(1).remove(0);
    let keys: Vec<&str> = log
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "type", "ts", "agent", "process", "action", "pid", "tid", "thread", "file", "line",
            "function", "level", "message", "fields"
        ]
    );
    let ts = log["ts"].as_str().unwrap();
    assert_eq!(ts.len(), "2026-01-02T03:04:05.678901Z".len(), "{ts}");
    assert!(ts.ends_with('Z'), "{ts}");
    assert_eq!(log["level"], "info");
    assert_eq!(format!("orders.c:{}", log["line"]), line);
    let ended = attached.ended().status(0);
    for value in ended.json_lines() {
        assert!(["loss", "state", "end"].contains(&value["type"].as_str().unwrap()));
    }
    assert_eq!(
        world.sql_number("SELECT count(*) FROM logs WHERE fields IS NOT NULL"),
        1
    );
}

#[test]
fn lines_for_people_say_what_and_where() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), [""; 0]);
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    let ended = world
        .lr(["attach", &pid, "--hits", "3", "--log", &line, "id={o.id}"])
        .status(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    assert!(
        lines.iter().all(|line| line.contains("id=")),
        "{}",
        ended.stdout
    );
    assert!(ended.stderr.contains(&pid), "{}", ended.stderr);
    assert!(ended.stderr.contains("lr portal"), "{}", ended.stderr);
}
