use clap::Args;
use lr_protocol::LiveEvent;

use crate::connect::ServerArgs;
use crate::escape::escaped;
use crate::event::{EventLines, Form};
use crate::failure::Failure;
use crate::output::print;
use crate::tell::tell;

#[derive(Args, Clone, Debug)]
pub(crate) struct Show {
    /// Its id, as `lr snapshots` lists it
    #[arg(value_name = "ID")]
    id: String,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Show {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let snapshot = client.snapshot(&self.id).await?;
        let warnings = snapshot.snapshot.warnings.clone();
        let lines = EventLines::new(Form::of(self.json));
        let text = lines.line(&LiveEvent::Snapshot(snapshot));
        print(&format!("{}\n", text.unwrap_or_default()))?;
        if !self.json {
            for warning in &warnings {
                tell!("note: {}", escaped(warning));
            }
        }
        Ok(())
    }
}
