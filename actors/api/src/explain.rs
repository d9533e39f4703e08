//! `POST /v1/explain`: what would become of a connection. Asked of `verdict`,
//! aside from the connections that there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use seawall_messages::explain::{Explain, Explanation};
use seawall_messages::{Direction, Flow, Protocol, Transport, verdict};
use seawall_platform::linux::routes::source_of;

use crate::actor::Services;
use crate::error::Error;
use crate::routes::ask;

/// How long it may take: `verdict` waits for `process` meanwhile.
const EXPLAIN: Duration = Duration::from_secs(3);

/// ICMP types of an echo request (RFC 792, RFC 4443).
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;

pub(crate) async fn explain(
    State(services): State<Services>,
    Json(request): Json<Explain>,
) -> Result<Json<Explanation>, Error> {
    let remote = request.remote.to_canonical();
    let source = source_of(remote);
    let unroutable = source.as_ref().err().map(|error| {
        format!("no route leads to {remote} now ({error}): the own address is left out")
    });
    let flow = flow_of(&request, source.unwrap_or_else(|_| unspecified(remote)))?;
    let whom = request.whom;
    let explained = ask("verdict", &services.verdict, EXPLAIN, |reply| verdict::Message::Explain {
        flow,
        whom: whom.clone(),
        reply,
    })
    .await?;
    let mut explanation = explained.map_err(Error::Conflict)?;
    explanation.notes.extend(unroutable);
    Ok(Json(explanation))
}

/// The connection that is meant, from or to this machine's address.
fn flow_of(request: &Explain, own: IpAddr) -> Result<Flow, Error> {
    let remote = request.remote.to_canonical();
    let refuse = |problem: &str| Err(Error::Invalid(problem.to_owned()));
    let (initiator, responder) = match request.direction {
        Direction::Outbound => (own, remote),
        Direction::Inbound => (remote, own),
        Direction::Forwarded => return refuse("forwarded connections aren't explained"),
    };
    let protocol = request.protocol;
    let transport = match (protocol, request.port) {
        (protocol, Some(responder)) if protocol.has_ports() => {
            Transport::Ports { initiator: 0, responder }
        }
        (protocol, None) if protocol.has_ports() => return refuse("the protocol needs a port"),
        (_, Some(_)) => return refuse("the protocol has no ports"),
        (Protocol::ICMP, None) if remote.is_ipv4() => echo(ECHO),
        (Protocol::ICMPV6, None) if remote.is_ipv6() => echo(ECHO_V6),
        (Protocol::ICMP, None) => return refuse("ICMP is of IPv4; IPv6 has ICMP6"),
        (Protocol::ICMPV6, None) => return refuse("ICMP6 is of IPv6; IPv4 has ICMP"),
        _ => Transport::Portless,
    };
    Ok(Flow { direction: request.direction, protocol, initiator, responder, transport })
}

fn echo(kind: u8) -> Transport {
    Transport::Icmp { kind, code: 0, identifier: 0 }
}

fn unspecified(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use seawall_messages::explain::Whom;

    use super::*;

    fn flow(
        direction: Direction,
        protocol: Protocol,
        remote: &str,
        port: Option<u16>,
    ) -> Result<String, String> {
        let remote: IpAddr = remote.parse().expect("an address");
        let request = Explain { whom: Whom::Nobody, direction, protocol, remote, port };
        let own = if remote.to_canonical().is_ipv4() { "10.0.0.1" } else { "fd00::1" };
        flow_of(&request, own.parse().expect("an address"))
            .map(|flow| flow.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_connection_is_made_of_what_was_said() {
        use Direction::{Inbound, Outbound};
        let cases = [
            (
                Outbound,
                Protocol::TCP,
                "9.9.9.9",
                Some(443),
                "outbound TCP 10.0.0.1:0 > 9.9.9.9:443",
            ),
            (Inbound, Protocol::UDP, "9.9.9.9", Some(53), "inbound UDP 9.9.9.9:0 > 10.0.0.1:53"),
            (Outbound, Protocol::TCP, "fd00::2", Some(1), "outbound TCP [fd00::1]:0 > [fd00::2]:1"),
            (
                Outbound,
                Protocol::TCP,
                "::ffff:9.9.9.9",
                Some(1),
                "outbound TCP 10.0.0.1:0 > 9.9.9.9:1",
            ),
            (
                Outbound,
                Protocol::ICMP,
                "9.9.9.9",
                None,
                "outbound ICMP 10.0.0.1 > 9.9.9.9 type 8 code 0",
            ),
            (Inbound, Protocol(47), "9.9.9.9", None, "inbound 47 9.9.9.9 > 10.0.0.1"),
        ];
        for (direction, protocol, remote, port, expected) in cases {
            assert_eq!(flow(direction, protocol, remote, port).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_fits_nowhere_is_refused() {
        use Direction::{Forwarded, Outbound};
        let cases = [
            (Forwarded, Protocol::TCP, "9.9.9.9", Some(1)),
            (Outbound, Protocol::TCP, "9.9.9.9", None),
            (Outbound, Protocol::ICMP, "9.9.9.9", Some(1)),
            (Outbound, Protocol::ICMP, "fd00::2", None),
            (Outbound, Protocol::ICMPV6, "9.9.9.9", None),
        ];
        for (direction, protocol, remote, port) in cases {
            assert!(flow(direction, protocol, remote, port).is_err(), "{protocol} {remote}");
        }
    }
}
