//! `seawall connections`: what was decided of late, and why.

use std::time::SystemTime;

use seawall_messages::api::Connections;
use seawall_messages::datapath::Connection;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Table};

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
    let mut table = Table::new(["AGE", "VERDICT", "OPEN", "APP", "CONNECTION", "REASON"]);
    for connection in connections {
        // Decided by an earlier worker, who did not say when.
        let age = match connection.decided {
            SystemTime::UNIX_EPOCH => "-".to_owned(),
            decided => output::span(now.duration_since(decided).unwrap_or_default().as_secs()),
        };
        let mut reason = match &connection.reason.rule {
            Some((position, rule)) => {
                format!("{} (rule {position}: {rule})", connection.reason.text)
            }
            None => connection.reason.text.to_string(),
        };
        if let Some(app) = &connection.reason.app {
            reason.push_str(&format!(", for {app}"));
        }
        let app = connection.used_by.as_ref().map(|of| of.attribution.app().name);
        table.row([
            age,
            connection.action.as_str().to_owned(),
            if connection.live { "yes" } else { "no" }.to_owned(),
            app.map(|name| name.to_string()).unwrap_or_default(),
            connection.flow.to_string(),
            reason,
        ]);
    }
    table
}
