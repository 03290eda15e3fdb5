use std::path::Path;

use anyhow::Context as _;
use duckdb::{Config, Connection};

const SCHEMA: &str = include_str!("schema.sql");

/// The memory that the database may use, user SQL included.
const MEMORY: &str = "1GiB";
/// What a query may spill to disk.
const SPILL: &str = "4GiB";

/// The open database; connections are made from it.
#[derive(Debug)]
pub(crate) struct Database {
    root: Connection,
}

impl Database {
    /// Opens the database file, brings the schema up to date, and locks everything that user SQL
    /// could turn against the machine.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Database> {
        let folder = path.parent().context("the database has a folder")?;
        let config = Config::default()
            .with("memory_limit", MEMORY)?
            .with("threads", "4")?
            .with("temp_directory", folder.join("spill").to_string_lossy())?
            .with("max_temp_directory_size", SPILL)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?
            .with("enable_external_access", "false")?;
        let root = Connection::open_with_flags(path, config)
            .with_context(|| format!("cannot open {}", path.display()))?;
        root.execute_batch("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL errors_as_json = false;")?;
        root.execute_batch(SCHEMA)
            .context("cannot create the tables")?;
        root.execute_batch("SET GLOBAL lock_configuration = true;")?;
        Ok(Database { root })
    }

    pub(crate) fn connect(&self) -> duckdb::Result<Connection> {
        self.root.try_clone()
    }
}
