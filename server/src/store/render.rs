//! Results as JSON and CSV. DuckDB itself turns each column into one of five plain types, so that
//! no type of its own, now or later, can take us by surprise.

use std::collections::BTreeMap;

use duckdb::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StructArray, UInt64Array,
};
use duckdb::{Connection, params_from_iter};
use lr_protocol::Column;
use serde_json::Value;

use super::fields::inexact_to_text;
use super::query::QueryLimits;
use super::statement::{Statement, bad_query};
use crate::problem::Refusal;

/// A result, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) truncated: bool,
}

pub(super) enum Failed {
    Refused(Refusal),
    Database(duckdb::Error),
}

impl From<duckdb::Error> for Failed {
    fn from(error: duckdb::Error) -> Failed {
        Failed::Database(error)
    }
}

/// How the text of a column is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Plain,
    /// JSON text, of a nested value or of a JSON column.
    Json,
}

pub(super) fn run(
    connection: &Connection,
    statement: &Statement,
    params: &BTreeMap<String, String>,
    limits: QueryLimits,
    is_cut: &dyn Fn() -> bool,
) -> Result<Rendered, Failed> {
    let (sql, columns, forms) = match statement {
        Statement::Explain(sql) => {
            let text = |name: &str| Column {
                name: name.to_owned(),
                type_name: "VARCHAR".to_owned(),
            };
            let columns = vec![text("explain_key"), text("explain_value")];
            (sql.clone(), columns, vec![Form::Plain; 2])
        }
        Statement::Select(sql) => {
            // Prepared as it stands first, so that an error shows the text that was sent.
            drop(connection.prepare(sql)?);
            let columns = describe(connection, sql, params)?;
            let (sql, forms) = project(sql, &columns);
            (sql, columns, forms)
        }
    };
    let mut statement = connection.prepare(&sql)?;
    let values = bind(&statement, params)?;
    drop(statement.stream_arrow(params_from_iter(values))?);
    let mut rendered = Rendered {
        columns,
        ..Rendered::default()
    };
    let mut bytes = 0;
    while let Some(chunk) = statement.step()? {
        if is_cut() {
            return Err(Failed::Refused(Refusal::new(
                "query_cut",
                "the query was cut off",
            )));
        }
        for row in 0..chunk.len() {
            if rendered.rows.len() >= limits.max_rows || bytes > limits.max_bytes {
                rendered.truncated = true;
                return Ok(rendered);
            }
            let values = render_row(&chunk, row, &forms);
            bytes += values.iter().map(size).sum::<usize>();
            rendered.rows.push(values);
        }
    }
    Ok(rendered)
}

/// CSV with a header (RFC 4180); NULL is empty, an empty string is `""`.
pub(crate) fn csv(columns: &[Column], rows: &[Vec<Value>]) -> String {
    let mut text = String::new();
    for (index, column) in columns.iter().enumerate() {
        separate(&mut text, index);
        csv_text(&mut text, &column.name);
    }
    text.push_str("\r\n");
    for row in rows {
        for (index, value) in row.iter().enumerate() {
            separate(&mut text, index);
            match value {
                Value::Null => {}
                Value::String(value) => csv_text(&mut text, value),
                value => csv_text(&mut text, &value.to_string()),
            }
        }
        text.push_str("\r\n");
    }
    text
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn csv_text(text: &mut String, value: &str) {
    if value.is_empty() || value.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(value);
    }
}

/// Names and types of what a statement yields.
fn describe(
    connection: &Connection,
    sql: &str,
    params: &BTreeMap<String, String>,
) -> Result<Vec<Column>, Failed> {
    let mut statement = connection.prepare(&format!("DESCRIBE ({sql}\n)"))?;
    let values = bind(&statement, params)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut columns = Vec::new();
    while let Some(row) = rows.next()? {
        columns.push(Column {
            name: row.get(0)?,
            type_name: row.get(1)?,
        });
    }
    Ok(columns)
}

/// The values of a statement's parameters, in its order.
pub(super) fn bind(
    statement: &duckdb::Statement<'_>,
    params: &BTreeMap<String, String>,
) -> Result<Vec<String>, Failed> {
    let mut values = Vec::new();
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index)?;
        let value = params.get(&name).ok_or_else(|| {
            Failed::Refused(bad_query(format!("no value for the parameter ${name}")))
        })?;
        values.push(value.clone());
    }
    Ok(values)
}

/// The statement with every column turned into one of the plain types.
fn project(sql: &str, columns: &[Column]) -> (String, Vec<Form>) {
    let mut expressions = Vec::new();
    let mut forms = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let (expression, form) = plain(&format!("c{index}"), &column.type_name);
        expressions.push(expression);
        forms.push(form);
    }
    let names: Vec<String> = (0..columns.len())
        .map(|index| format!("c{index}"))
        .collect();
    let sql = format!(
        "SELECT {} FROM ({sql}\n) AS q({})",
        expressions.join(", "),
        names.join(", ")
    );
    (sql, forms)
}

fn plain(name: &str, type_name: &str) -> (String, Form) {
    let nested = type_name.ends_with(']')
        || ["STRUCT", "MAP", "UNION"]
            .iter()
            .any(|kind| type_name.starts_with(kind));
    if nested {
        return (format!("to_json({name})::VARCHAR"), Form::Json);
    }
    match type_name {
        "BOOLEAN" => (name.to_owned(), Form::Plain),
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" => (format!("{name}::BIGINT"), Form::Plain),
        "UTINYINT" | "USMALLINT" | "UINTEGER" | "UBIGINT" => {
            (format!("{name}::UBIGINT"), Form::Plain)
        }
        "DOUBLE" => (name.to_owned(), Form::Plain),
        // By way of text, so that 0.1 stays 0.1.
        "FLOAT" => (format!("{name}::VARCHAR::DOUBLE"), Form::Plain),
        "JSON" => (format!("{name}::VARCHAR"), Form::Json),
        "TIMESTAMP WITH TIME ZONE" => (
            format!(
                "CASE WHEN isfinite({name}) THEN strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') \
                 ELSE {name}::VARCHAR END"
            ),
            Form::Plain,
        ),
        _ => (format!("{name}::VARCHAR"), Form::Plain),
    }
}

fn render_row(chunk: &StructArray, row: usize, forms: &[Form]) -> Vec<Value> {
    chunk
        .columns()
        .iter()
        .zip(forms)
        .map(|(column, form)| render_value(column, row, *form))
        .collect()
}

fn render_value(column: &ArrayRef, row: usize, form: Form) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    let any = column.as_any();
    if let Some(column) = any.downcast_ref::<StringArray>() {
        let text = column.value(row);
        return match form {
            Form::Plain => text.into(),
            Form::Json => serde_json::from_str(text).map_or_else(|_| text.into(), inexact_to_text),
        };
    }
    if let Some(column) = any.downcast_ref::<Int64Array>() {
        return inexact_to_text(column.value(row).into());
    }
    if let Some(column) = any.downcast_ref::<UInt64Array>() {
        return inexact_to_text(column.value(row).into());
    }
    if let Some(column) = any.downcast_ref::<Float64Array>() {
        let value = column.value(row);
        return if value.is_finite() {
            value.into()
        } else {
            value.to_string().into()
        };
    }
    if let Some(column) = any.downcast_ref::<BooleanArray>() {
        return column.value(row).into();
    }
    // Cannot come: `project` yields no other type.
    Value::String(format!("<{}>", column.data_type()))
}

/// About what a value takes in memory and on the wire.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 32 + text.len(),
        Value::Array(_) | Value::Object(_) => 32 + 2 * value.to_string().len(),
        _ => 32,
    }
}
