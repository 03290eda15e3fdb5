use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use duckdb::{Config, Connection};

use super::schema;

/// The memory that the database may use, user SQL included.
const MEMORY: &str = "1GiB";
/// What a query may spill to disk.
const SPILL: &str = "4GiB";

/// None beside those that ask: DuckDB shares the work of each transaction with its own threads and
/// spins while one of them has it, which on busy CPUs cost as much as storing does.
const THREADS: &str = "1";
/// Rows are compressed each time that the log has grown by so much, those of the last row group
/// once more. Reading as much of it again after a crash takes about a second.
const CHECKPOINT: &str = "64MiB";

/// The open database; connections are made from it.
#[derive(Debug)]
pub(crate) struct Database {
    root: Connection,
    exports: PathBuf,
}

impl Database {
    /// Opens the database file, brings the schema up to date, and locks everything that user SQL
    /// could turn against the machine.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Database> {
        let folder = path.parent().context("the database has a folder")?;
        let config = Config::default()
            .with("memory_limit", MEMORY)?
            .with("threads", THREADS)?
            .with("checkpoint_threshold", CHECKPOINT)?
            .with("temp_directory", folder.join("spill").to_string_lossy())?
            .with("max_temp_directory_size", SPILL)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?;
        let root = Connection::open_with_flags(path, config)
            .with_context(|| format!("cannot open {}", path.display()))?;
        root.execute_batch("SET GLOBAL TimeZone = 'UTC'")?;
        schema::bring_up_to_date(&root)?;
        let exports = empty_folder(folder.join("export")).context("cannot make export/")?;
        lock(&root, &exports).context("cannot lock the database")?;
        Ok(Database { root, exports })
    }

    /// The only folder that the database may write files to, for a moment each.
    pub(crate) fn exports(&self) -> &Path {
        &self.exports
    }

    pub(crate) fn connect(&self) -> duckdb::Result<Connection> {
        self.root.try_clone()
    }
}

/// Takes files, network and settings away from every connection, for good.
fn lock(root: &Connection, exports: &Path) -> duckdb::Result<()> {
    let exports = exports.to_string_lossy().replace('\'', "''");
    root.execute_batch(&format!(
        "SET GLOBAL allowed_directories = ['{exports}/'];
         SET GLOBAL enable_external_access = false;
         SET GLOBAL lock_configuration = true;"
    ))
}

/// The folder, without what an earlier server left in it.
fn empty_folder(path: PathBuf) -> std::io::Result<PathBuf> {
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}
