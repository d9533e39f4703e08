//! `POST /v1/explain`: what would become of a connection. Asked of `verdict`,
//! aside from the connections that there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use seawall_messages::explain::{Explain, Explanation};
use seawall_messages::network::{Interface, LOOPBACK, Surroundings};
use seawall_messages::verdict;
use seawall_platform::linux::routes::source_of;

use crate::actor::Services;
use crate::error::Error;
use crate::routes::ask;

/// How long it may take: `verdict` waits for `process` meanwhile.
const EXPLAIN: Duration = Duration::from_secs(3);

pub(crate) async fn explain(
    State(services): State<Services>,
    Json(request): Json<Explain>,
) -> Result<Json<Explanation>, Error> {
    let remote = request.remote.to_canonical();
    let source = source_of(remote);
    let unroutable = source.as_ref().err().map(|error| {
        format!("no route leads to {remote} now ({error}): the own address is left out")
    });
    let own = source.unwrap_or_else(|_| unspecified(remote));
    let flow = request.flow(own).map_err(|problem| Error::Invalid(problem.to_owned()))?;
    let whom = request.whom;
    let interface = interface_with(own, &services.surroundings.load());
    let explained = ask("verdict", &services.verdict, EXPLAIN, |reply| verdict::Message::Explain {
        flow,
        whom: whom.clone(),
        interface,
        reply,
    })
    .await?;
    let mut explanation = explained.map_err(Error::Conflict)?;
    explanation.notes.extend(unroutable);
    Ok(Json(explanation))
}

/// The interface that has an own address.
fn interface_with(own: IpAddr, surroundings: &Surroundings) -> Option<u32> {
    if own.is_loopback() {
        return Some(LOOPBACK.0);
    }
    let has = |interface: &&Interface| interface.addresses.iter().any(|net| net.addr() == own);
    surroundings.interfaces.iter().find(has).map(|interface| interface.index)
}

fn unspecified(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
