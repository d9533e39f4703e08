//! `seawall reload`: read the policy file now; done when live flows follow it.

use hyper::Method;
use seawall_messages::api::Reloaded;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output;

pub(super) fn perform(common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    let sent = client.send(Method::POST, "/v1/reload", None::<&()>, SLOW, Repeat::Safe);
    let answer: Reloaded = sent.inspect_err(|error| {
        if matches!(error, ClientError::Refused(_)) {
            output::complaint("the policy that is in force stays; this is why:");
        }
    })?;
    if common.json {
        output::json(&answer);
    } else {
        output::line(format_args!(
            "{} is in force (generation {})",
            answer.policy.file.display(),
            answer.policy.generation.0
        ));
    }
    Ok(Outcome::Done)
}
