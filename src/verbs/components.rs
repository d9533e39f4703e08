//! `seawall components`: the supervision tree as it is now.

use seawall_messages::api::Components;
use seawall_runtime::ComponentState;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Cell, Style, Table};

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
    let headings = ["NAME", "STATE", "UPTIME", "RESTARTS", "WAITING", "HANDLED", "LAST FAILURE"];
    let mut table = Table::new(headings).yielding(&[6]);
    for component in &answer.components {
        let style = match component.state {
            ComponentState::Running => Style::Good,
            ComponentState::Starting | ComponentState::Stopping => Style::Warning,
            ComponentState::BackingOff | ComponentState::Stopped => Style::Bad,
        };
        table.row([
            Cell::from(&component.name),
            Cell::styled(style, state(component.state)),
            Cell::from(output::span(component.uptime_s as u64)),
            Cell::from(component.restarts.to_string()),
            Cell::from(format!("{}/{}", component.mailbox_depth, component.mailbox_bound)),
            Cell::from(component.handled.to_string()),
            Cell::from(component.last_failure.as_deref().unwrap_or_default()),
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
