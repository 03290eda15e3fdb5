use clap::Args;

use crate::failure::Failure;
use crate::options::LogOptions;
use crate::verbs::placing::Placing;

#[derive(Args, Clone, Debug)]
pub(crate) struct Log {
    /// Where: orders.c:42, or a function
    #[arg(value_name = "LOC")]
    location: String,
    /// What it says: 'id={o.id}'
    #[arg(value_name = "TEMPLATE", allow_hyphen_values = true)]
    template: String,
    #[command(flatten)]
    log: LogOptions,
    #[command(flatten)]
    placing: Placing,
}

impl Log {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let kind = self.log.log(&self.location, &self.template);
        self.placing.place(kind).await
    }
}
