//! `seawall components`: the supervision tree as it is now.

use seawall_messages::api::Components;
use seawall_runtime::ComponentState;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Table};

pub(super) fn perform(common: &Common) -> Result<Outcome, ClientError> {
    let answer: Components = Client::new(&common.run_dir).get("/v1/components")?;
    if common.json {
        output::json(&answer);
    } else {
        output::line(format_args!("keeper {}, worker {}", answer.keeper_pid, answer.worker_pid));
        table(&answer).print();
    }
    Ok(Outcome::Done)
}

fn table(answer: &Components) -> Table<7> {
    let mut table =
        Table::new(["NAME", "STATE", "UPTIME", "RESTARTS", "WAITING", "HANDLED", "LAST FAILURE"]);
    for component in &answer.components {
        table.row([
            component.name.clone(),
            state(component.state).to_owned(),
            output::span(component.uptime_s as u64),
            component.restarts.to_string(),
            format!("{}/{}", component.mailbox_depth, component.mailbox_bound),
            component.handled.to_string(),
            component.last_failure.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn state(state: ComponentState) -> &'static str {
    match state {
        ComponentState::Starting => "starting",
        ComponentState::Running => "running",
        ComponentState::BackingOff => "backing off",
        ComponentState::Stopping => "stopping",
        ComponentState::Stopped => "stopped",
    }
}
