//! `seawall fault`: break a component on purpose, to see it come back.

use hyper::Method;
use seawall_messages::api::InjectFault;

use super::Outcome;
use crate::cli::{Common, FaultVerb};
use crate::client::{Client, ClientError, QUICK, Repeat};
use crate::output;

pub(super) fn perform(
    component: String,
    fault: FaultVerb,
    common: &Common,
) -> Result<Outcome, ClientError> {
    let request = InjectFault { component, fault: fault.into() };
    let done: InjectFault = Client::new(&common.run_dir).send(
        Method::POST,
        "/v1/fault",
        Some(&request),
        QUICK,
        Repeat::Never,
    )?;
    if common.json {
        output::json(&done);
    } else {
        output::line(format_args!("{}: {:?}", done.component, done.fault));
    }
    Ok(Outcome::Done)
}
