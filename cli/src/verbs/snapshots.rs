use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use lr_protocol::{QueryFormat, QueryRequest};
use serde::{Deserialize, Serialize};

use crate::connect::ServerArgs;
use crate::duration;
use crate::failure::Failure;
use crate::number::number;
use crate::output::print;
use crate::records::records;
use crate::style::Style;
use crate::table;
use crate::tell::tell;
use crate::time;
use crate::verbs::agents::json_lines;

#[derive(Args, Clone, Debug)]
pub(crate) struct Snapshots {
    /// Only this action's, by its id or name
    #[arg(long, value_name = "ID")]
    action: Option<String>,
    /// Only those of the last so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// A JSON line for each, without its values; `lr show ID --json` has those
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

const SQL: &str = "
    FROM (SELECT snapshot_id AS id, epoch_us(ts) AS us, agent_id AS agent, action_id, action, tid,
            thread, file, line, function, stack_hash, bytes, stop_ns
        FROM snapshots
        WHERE ($action = '' OR action_id = $action OR action = $action)
            AND ($since_s = '' OR ts >= now() - to_seconds(TRY_CAST($since_s AS BIGINT)))
        ORDER BY ts DESC LIMIT $limit::BIGINT)
    ORDER BY us";

/// A snapshot in a list.
#[derive(Serialize, Deserialize, Debug)]
struct Listed {
    id: String,
    us: i64,
    agent: String,
    action_id: String,
    action: String,
    tid: u32,
    thread: String,
    file: String,
    line: u32,
    function: String,
    stack_hash: String,
    bytes: u64,
    stop_ns: u64,
}

impl Snapshots {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let since = self.since.map(duration::whole_seconds);
        let since = since.map(|seconds| seconds.to_string());
        let request = QueryRequest {
            sql: SQL.to_owned(),
            params: BTreeMap::from([
                ("action".to_owned(), self.action.unwrap_or_default()),
                ("since_s".to_owned(), since.unwrap_or_default()),
                ("limit".to_owned(), self.limit.to_string()),
            ]),
            max_rows: None,
            format: QueryFormat::Json,
        };
        let listed: Vec<Listed> = records(&client.query(&request).await?)?;
        if self.json {
            return print(&json_lines(&listed));
        }
        if listed.is_empty() {
            tell!("no snapshots; `lr snapshot <LOC>` takes one");
            return Ok(());
        }
        print(&shown(&listed, Style::of_stdout(), &TimeZone::system()))
    }
}

fn shown(listed: &[Listed], style: Style, zone: &TimeZone) -> String {
    let rows: Vec<_> = listed
        .iter()
        .map(|one| {
            let file = one.file.rsplit('/').next().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            let stopped_ms = one.stop_ns as f64 / 1e6;
            vec![
                one.id.clone(),
                time::local_micros(one.us, zone),
                one.action.clone(),
                one.function.clone(),
                format!("{file}:{}", one.line),
                format!("{}[{}]", one.thread, one.tid),
                format!("{} ms", number(stopped_ms)),
            ]
        })
        .collect();
    let header = [
        "ID", "TIME", "ACTION", "FUNCTION", "PLACE", "THREAD", "STOPPED",
    ];
    table::plain(&header, &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_listed() {
        let one = Listed {
            id: "s-1".into(),
            us: 0,
            agent: "a".into(),
            action_id: "b".into(),
            action: "slow".into(),
            tid: 7,
            thread: "main".into(),
            file: "src/a.c".into(),
            line: 9,
            function: "process".into(),
            stack_hash: "00".into(),
            bytes: 1,
            stop_ns: 120_000,
        };
        assert_eq!(
            shown(&[one], Style::Plain, &TimeZone::UTC),
            "ID   TIME                       ACTION  FUNCTION  PLACE  THREAD   STOPPED\n\
             s-1  1970-01-01 00:00:00+00:00  slow    process   a.c:9  main[7]  0.12 ms\n"
        );
    }
}
