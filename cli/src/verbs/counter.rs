use clap::Args;

use crate::failure::Failure;
use crate::options::GroupOptions;
use crate::verbs::placing::Placing;

#[derive(Args, Clone, Debug)]
pub(crate) struct Counter {
    /// Where: orders.c:42, or a function
    #[arg(value_name = "LOC")]
    location: String,
    #[command(flatten)]
    group: GroupOptions,
    #[command(flatten)]
    placing: Placing,
}

impl Counter {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let kind = self.group.counter(&self.location);
        self.placing.place(kind).await
    }
}
