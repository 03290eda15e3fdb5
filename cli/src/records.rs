use lr_protocol::QueryResult;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The rows of a query of ours as what they stand for, by the names of their columns.
pub(crate) fn records<T: DeserializeOwned>(result: &QueryResult) -> Result<Vec<T>, Failure> {
    let record = |row: &Vec<Value>| {
        let names = result.columns.iter().map(|column| column.name.clone());
        let fields: Map<String, Value> = names.zip(row.iter().cloned()).collect();
        serde_json::from_value(Value::Object(fields))
    };
    let records: Result<Vec<T>, serde_json::Error> = result.rows.iter().map(record).collect();
    records.map_err(|error| {
        Failure::new("internal", "the server's tables are not as expected").tried(error.to_string())
    })
}
