use lr_protocol::{Column, QueryResult};
use serde_json::{Map, Value};

use super::destination::Destination;
use crate::escape::escaped_json;
use crate::failure::Failure;
use crate::style::Style;
use crate::table::{self, SqlCell};

pub(super) fn table(result: &QueryResult, style: Style) -> String {
    let header: Vec<_> = result.columns.iter().map(|c| c.name.clone()).collect();
    let rows = result
        .rows
        .iter()
        .map(|row| row.iter().zip(&result.columns).map(cell).collect())
        .collect();
    table::sql(&header, rows, style)
}

/// Integers beyond 2^53 and decimals travel as strings, and are numbers all the same.
fn cell((value, column): (&Value, &Column)) -> SqlCell {
    match value {
        Value::Null => SqlCell::Null,
        Value::Number(number) => SqlCell::Number(number.to_string()),
        Value::String(text) if is_numeric(&column.type_name) => SqlCell::Number(text.clone()),
        Value::String(text) => SqlCell::Text(text.clone()),
        other => SqlCell::Text(other.to_string()),
    }
}

fn is_numeric(type_name: &str) -> bool {
    matches!(
        type_name,
        "TINYINT"
            | "SMALLINT"
            | "INTEGER"
            | "BIGINT"
            | "HUGEINT"
            | "UTINYINT"
            | "USMALLINT"
            | "UINTEGER"
            | "UBIGINT"
            | "UHUGEINT"
            | "FLOAT"
            | "DOUBLE"
    ) || type_name.starts_with("DECIMAL(")
}

/// One array, a row a line.
pub(super) fn json(result: &QueryResult, output: &mut Destination) -> Result<(), Failure> {
    output.write(b"[")?;
    for (number, object) in objects(result).enumerate() {
        output.write(if number == 0 { b"\n" } else { b",\n" })?;
        output.write(object.as_bytes())?;
    }
    output.write(if result.rows.is_empty() {
        b"]\n"
    } else {
        b"\n]\n"
    })
}

pub(super) fn ndjson(result: &QueryResult, output: &mut Destination) -> Result<(), Failure> {
    for object in objects(result) {
        output.write(object.as_bytes())?;
        output.write(b"\n")?;
    }
    Ok(())
}

fn objects(result: &QueryResult) -> impl Iterator<Item = String> {
    let names = unique_names(&result.columns);
    result.rows.iter().map(move |row| {
        let pairs = names.iter().cloned().zip(row.iter().cloned());
        let object = Value::Object(Map::from_iter(pairs));
        escaped_json(&object.to_string()).into_owned()
    })
}

/// A result may have two columns of a name, an object not: `n`, `n_1`.
fn unique_names(columns: &[Column]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in columns {
        let mut name = column.name.clone();
        let mut number = 0;
        while names.contains(&name) {
            number += 1;
            name = format!("{}_{number}", column.name);
        }
        names.push(name);
    }
    names
}

pub(super) fn summary(result: &QueryResult) -> String {
    let rows = match result.rows.len() {
        1 => "1 row".to_string(),
        many => format!("{many} rows"),
    };
    let cut = match result.truncated {
        true => format!("; {}", cut(result)),
        false => String::new(),
    };
    format!("({rows}, {} ms{cut})", result.elapsed_ms)
}

pub(super) fn cut(result: &QueryResult) -> String {
    format!(
        "cut after {} rows; --max-rows asks for more",
        result.rows.len()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result() -> QueryResult {
        let column = |name: &str, type_name: &str| Column {
            name: name.into(),
            type_name: type_name.into(),
        };
        QueryResult {
            columns: vec![
                column("n", "UBIGINT"),
                column("n", "VARCHAR"),
                column("at", "STRUCT(a INTEGER)"),
            ],
            rows: vec![
                vec![
                    json!("18446744073709551615"),
                    json!("a\u{202e}b"),
                    json!({"a": 1}),
                ],
                vec![json!(7), Value::Null, Value::Null],
            ],
            truncated: false,
            elapsed_ms: 12,
        }
    }

    #[test]
    fn a_table() {
        let expected = [
            " n                    | n         | at",
            "----------------------+-----------+---------",
            " 18446744073709551615 | a\\u{202e}b | {\"a\":1}",
            "                    7 | NULL      | NULL",
            "",
        ]
        .join("\n");
        let shown = table(&result(), Style::Plain);
        // The escape is wider than its column's neighbours; only the cells matter here.
        let squeeze = |text: &str| text.replace([' ', '-'], "");
        assert_eq!(squeeze(&shown), squeeze(&expected));
    }

    #[test]
    fn objects_have_every_column() {
        let lines: Vec<_> = objects(&result()).collect();
        assert_eq!(
            lines,
            [
                r#"{"n":"18446744073709551615","n_1":"a\u202eb","at":{"a":1}}"#,
                r#"{"n":7,"n_1":null,"at":null}"#
            ]
        );
    }

    fn written(write: impl Fn(&mut Destination)) -> String {
        let path = std::env::temp_dir().join(format!("lr-rows-{}", crate::lease::new().unwrap()));
        let mut destination = Destination::open(Some(&path)).unwrap();
        write(&mut destination);
        destination.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text
    }

    #[test]
    fn json_is_one_array() {
        let text = written(|output| json(&result(), output).unwrap());
        let array: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(array.len(), 2);
        let none = QueryResult {
            rows: Vec::new(),
            ..result()
        };
        assert_eq!(written(|output| json(&none, output).unwrap()), "[]\n");
        assert_eq!(written(|output| ndjson(&none, output).unwrap()), "");
    }

    #[test]
    fn a_result_that_was_cut_says_so() {
        assert_eq!(summary(&result()), "(2 rows, 12 ms)");
        let cut = QueryResult {
            truncated: true,
            ..result()
        };
        assert_eq!(
            summary(&cut),
            "(2 rows, 12 ms; cut after 2 rows; --max-rows asks for more)"
        );
    }
}
