use clap::Args;

use crate::failure::Failure;
use crate::options::GroupOptions;
use crate::verbs::placing::Placing;

#[derive(Args, Clone, Debug)]
pub(crate) struct Metric {
    /// Where: orders.c:42, or a function
    #[arg(value_name = "LOC")]
    location: String,
    /// A number: 'o.total'
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// What the number is of, as people write it: ms, bytes
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "",
        hide_default_value = true
    )]
    unit: String,
    #[command(flatten)]
    group: GroupOptions,
    #[command(flatten)]
    placing: Placing,
}

impl Metric {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let kind = self
            .group
            .metric(&self.location, &self.expression, &self.unit);
        self.placing.place(kind).await
    }
}
