//! One way through Seawall, and everything that may and may not cross on it.

use std::net::IpAddr;
use std::time::Duration;

use lab::probe::{Ear, Kind, Outcome, Path, Patience};
use lab::{Family, Findings, Seawall, World};

/// First of a hundred ports that no rule names.
const OPEN_PORT: u16 = 7000;
/// First of a hundred ports that rules forbid.
const FORBIDDEN_PORT: u16 = 7100;

/// Forbids one address of the other side for everything, and some ports everywhere.
const POLICY: &str = r#"
[filter]
default_action = "permit"
outgoing_rules = ["- 10.77.1.66", "- fd77:1::66", "- * TCP/7100-7199", "- * UDP/7100-7199"]
incoming_rules = ["- 10.77.1.66", "- fd77:1::66", "- * TCP/7100-7199", "- * UDP/7100-7199"]
"#;

/// A refusal has to come before a user would wonder.
const QUICK: Duration = Duration::from_secs(1);
/// How long a sender waits for a refusal, or to be sure that there is none.
const PATIENCE: Patience = Patience(Duration::from_millis(1200));
/// For what may pass: no answer is awaited.
const NO_PATIENCE: Patience = Patience(Duration::from_millis(1));
const ARRIVES: Duration = Duration::from_secs(5);

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the machine that Seawall is on.
    Outbound,
    /// To it.
    Inbound,
    /// Through it.
    Forwarded,
}

impl Way {
    /// The path of this way; `other` is the far address that rules speak of.
    fn path<'a>(self, world: &'a World, family: Family, other: [&str; 2]) -> Path<'a> {
        let address = |pair| -> IpAddr { World::address(pair, family) };
        let (desk, peer, inner) = (&world.desk, &world.peer, &world.inner);
        match self {
            Self::Outbound => Path::new(desk, address(World::DESK), peer, address(other)),
            Self::Inbound => Path::new(peer, address(other), desk, address(World::DESK)),
            Self::Forwarded => Path::new(inner, address(World::INNER), peer, address(other)),
        }
    }

    /// What a denial looks like from where it was sent. Inbound denials say nothing.
    fn denial(self, kind: Kind) -> Outcome {
        match (self, kind) {
            (Self::Inbound, _) => Outcome::Silence,
            (_, Kind::Tcp) => Outcome::Refused,
            (_, Kind::Udp | Kind::Fragments) => Outcome::Unreachable,
            (_, Kind::Icmp | Kind::Experimental | Kind::DestinationOptions) => Outcome::Silence,
        }
    }
}

/// A forbidden probe that must not have arrived by the end of the test either.
struct Forbidden {
    ear: Ear,
    token: u64,
    what: String,
}

/// How Seawall is told to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Open mode, verdicts leave the queue.
    Usual,
    /// Lockdown, and every packet is judged: the backstop has to know what was allowed for once.
    Strict,
}

/// Sends what is forbidden and what is not, and says what came of it.
pub(crate) fn nothing_forbidden_crosses(backend: &str, way: Way, manner: Manner) {
    let world = World::new();
    let builder = Seawall::on(&world.desk).backend(backend);
    let seawall = match manner {
        Manner::Usual => builder.policy(POLICY).start(),
        Manner::Strict => {
            let policy = POLICY.replace("[filter]", "[filter]\npermanent_verdicts = false");
            builder.policy(&policy).lockdown().start()
        }
    };
    assert_eq!(seawall.status().datapath.backend, backend);
    let mut findings = Findings::new();
    let mut forbidden = Vec::new();
    let mut number = 0;
    for family in Family::BOTH {
        let open = way.path(&world, family, World::PEER);
        let closed = way.path(&world, family, World::FORBIDDEN);
        for kind in Kind::ALL.into_iter().filter(|kind| kind.exists_in(family)) {
            let mut check = |path: &Path<'_>, first_port: u16| {
                number += 1;
                let port = first_port + number;
                let what = format!("{kind:?} {way:?} {family:?} {} port {port}", path.destination);
                forbidden.push(deny(path, kind, way, port, what, &mut findings));
            };
            check(&closed, OPEN_PORT);
            if kind.has_ports() {
                check(&open, FORBIDDEN_PORT);
            }
            number += 1;
            let what = format!("{kind:?} {way:?} {family:?}");
            allow(&open, kind, OPEN_PORT + number, &what, &mut findings);
        }
    }
    for Forbidden { mut ear, token, what } in forbidden {
        findings.check(!ear.heard(token), format!("{what}: crossed"));
    }
    findings.settle();
}

/// Sends what is forbidden, and behind it on the same way what is not.
fn deny(
    path: &Path<'_>,
    kind: Kind,
    way: Way,
    port: u16,
    what: String,
    findings: &mut Findings,
) -> Forbidden {
    let ear = path.listen(kind, port);
    let sent = path.send(kind, port, PATIENCE);
    let expected = way.denial(kind);
    findings.check(
        sent.outcome == expected,
        format!("{what}: the sender saw {:?}, not {expected:?}", sent.outcome),
    );
    if expected != Outcome::Silence {
        findings.check(sent.took < QUICK, format!("{what}: refused only after {:?}", sent.took));
    }
    Forbidden { ear, token: sent.token, what }
}

fn allow(path: &Path<'_>, kind: Kind, port: u16, what: &str, findings: &mut Findings) {
    let mut ear = path.listen(kind, port);
    let patience = if kind == Kind::Tcp { Patience(ARRIVES) } else { NO_PATIENCE };
    let sent = path.send(kind, port, patience);
    findings.check(ear.hears(sent.token, ARRIVES), format!("{what}: allowed, but lost: {sent:?}"));
    findings.check(sent.took < QUICK, format!("{what}: allowed, but slow: {sent:?}"));
}
