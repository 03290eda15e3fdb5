use std::path::PathBuf;

use lr_agent::client::{Client, Presence};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::Sql;
use super::words::{Words, gives_up};
use crate::connect::Connected;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::tell::tell;

const HELP: &str = "\
a statement ends with ;     Tab completes names     Ctrl-C drops a line, Ctrl-D ends
\\d          the tables       \\d TABLE  its columns
\\q          end              \\?        this";

const HISTORY_LINES: usize = 2000;

/// Reads statements from the terminal and prints their results, until its user has enough. A
/// statement that fails is told, and the next one is asked for.
pub(super) async fn run(sql: &Sql, connected: &Connected) -> Result<(), Failure> {
    let client = &connected.client;
    let history = history(connected);
    let mut editor = editor(names(client).await, history.as_ref())?;
    tell!("connected to {}; \\? for help", client.endpoint());
    loop {
        let line = match editor.readline("lr> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(cannot_read(&error)),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(text);
        match command(text) {
            Command::Quit => break,
            Command::Help => tell!("{HELP}"),
            Command::Unknown => tell!("no such command; \\? lists them"),
            Command::Statement(statement) => match answer(sql, client, &statement).await {
                Ok(()) => {}
                Err(failure @ Failure::NoReader) => return Err(failure),
                Err(failure) => failure.tell(),
            },
        }
    }
    if let Some(path) = history {
        // Without a history file the next prompt begins without history, and that is all.
        let _ = editor.save_history(&path);
    }
    Ok(())
}

/// Ctrl-C gives up waiting for a result, not the prompt.
async fn answer(sql: &Sql, client: &Client, statement: &str) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    tokio::select! {
        done = sql.answer(client, statement) => done,
        () = signals.next() => {
            tell!("given up");
            Ok(())
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Command {
    Statement(String),
    Quit,
    Help,
    Unknown,
}

fn command(text: &str) -> Command {
    let bare = text.trim_end_matches(';').trim_end();
    match bare {
        _ if gives_up(text) => return Command::Quit,
        "\\q" | "exit" | "quit" => return Command::Quit,
        "\\?" | "\\h" | "help" => return Command::Help,
        "\\d" | "\\dt" => return Command::Statement("SHOW TABLES".into()),
        _ => {}
    }
    if let Some(table) = bare.strip_prefix("\\d ") {
        return Command::Statement(format!("DESCRIBE {}", table.trim()));
    }
    match bare.starts_with('\\') {
        true => Command::Unknown,
        false => Command::Statement(text.into()),
    }
}

fn editor(
    names: Vec<String>,
    history: Option<&PathBuf>,
) -> Result<Editor<Words, FileHistory>, Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_LINES)
        .map_err(|error| cannot_read(&error))?
        .auto_add_history(false)
        .build();
    let mut editor = Editor::with_config(config).map_err(|error| cannot_read(&error))?;
    editor.set_helper(Some(Words::new(names)));
    if let Some(path) = history {
        let _ = editor.load_history(path);
    }
    Ok(editor)
}

fn cannot_read(error: &ReadlineError) -> Failure {
    Failure::new(
        "internal",
        format!("cannot read from the terminal: {error}"),
    )
}

/// In the local state directory, whichever server it is. Root in a user's place leaves that
/// user's files alone.
fn history(connected: &Connected) -> Option<PathBuf> {
    let local = match &connected.local {
        Some(local) => local.clone(),
        None => lr_agent::client::Local::of_this_process().ok()?,
    };
    let usable =
        !local.invoker().through_sudo && matches!(local.state_dir().check(), Ok(Presence::Present));
    usable.then(|| local.state_dir().sql_history())
}

/// What there is to complete. A server that cannot say gets a prompt without completion.
async fn names(client: &Client) -> Vec<String> {
    let request = lr_protocol::QueryRequest {
        sql: "SELECT table_name, column_name FROM information_schema.columns".into(),
        params: Default::default(),
        max_rows: None,
        format: Default::default(),
    };
    let Ok(result) = client.query(&request).await else {
        return Vec::new();
    };
    let cells = result.rows.into_iter().flatten();
    cells
        .filter_map(|cell| cell.as_str().map(str::to_string))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Command {
        Command::Statement(text.into())
    }

    #[test]
    fn commands_of_the_prompt() {
        assert_eq!(command("\\q"), Command::Quit);
        assert_eq!(command("exit;"), Command::Quit);
        assert_eq!(command("select a\n\\q"), Command::Quit);
        assert_eq!(command("\\?"), Command::Help);
        assert_eq!(command("\\d"), statement("SHOW TABLES"));
        assert_eq!(command("\\dt"), statement("SHOW TABLES"));
        assert_eq!(command("\\d logs;"), statement("DESCRIBE logs"));
        assert_eq!(command("\\x"), Command::Unknown);
        assert_eq!(command("select 1;"), statement("select 1;"));
    }
}
