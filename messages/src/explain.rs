//! "What would become of this connection, and why?": asked by `seawall explain`,
//! answered with the steps that `verdict` takes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Flow, Protocol, Transport};
use crate::process::{App, Process};
use crate::verdict::Judgement;

/// Whose connection is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// A program by its file, as rules name it: `/usr/bin/curl`, `docker:web:/usr/bin/curl`.
    Path(String),
    /// An app by its id: `snap:firefox`.
    App(String),
    /// A process that runs.
    Pid(u32),
    /// Nobody of whom anything is known.
    Nobody,
}

/// `POST /v1/explain`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// Whose connection.
    pub whom: Whom,
    /// Outbound or inbound.
    pub direction: Direction,
    /// IP protocol.
    pub protocol: Protocol,
    /// Address of the other end.
    pub remote: IpAddr,
    /// The port that is called; only and always where the protocol has ports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
}

/// The answer to [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The connection. Port 0 of the caller stands for any.
    pub flow: Flow,
    /// Whose it would be.
    pub app: App,
    /// The process, or one made up from what was said of it; `None` for nobody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<Arc<Process>>,
    /// How much is known of it.
    pub known: Known,
    /// The `[[app]]` that it fits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub section: Option<Arc<str>>,
    /// The profile that it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub profile: Option<Arc<str>>,
    /// The `[[app]]` of the program that started it, where the app says `use_parent`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_section: Option<Arc<str>>,
    /// And the profile.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_profile: Option<Arc<str>>,
    /// The `[[network]]` whose settings count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub network: Option<Arc<str>>,
    /// What would become of it, and why. Where the user would be asked: what holds without an answer.
    pub judgement: Judgement,
    /// Whether the user would be asked.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub asks: bool,
    /// Each step of the decision, in order.
    pub steps: Vec<StepTaken>,
    /// What was taken for granted, and what might be if more were known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// How much is known of whom an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// All: it is a process.
    Process,
    /// Its file, and what follows from that.
    File,
    /// The id of its app alone.
    App,
    /// Nothing, and that is the question.
    Nothing,
}

/// Somebody described, for [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The process, or one made up; `None` for nobody.
    pub process: Option<Arc<Process>>,
    /// How much of it is known.
    pub known: Known,
    /// What was taken for granted.
    pub notes: Vec<String>,
}

/// A step of the decision. The first that speaks decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Traffic that no policy may cut.
    AlwaysPasses,
    /// Connections that were established when Seawall first started.
    AdoptedSession,
    /// A pause.
    Paused,
    /// `block_inbound`.
    BlockInbound,
    /// `block_internet`.
    BlockInternet,
    /// `block_lan`.
    BlockLan,
    /// `block_local`.
    BlockLocal,
    /// The rules of the `[[app]]`.
    AppRules,
    /// The rules of `[filter]`.
    Rules,
    /// Addresses that nobody may talk to.
    InvalidAddress,
    /// Loopback.
    Loopback,
    /// Services that were listening when Seawall first started.
    AdoptedListener,
    /// The profiles that come with Seawall.
    BuiltInProfiles,
    /// `default_action`.
    DefaultAction,
}

/// What became of a connection at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It permitted.
    Permits,
    /// It denied.
    Denies,
    /// It had the user asked.
    Asks,
    /// It said nothing.
    Passes,
    /// An earlier one had decided.
    NotReached,
}

/// A step, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTaken {
    /// Which one.
    pub step: Step,
    /// What became of the connection there.
    pub outcome: StepOutcome,
    /// What it saw, for people; empty where it was not reached.
    pub saw: String,
}

/// ICMP types of an echo request (RFC 792, RFC 4443).
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;

impl Explain {
    /// The connection that is meant, from or to this machine's own address; or
    /// why there is none like that.
    pub fn flow(&self, own: IpAddr) -> Result<Flow, &'static str> {
        let remote = self.remote.to_canonical();
        let (initiator, responder) = match self.direction {
            Direction::Outbound => (own, remote),
            Direction::Inbound => (remote, own),
            Direction::Forwarded => return Err("forwarded connections aren't explained"),
        };
        let echo = |kind| Transport::Icmp { kind, code: 0, identifier: 0 };
        let transport = match (self.protocol, self.port) {
            (protocol, Some(responder)) if protocol.has_ports() => {
                Transport::Ports { initiator: 0, responder }
            }
            (protocol, None) if protocol.has_ports() => return Err("the protocol needs a port"),
            (_, Some(_)) => return Err("the protocol has no ports"),
            (Protocol::ICMP, None) if remote.is_ipv4() => echo(ECHO),
            (Protocol::ICMPV6, None) if remote.is_ipv6() => echo(ECHO_V6),
            (Protocol::ICMP, None) => return Err("ICMP is of IPv4; IPv6 has ICMP6"),
            (Protocol::ICMPV6, None) => return Err("ICMP6 is of IPv6; IPv4 has ICMP"),
            _ => Transport::Portless,
        };
        Ok(Flow {
            direction: self.direction,
            protocol: self.protocol,
            initiator,
            responder,
            transport,
        })
    }
}

impl Step {
    /// All of them, in the order of the decision.
    pub const ALL: [Self; 14] = [
        Self::AlwaysPasses,
        Self::AdoptedSession,
        Self::Paused,
        Self::BlockInbound,
        Self::BlockInternet,
        Self::BlockLan,
        Self::BlockLocal,
        Self::AppRules,
        Self::Rules,
        Self::InvalidAddress,
        Self::Loopback,
        Self::AdoptedListener,
        Self::BuiltInProfiles,
        Self::DefaultAction,
    ];

    /// The step as shown to people.
    pub fn title(self) -> &'static str {
        match self {
            Self::AlwaysPasses => "always passes",
            Self::AdoptedSession => "adopted sessions",
            Self::Paused => "pause",
            Self::BlockInbound => "block_inbound",
            Self::BlockInternet => "block_internet",
            Self::BlockLan => "block_lan",
            Self::BlockLocal => "block_local",
            Self::AppRules => "rules of the app",
            Self::Rules => "rules for all",
            Self::InvalidAddress => "invalid addresses",
            Self::Loopback => "loopback",
            Self::AdoptedListener => "adopted services",
            Self::BuiltInProfiles => "built-in profiles",
            Self::DefaultAction => "default_action",
        }
    }
}

impl StepOutcome {
    /// The outcome as shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permits => "permits",
            Self::Denies => "denies",
            Self::Asks => "asks",
            Self::Passes => "goes on",
            Self::NotReached => "not reached",
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(text) | Self::App(text) => f.write_str(text),
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
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
        let flow = request.flow(own.parse().expect("an address"));
        flow.map(|flow| flow.to_string()).map_err(str::to_owned)
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
