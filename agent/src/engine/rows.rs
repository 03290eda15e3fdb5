//! What the tracer has counted in a second, as rows for people.

use std::collections::BTreeMap;

use lr_protocol::{ActionKind, HistogramBucket, MetricRow, WantedAction};
use lr_tracer::{Bucket, Group, Groups, Numbers};

use super::layouts::Layouts;
use crate::clock::now_micros;

/// What groups beyond the limit are called together.
const OTHERS: &str = "other";

/// The action that rows are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) wanted: &'a WantedAction,
    pub(crate) layouts: &'a Layouts,
    /// `function:line` of where it is bound.
    pub(crate) place: &'a str,
    pub(crate) observed_ms: u64,
    pub(crate) stop_ns: u64,
}

/// Hits whose number is none, among all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Unnumbered {
    pub(crate) without_value: u64,
    pub(crate) not_finite: u64,
    /// All hits, with and without a number.
    pub(crate) of: u64,
}

impl Unnumbered {
    pub(crate) fn of(groups: &Groups) -> Unnumbered {
        let mut sum = Unnumbered::default();
        for group in &groups.groups {
            sum.without_value += group.without_value;
            sum.not_finite += group.not_finite;
            sum.of += hits_of(group);
        }
        sum
    }
}

/// A row for each group, and one where there is none. Nothing for kinds that do not count.
pub(crate) fn rows_of(groups: &Groups, counted: &Counted<'_>) -> Vec<MetricRow> {
    let spec = &counted.wanted.spec;
    let (unit, is_grouped) = match &spec.kind {
        ActionKind::Counter(counter) => (String::new(), counter.by.is_some()),
        ActionKind::Metric(metric) => (metric.unit.clone(), metric.by.is_some()),
        ActionKind::Log(_) | ActionKind::Snapshot(_) | ActionKind::Unknown => return Vec::new(),
    };
    let kind = spec.kind.word();
    let name = match &spec.name {
        Some(name) => name.clone(),
        None => format!("{kind}:{}", counted.place),
    };
    let row = |group: Option<String>, hits: u64, of_all: u64| MetricRow {
        ts: now_micros(),
        // Counted when it is sent.
        seq: 0,
        action_id: (&counted.wanted.action_id).into(),
        action_version: counted.wanted.version,
        name: name.clone(),
        kind: kind.to_owned(),
        unit: unit.clone(),
        group,
        observed_ms: counted.observed_ms,
        count: 0,
        sum: None,
        min: None,
        max: None,
        hist: Vec::new(),
        stop_ns: share(counted.stop_ns, hits, of_all),
    };
    let merged = merged(groups, counted.layouts, is_grouped);
    let all: u64 = merged.values().map(hits_of).sum();
    if merged.is_empty() {
        return vec![row(None, 1, 1)];
    }
    merged
        .into_iter()
        .map(|(group, counts)| MetricRow {
            count: counts.count,
            ..with_numbers(row(group, hits_of(&counts), all), counts.numbers.as_ref())
        })
        .collect()
}

/// By the text of the group. Two forms of one value may read the same.
fn merged(groups: &Groups, layouts: &Layouts, is_grouped: bool) -> BTreeMap<Option<String>, Group> {
    let mut merged: BTreeMap<Option<String>, Group> = BTreeMap::new();
    for group in &groups.groups {
        let text = is_grouped.then(|| text_of(group, layouts));
        match merged.get_mut(&text) {
            Some(known) => add(known, group),
            None => _ = merged.insert(text, group.clone()),
        }
    }
    merged
}

fn text_of(group: &Group, layouts: &Layouts) -> String {
    let Some(key) = &group.key else {
        return OTHERS.to_owned();
    };
    let layout = layouts.get(key.layout);
    let text = layout.map_or(String::new(), |layout| layout.group(&key.field));
    match text == OTHERS {
        // A value that reads so is not what was left over.
        true => format!("\"{text}\""),
        false => text,
    }
}

fn add(known: &mut Group, more: &Group) {
    known.count += more.count;
    known.without_value += more.without_value;
    known.not_finite += more.not_finite;
    match (&mut known.numbers, &more.numbers) {
        (Some(known), Some(more)) => add_numbers(known, more),
        (none @ None, Some(more)) => *none = Some(more.clone()),
        (_, None) => {}
    }
}

fn add_numbers(known: &mut Numbers, more: &Numbers) {
    known.sum += more.sum;
    known.min = known.min.min(more.min);
    known.max = known.max.max(more.max);
    for bucket in &more.histogram {
        // Bounds are the same in every histogram.
        let same = |known: &&mut Bucket| known.lo.total_cmp(&bucket.lo).is_eq();
        match known.histogram.iter_mut().find(same) {
            Some(known) => known.count += bucket.count,
            None => known.histogram.push(*bucket),
        }
    }
    known.histogram.sort_by(|a, b| a.lo.total_cmp(&b.lo));
}

fn with_numbers(mut row: MetricRow, numbers: Option<&Numbers>) -> MetricRow {
    if let Some(numbers) = numbers {
        // JSON has no infinity; a sum beyond the largest doubles is not known.
        row.sum = Some(numbers.sum).filter(|sum| sum.is_finite());
        row.min = Some(numbers.min);
        row.max = Some(numbers.max);
        let buckets = numbers.histogram.iter();
        row.hist = buckets
            .map(|bucket| HistogramBucket {
                lo: bucket.lo,
                hi: bucket.hi,
                n: bucket.count,
            })
            .collect();
    }
    row
}

fn hits_of(group: &Group) -> u64 {
    group.count + group.without_value + group.not_finite
}

/// What of the whole falls to so many of all hits.
fn share(whole: u64, hits: u64, all: u64) -> u64 {
    let part = u128::from(whole) * u128::from(hits) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::{layout, wanted};
    use crate::engine::trace::Render;
    use lr_protocol::{CounterSpec, MetricSpec};
    use lr_tracer::GroupKey;
    use std::rc::Rc;

    fn counter(by: Option<&str>) -> WantedAction {
        let mut action = wanted("a");
        action.spec.kind = ActionKind::Counter(CounterSpec {
            location: "a".to_owned(),
            by: by.map(str::to_owned),
        });
        action
    }

    fn metric() -> WantedAction {
        let mut action = wanted("a");
        action.spec.name = Some("size".to_owned());
        action.spec.kind = ActionKind::Metric(MetricSpec {
            location: "a".to_owned(),
            expression: "n".to_owned(),
            by: None,
            unit: "bytes".to_owned(),
        });
        action
    }

    fn group(key: Option<&[u8]>, count: u64) -> Group {
        Group {
            key: key.map(|field| GroupKey {
                layout: 0,
                field: field.to_vec(),
            }),
            count,
            without_value: 0,
            not_finite: 0,
            numbers: None,
        }
    }

    fn rows(action: &WantedAction, groups: Vec<Group>) -> Vec<MetricRow> {
        let mut layouts = Layouts::default();
        layouts.number(&(Rc::new(layout()) as Rc<dyn Render>));
        let groups = Groups {
            groups,
            ..Groups::default()
        };
        let counted = Counted {
            wanted: action,
            layouts: &layouts,
            place: "process:9",
            observed_ms: 1000,
            stop_ns: 100,
        };
        rows_of(&groups, &counted)
    }

    #[test]
    fn a_second_without_hits_has_a_row() {
        for by in [None, Some("x")] {
            let rows = rows(&counter(by), Vec::new());
            assert_eq!(rows.len(), 1);
            let row = &rows[0];
            assert_eq!((row.count, row.observed_ms, &row.group), (0, 1000, &None));
            assert_eq!(
                (row.name.as_str(), row.kind.as_str()),
                ("counter:process:9", "counter")
            );
        }
        assert!(rows(&wanted("a"), Vec::new()).is_empty());
    }

    #[test]
    fn groups_are_told_by_their_text_and_the_rest_as_other() {
        let action = counter(Some("x"));
        let groups = vec![
            group(Some(b"de"), 3),
            group(Some(b"other"), 4),
            group(Some(b"de"), 2),
            group(None, 1),
        ];
        let told: Vec<(Option<String>, u64, u64)> = rows(&action, groups)
            .into_iter()
            .map(|row| (row.group, row.count, row.stop_ns))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                (text("\"other\""), 4, 40),
                (text("de"), 5, 50),
                (text("other"), 1, 10)
            ]
        );
    }

    #[test]
    fn statistics_are_merged_and_never_infinite() {
        let numbers = |sum, lo| {
            Some(Numbers {
                sum,
                min: lo,
                max: lo,
                histogram: vec![Bucket {
                    lo,
                    hi: lo * 2.0,
                    count: 1,
                }],
            })
        };
        let with = |numbers| Group {
            numbers,
            ..group(Some(b""), 1)
        };
        let rows = rows(
            &metric(),
            vec![with(numbers(2.0, 2.0)), with(numbers(1.0, 1.0))],
        );
        let row = &rows[0];
        assert_eq!((row.count, row.sum), (2, Some(3.0)));
        assert_eq!((row.min, row.max), (Some(1.0), Some(2.0)));
        assert_eq!((row.hist[0].lo, row.hist[1].lo), (1.0, 2.0));
        assert_eq!((row.name.as_str(), row.unit.as_str()), ("size", "bytes"));
        let rows = super::tests::rows(&metric(), vec![with(numbers(f64::INFINITY, 1.0))]);
        assert_eq!(rows[0].sum, None);
    }
}
