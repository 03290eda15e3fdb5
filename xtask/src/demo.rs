use std::time::Instant;

use anyhow::{Result, bail};
use lr_fixtures::{Fixture, Target, location};

use crate::build::{self, Purpose};
use crate::interrupt;
use crate::local::Local;

const TEMPLATE: &str = "order={o.id} customer={o.customer} total={o.total}";

const QUERY: &str = "\
SELECT thread, count(*) AS orders,
       round(avg((fields->>'total')::DOUBLE), 2) AS mean_total,
       max(fields->>'customer') AS a_customer
FROM logs GROUP BY thread ORDER BY thread";

/// Starts a service, adds a log to it while it runs, and asks SQL what was seen.
pub(crate) fn run() -> Result<()> {
    interrupt::become_errors()?;
    let begun = Instant::now();
    let programs = build::release(Purpose::Here)?;
    let service = build::fixture(&Fixture::rust("orders.rs").opt('2'))?;
    interrupt::check()?;

    // Ended in the reverse order: the server last, when nothing writes any more.
    let local = Local::new(programs)?;
    let target = Target::spawn(&service, [""; 0]);
    let pid = target.pid().to_string();
    let line = location("orders.rs", "process");
    println!("\nAn order-processing service runs as process {pid}: fixtures/programs/orders.rs.");
    println!("It logs nothing. These are ten logs of its line {line}, added while it runs:\n");
    println!("$ lr attach {pid} --log {line} '{TEMPLATE}' --hits 10");
    let mut attach = local.lr();
    attach.args(["attach", &pid, "--log", &line, TEMPLATE, "--hits", "10"]);
    let status = interrupt::run(&mut attach)?;
    if !status.success() {
        bail!("lr attach ended with {status}");
    }

    println!("\nThe service never stopped; its code is what it was. What was printed is stored:\n");
    println!("$ lr sql \"{QUERY}\"");
    let status = interrupt::run(local.lr().args(["sql", QUERY]))?;
    if !status.success() {
        bail!("lr sql ended with {status}");
    }
    target.assert_unharmed();
    drop(target);
    drop(local);

    println!("\nThe same with your own process, built with -g (Rust: debug = true):\n");
    println!("  cargo xtask install          # lr and lr-server into ~/.local/bin");
    println!("  lr ps                        # what you may attach to");
    println!("  lr attach PID --log file.c:LINE 'value={{variable}}'");
    println!("  lr sql                       # a prompt; the tables stand in docs/sql.md\n");
    println!(
        "This took {:.1} s; nothing of it is left running.",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
