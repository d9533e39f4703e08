//! `seawall ps`: apps on the network, how much they move, and how that is known.

use seawall_messages::api::Apps;
use seawall_messages::process::AppUse;

use super::Outcome;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Table};

/// Processes shown of one app.
const MOST_PIDS: usize = 4;

pub(super) fn perform(all: bool, common: &Common) -> Result<Outcome, ClientError> {
    let mut answer: Apps = Client::new(&common.run_dir).get("/v1/apps")?;
    if !all {
        answer.apps.retain(|of| of.open > 0);
    }
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    table(&answer.apps).print();
    let missing: Vec<_> = answer.hooks.iter().filter(|hook| hook.missing.is_some()).collect();
    for hook in missing {
        let problem = hook.missing.as_deref().unwrap_or_default();
        output::line(format_args!("without {} ({problem}): no {}", hook.name, hook.serves));
    }
    Ok(Outcome::Done)
}

fn table(apps: &[AppUse]) -> Table<9> {
    let headings = ["APP", "OPEN", "SENT/S", "RECV/S", "SENT", "RECV", "PIDS", "FOUND BY", "PATH"];
    let mut table = Table::new(headings).yielding(&[7, 8, 6, 0]);
    for of in apps {
        let methods: Vec<_> = of
            .methods
            .iter()
            .map(|(method, count)| format!("{} {count}", method.as_str().replace('_', " ")))
            .collect();
        table.row([
            of.app.name.to_string(),
            of.open.to_string(),
            output::bytes(of.rates.sent_bytes_per_s),
            output::bytes(of.rates.received_bytes_per_s),
            output::bytes(of.traffic.sent_bytes as f64),
            output::bytes(of.traffic.received_bytes as f64),
            pids(&of.pids),
            methods.join(", "),
            of.path.to_string(),
        ]);
    }
    table
}

fn pids(pids: &[u32]) -> String {
    let shown: Vec<_> = pids.iter().take(MOST_PIDS).map(u32::to_string).collect();
    match pids.len().saturating_sub(MOST_PIDS) {
        0 => shown.join(","),
        more => format!("{} and {more} more", shown.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_processes_are_counted() {
        assert_eq!(pids(&[]), "");
        assert_eq!(pids(&[1, 2]), "1,2");
        assert_eq!(pids(&[1, 2, 3, 4, 5, 6]), "1,2,3,4 and 2 more");
    }
}
