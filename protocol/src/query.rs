use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `POST /query`: one read-only statement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueryRequest {
    pub sql: String,
    /// Values of `$name` parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Rows after which the result is cut; 100,000 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    #[serde(default)]
    pub format: QueryFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryFormat {
    /// A [`QueryResult`].
    #[default]
    Json,
    /// CSV with a header.
    Csv,
    Parquet,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueryResult {
    pub columns: Vec<Column>,
    /// Integers beyond 2^53, decimals, times and blobs are strings; nested values are JSON.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether rows beyond the limit were left off.
    pub truncated: bool,
    pub elapsed_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// The DuckDB type, e.g. `BIGINT`.
    #[serde(rename = "type")]
    pub type_name: String,
}
