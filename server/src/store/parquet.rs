use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use duckdb::{Connection, params_from_iter};

use super::query::QueryLimits;
use super::render::{Failed, bind};
use super::statement::{Statement, bad_query};
use crate::id::new_secret;
use crate::problem::Refusal;

/// The largest file that is sent.
const MAX_FILE: u64 = 256 << 20;

/// A result as a Parquet file.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) file: Bytes,
    pub(crate) truncated: bool,
}

/// Runs a statement into a file of `folder`, which is read and removed again.
pub(super) fn export(
    connection: &Connection,
    statement: &Statement,
    params: &BTreeMap<String, String>,
    limits: QueryLimits,
    folder: &Path,
) -> Result<Exported, Failed> {
    let Statement::Select(sql) = statement else {
        return Err(Failed::Refused(bad_query("a plan has no Parquet form")));
    };
    // Prepared as it stands first, so that an error shows the text that was sent.
    let values = bind(&connection.prepare(sql)?, params)?;
    let file = Removed(folder.join(format!("{}.parquet", new_secret())));
    let path = file.0.to_string_lossy().replace('\'', "''");
    let max_rows = limits.max_rows;
    let copy = format!("COPY (FROM ({sql}\n) LIMIT {max_rows}) TO '{path}' (FORMAT parquet)");
    let written = connection.execute(&copy, params_from_iter(&values))?;
    let truncated = written >= max_rows && {
        let beyond = format!("SELECT count(*) FROM (FROM ({sql}\n) LIMIT 1 OFFSET {max_rows})");
        connection.query_row(&beyond, params_from_iter(&values), |row| {
            row.get::<_, i64>(0)
        })? > 0
    };
    let file = read(&file.0).map_err(Failed::Refused)?;
    Ok(Exported { file, truncated })
}

fn read(path: &Path) -> Result<Bytes, Refusal> {
    let failed = |error: std::io::Error| {
        Refusal::internal("cannot read the export").detail(error.to_string())
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(
            Refusal::new("query_cut", "the result is too large for one file")
                .detail(format!("{size} bytes, at most {MAX_FILE} are sent"))
                .suggest("ask for less: a narrower time range, fewer columns"),
        );
    }
    fs::read(path).map(Bytes::from).map_err(failed)
}

/// A file that goes when this does.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
