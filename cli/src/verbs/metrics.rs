use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use lr_protocol::{LiveEvent, LiveMetric, QueryFormat, QueryRequest};

use crate::connect::ServerArgs;
use crate::duration;
use crate::event::{EventLines, Form};
use crate::failure::Failure;
use crate::number::number;
use crate::output::print;
use crate::records::records;
use crate::style::Style;
use crate::table;
use crate::tell::tell;
use crate::verbs::tail::Tail;

#[derive(Args, Clone, Debug)]
pub(crate) struct Metrics {
    /// Only this action's, by its id or name
    #[arg(long, value_name = "ID")]
    action: Option<String>,
    /// Of the last so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    since: Duration,
    /// Each second as it comes, instead
    #[arg(long, conflicts_with = "since")]
    follow: bool,
    /// JSON lines on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Seconds put together; percentiles are those of all values, from the merged histograms.
const SQL: &str = "
    SELECT strftime(max(ts), '%Y-%m-%dT%H:%M:%S.%fZ') AS ts, agent_id AS agent,
        process_id AS process, action_id AS action, name, kind, coalesce(unit, '') AS unit,
        group_key AS \"group\", sum(observed_ms)::UBIGINT AS observed_ms,
        sum(count)::UBIGINT AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
        sum(sum) / nullif(sum(count), 0) AS mean,
        CASE WHEN count(hist) > 0 THEN
            least(greatest(lr_quantile(flatten(list(hist)), 0.5), min(min)), max(max)) END AS p50,
        CASE WHEN count(hist) > 0 THEN
            least(greatest(lr_quantile(flatten(list(hist)), 0.99), min(min)), max(max)) END AS p99
    FROM metrics
    WHERE ts >= now() - to_seconds($since_s::BIGINT)
        AND ($action = '' OR action_id = $action OR action = $action)
    GROUP BY agent_id, process_id, action_id, name, kind, unit, group_key
    ORDER BY name, agent_id, count DESC, group_key";

impl Metrics {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if self.follow {
            return Tail::metrics(self.action, self.json, self.server)
                .run()
                .await;
        }
        let client = self.server.connect_or_start().await?.client;
        let since = duration::whole_seconds(self.since).to_string();
        let request = QueryRequest {
            sql: SQL.to_owned(),
            params: BTreeMap::from([
                ("action".to_owned(), self.action.unwrap_or_default()),
                ("since_s".to_owned(), since),
            ]),
            max_rows: None,
            format: QueryFormat::Json,
        };
        let metrics: Vec<LiveMetric> = records(&client.query(&request).await?)?;
        if self.json {
            let lines = EventLines::new(Form::Json);
            let lines = metrics
                .into_iter()
                .filter_map(|metric| lines.line(&LiveEvent::Metric(metric)));
            return print(&lines.map(|line| line + "\n").collect::<String>());
        }
        if metrics.is_empty() {
            tell!("no counters or metrics in that time; --since looks further back");
            return Ok(());
        }
        print(&shown(&metrics, Style::of_stdout()))
    }
}

fn shown(metrics: &[LiveMetric], style: Style) -> String {
    let rows: Vec<_> = metrics
        .iter()
        .map(|metric| {
            let of = |value: Option<f64>| value.map(number).unwrap_or_default();
            vec![
                metric.name.clone(),
                metric.group.clone().unwrap_or_default(),
                metric.agent.clone(),
                metric.count.to_string(),
                per_second(metric),
                of(metric.mean),
                of(metric.min),
                of(metric.p50),
                of(metric.p99),
                of(metric.max),
                metric.unit.clone(),
            ]
        })
        .collect();
    let header = [
        "NAME",
        "GROUP",
        "ON",
        "COUNT",
        "PER SECOND",
        "MEAN",
        "MIN",
        "P50",
        "P99",
        "MAX",
        "UNIT",
    ];
    table::plain(&header, &rows, style)
}

/// While it was observed.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn per_second(metric: &LiveMetric) -> String {
    match metric.observed_ms {
        0 => String::new(),
        observed => number(metric.count as f64 * 1000.0 / observed as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let metric = LiveMetric {
            ts: String::new(),
            agent: "aaaaaaaa".into(),
            process: "1-1".into(),
            action: "b".into(),
            name: "metric:process:9".into(),
            kind: "metric".into(),
            unit: "ms".into(),
            group: Some("de\u{1b}".into()),
            observed_ms: 2000,
            count: 3,
            sum: Some(116.5),
            min: Some(8.0),
            max: Some(100.0),
            mean: Some(116.5 / 3.0),
            p50: Some(8.75),
            p99: None,
        };
        assert_eq!(
            shown(&[metric], Style::Plain),
            "NAME              GROUP     ON        COUNT  PER SECOND  MEAN    MIN  P50   P99  MAX  UNIT\n\
             metric:process:9  de\\u{1b}  aaaaaaaa  3      1.5         38.833  8    8.75       100  ms\n"
        );
    }
}
