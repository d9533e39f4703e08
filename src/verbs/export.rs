//! `seawall export`: what the store says, as a text.

use seawall_messages::api::Exported;

use super::{Outcome, query};
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output;

pub(super) fn perform(app: Option<&str>, common: &Common) -> Result<Outcome, ClientError> {
    let answer: Exported = Client::new(&common.run_dir).get(&query("/v1/export", app))?;
    if common.json {
        output::json(&answer);
    } else {
        output::verbatim(answer.text.as_bytes());
    }
    Ok(Outcome::Done)
}
