//! `seawall connections`: what was decided of late, and why.

use std::time::SystemTime;

use seawall_messages::Action;
use seawall_messages::api::Connections;
use seawall_messages::datapath::Connection;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Cell, Style, Table};

pub(super) fn perform(limit: u32, common: &Common) -> Result<Outcome, ClientError> {
    let answer: Connections =
        Client::new(&common.run_dir).get(&format!("/v1/connections?limit={limit}"))?;
    if common.json {
        output::json(&answer);
    } else {
        table(&answer.connections, SystemTime::now()).print();
    }
    Ok(Outcome::Done)
}

fn table(connections: &[Connection], now: SystemTime) -> Table<6> {
    let headings = ["AGE", "VERDICT", "OPEN", "APP", "CONNECTION", "REASON"];
    let mut table = Table::new(headings).yielding(&[5, 3]);
    for connection in connections {
        let age = connection.age(now).map(|age| output::span(age.as_secs()));
        let app = connection.used_by.as_ref().map(|of| of.attribution.app().name);
        let style = match connection.action {
            Action::Allow => Style::Good,
            Action::Reject | Action::Drop => Style::Bad,
        };
        table.row([
            Cell::from(age.unwrap_or_else(|| "-".to_owned())),
            Cell::styled(style, connection.action.as_str()),
            Cell::from(if connection.live { "yes" } else { "no" }),
            Cell::from(app.unwrap_or_default()),
            Cell::from(connection.flow.to_string()),
            Cell::from(connection.reason.to_string()),
        ]);
    }
    table
}
