mod destination;
mod prompt;
mod rows;
mod statement;
mod words;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lr_agent::client::Client;
use lr_protocol::{QueryFormat, QueryRequest, QueryResult};

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::options::key_value;
use crate::progress::telling;
use crate::style::Style;
use crate::tell::tell;

use destination::Destination;

#[derive(Args, Clone, Debug)]
pub(crate) struct Sql {
    /// One statement that only reads; without it a prompt, or what standard input has
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    /// The statement is in a file; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,
    /// The value of $K in the statement; may be given again
    #[arg(long = "param", value_name = "K=V", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// How the result is written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Cut the result after so many rows; 100000 unless said
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    Table,
    /// One array
    Json,
    /// A line for each row
    Ndjson,
    /// With a header
    Csv,
    Parquet,
}

impl Sql {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let connected = self.server.connect_or_start().await?;
        match self.statement()? {
            Some(statement) => self.answer(&connected.client, &statement).await,
            None => prompt::run(&self, &connected).await,
        }
    }

    /// Prints or writes the result of one statement.
    async fn answer(&self, client: &Client, statement: &str) -> Result<(), Failure> {
        if self.format == Format::Parquet && self.is_for_terminal() {
            return Err(Failure::new("usage", "a terminal cannot show Parquet")
                .hint("-o FILE writes it to a file"));
        }
        let mut request = self.request(statement);
        match self.format {
            Format::Csv => request.format = QueryFormat::Csv,
            Format::Parquet => request.format = QueryFormat::Parquet,
            Format::Table | Format::Json | Format::Ndjson => {
                let result = telling("running the query", client.query(&request)).await?;
                return self.write(&result);
            }
        }
        let mut download = telling("running the query", client.query_download(&request)).await?;
        let mut destination = match self.is_for_terminal() {
            true => Destination::terminal(),
            false => Destination::open(self.output.as_deref())?,
        };
        while let Some(chunk) = download.chunk().await? {
            destination.write(&chunk)?;
        }
        destination.finish()
    }

    fn is_for_terminal(&self) -> bool {
        self.output.is_none() && std::io::stdout().is_terminal()
    }

    fn write(&self, result: &QueryResult) -> Result<(), Failure> {
        let style = match self.output {
            Some(_) => Style::Plain,
            None => Style::of_stdout(),
        };
        let mut destination = Destination::open(self.output.as_deref())?;
        match self.format {
            Format::Json => rows::json(result, &mut destination)?,
            Format::Ndjson => rows::ndjson(result, &mut destination)?,
            _ => destination.write(rows::table(result, style).as_bytes())?,
        }
        destination.finish()?;
        if self.format == Format::Table {
            tell!("{}", rows::summary(result));
        } else if result.truncated {
            tell!("{}", rows::cut(result));
        }
        Ok(())
    }

    fn request(&self, statement: &str) -> QueryRequest {
        QueryRequest {
            sql: statement.into(),
            params: self.params.iter().cloned().collect(),
            max_rows: self.max_rows,
            format: QueryFormat::Json,
        }
    }

    /// `None` asks for a prompt.
    fn statement(&self) -> Result<Option<String>, Failure> {
        if let Some(query) = &self.query {
            return Ok(Some(query.clone()));
        }
        let cannot = |what: String, error| {
            Failure::new(
                "usage",
                format!("cannot read the statement from {what}: {error}"),
            )
        };
        match &self.file {
            Some(path) if path.as_os_str() != "-" => std::fs::read_to_string(path)
                .map(Some)
                .map_err(|error| cannot(path.display().to_string(), error)),
            None if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => Ok(None),
            _ => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| cannot("standard input".into(), error))?;
                match text.trim().is_empty() {
                    true => Err(Failure::new("usage", "no statement was given")
                        .hint("lr sql 'SELECT * FROM logs LIMIT 10'")),
                    false => Ok(Some(text)),
                }
            }
        }
    }
}
