//! `seawall adopted`: what was reachable before the first start, and so still is.

use hyper::Method;
use seawall_messages::api::AdoptedList;
use seawall_messages::policy::{Adopted, AdoptedEntry};

use super::Outcome;
use crate::cli::{AdoptedVerb, Common};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Table};

pub(super) fn perform(what: Option<AdoptedVerb>, common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    let path = match what {
        None | Some(AdoptedVerb::List) => {
            let answer: AdoptedList = client.get("/v1/adopted")?;
            if common.json {
                output::json(&answer);
            } else {
                table(&answer.adopted).print();
            }
            return Ok(Outcome::Done);
        }
        Some(AdoptedVerb::Remove { id }) => format!("/v1/adopted/{id}"),
    };
    let left: AdoptedList = client.send(Method::DELETE, &path, None::<&()>, SLOW, Repeat::Never)?;
    if common.json {
        output::json(&left);
    } else {
        output::line(format_args!("removed; {} left", left.adopted.len()));
    }
    Ok(Outcome::Done)
}

fn table(adopted: &[Adopted]) -> Table<3> {
    let mut table = Table::new(["ID", "KIND", "WHAT"]).yielding(&[2]);
    for entry in adopted {
        let (kind, what) = what(&entry.what);
        table.row([entry.id.to_string(), kind.to_owned(), what]);
    }
    table
}

/// The kind of an entry, and what it is.
pub(super) fn what(entry: &AdoptedEntry) -> (&'static str, String) {
    match entry {
        AdoptedEntry::Listener { protocol, address, port } => {
            ("listener", format!("{protocol} {}", std::net::SocketAddr::new(*address, *port)))
        }
        AdoptedEntry::Session { flow } => ("session", flow.to_string()),
    }
}
