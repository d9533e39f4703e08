//! Traffic in every direction that goes on while something changes, and what has to be true of it then.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::report::Connected;
use lab::{
    Connect, Family, Findings, Seawall, Serve, Talk, World, eventually, load::Client, until,
};

/// What may be called.
pub(crate) const OPEN: u16 = 7001;
/// What may not.
pub(crate) const FORBIDDEN: u16 = 7101;
/// Where long conversations are held.
const TALKS: u16 = 7010;

/// Forbids some ports, whoever calls whom.
pub(crate) const POLICY: &str = "[filter]\n\
    outgoing_rules = [\"- * TCP/7100-7199\", \"- * UDP/7100-7199\"]\n\
    incoming_rules = [\"- * TCP/7100-7199\", \"- * UDP/7100-7199\"]\n";

/// Connections a second that are allowed, and that are not, in each direction.
const RATE: u64 = 100;
const FORBIDDEN_RATE: u64 = 50;
/// When a forbidden connection counts as unanswered.
const UNANSWERED: Duration = Duration::from_millis(700);
const PATIENCE: Patience = Patience(Duration::from_millis(1500));
/// How long an open connection may stall: TCP tries again after twice the time each time.
const STALL: Duration = Duration::from_secs(30);
/// How long Seawall may take to put its rules back, or anything else, on a busy machine.
pub(crate) const MENDED: Duration = Duration::from_secs(10);

/// Whether a forbidden connection may have got through while things changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Not one.
    Always,
    /// While the rules were away, traffic does what the mode says of Seawall's absence.
    OnceRulesAreBack,
}

/// A running Seawall with traffic.
pub(crate) struct Scene<'a> {
    /// The hosts.
    pub(crate) world: &'a World,
    /// On `desk`.
    pub(crate) seawall: &'a Seawall<'a>,
    /// What writes its rules.
    pub(crate) backend: &'a str,
    _servers: [Serve; 2],
    talks: Vec<(String, Talk)>,
    load: Vec<(&'static str, Client<Connected>)>,
    intruders: Vec<(&'static str, Client<Connected>)>,
    strictness: Strictness,
    findings: Findings,
}

/// The back-ends that work on this machine: nft only where the kernel has its `queue` statement.
fn backends(world: &World) -> Vec<&'static str> {
    let probe = "add table inet probe\nadd chain inet probe x\nadd rule inet probe x queue num 1\n";
    let mut nft = world.desk.command("nft");
    let takes_queue = lab::process::run_with_input(nft.args(["--check", "-f", "-"]), probe).ok();
    let mut backends = vec!["iptables-nft", "iptables-legacy"];
    if takes_queue {
        backends.push("nft");
    }
    backends
}

/// Does something with each back-end, in a world of its own. All at the same time: most of it is waiting.
pub(crate) fn with_each_backend(act: impl Fn(&World, &'static str) + Sync) {
    let first = World::new();
    let names = backends(&first);
    let others: Vec<World> = names.iter().skip(1).map(|_| first.beside()).collect();
    let worlds = std::iter::once(&first).chain(&others);
    std::thread::scope(|scope| {
        let begun: Vec<_> =
            worlds.zip(names).map(|(world, name)| scope.spawn(|| act(world, name))).collect();
        for outcome in begun.into_iter().map(std::thread::ScopedJoinHandle::join) {
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// With traffic going on, for each back-end: does something outside Seawall, then looks at
/// everything. What is done may look in between, with [`Scene::goes_on`].
pub(crate) fn survives(strictness: Strictness, change: impl Fn(&mut Scene<'_>) + Sync) {
    with_each_backend(|world, backend| {
        let seawall = Seawall::on(&world.desk).backend(backend).policy(POLICY).start();
        let mut scene = Scene::open(world, &seawall, backend, strictness);
        change(&mut scene);
        scene.settle();
    });
}

/// Outbound, inbound and forwarded, seen from `desk`.
pub(crate) fn directions(world: &World, family: Family) -> [(&'static str, Path<'_>); 3] {
    let address = |pair| World::address(pair, family);
    let (desk, peer) = (address(World::DESK), address(World::PEER));
    [
        ("outbound", Path::new(&world.desk, desk, &world.peer, peer)),
        ("inbound", Path::new(&world.peer, peer, &world.desk, desk)),
        ("forwarded", Path::new(&world.inner, address(World::INNER), &world.peer, peer)),
    ]
}

impl<'a> Scene<'a> {
    /// Starts the traffic, and waits until it flows.
    pub(crate) fn open(
        world: &'a World,
        seawall: &'a Seawall<'a>,
        backend: &'a str,
        strictness: Strictness,
    ) -> Self {
        // On both families: IPv4 is taken in by a listener on the unspecified IPv6 address.
        let all = [OPEN, FORBIDDEN].map(|port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        let servers = [&world.peer, &world.desk].map(|host| Serve::start(host, &all, &[]));
        let mut scene = Self {
            world,
            seawall,
            backend,
            _servers: servers,
            talks: Vec::new(),
            load: Vec::new(),
            intruders: Vec::new(),
            strictness,
            findings: Findings::new(),
        };
        for family in Family::BOTH {
            for (direction, path) in directions(world, family) {
                scene.talk(&format!("{direction}, {family:?}"), &path);
            }
        }
        let [v4, v6] = Family::BOTH.map(|family| directions(world, family));
        for ((name, v4), (_, v6)) in v4.into_iter().zip(v6) {
            let to = |port| [v4, v6].map(|path| SocketAddr::new(path.destination, port)).to_vec();
            let load = Connect { to: to(OPEN), ..Connect::at_rate(at(&v4, OPEN), RATE, 600.0) };
            let intruder = Connect {
                to: to(FORBIDDEN),
                timeout: UNANSWERED,
                ..Connect::at_rate(at(&v4, FORBIDDEN), FORBIDDEN_RATE, 600.0)
            };
            scene.load.push((name, load.start(v4.from)));
            scene.intruders.push((name, intruder.start(v4.from)));
        }
        for (_, client) in scene.load.iter().chain(&scene.intruders) {
            client.wait_until_under_way();
        }
        scene
    }

    /// One more conversation that has to last.
    #[track_caller]
    pub(crate) fn talk(&mut self, name: &str, path: &Path<'_>) {
        self.talks.push((name.to_owned(), Talk::open(path, TALKS)));
    }

    /// Ends the conversations with this name: what carried them is gone for good.
    pub(crate) fn hang_up(&mut self, name: &str) {
        self.talks.retain(|(own, _)| own != name);
    }

    /// Waits until rules that were swept away are back: what is forbidden is denied again.
    #[track_caller]
    fn rules_come_back(&self) {
        for family in Family::BOTH {
            let to = at(&directions(self.world, family)[0].1, FORBIDDEN);
            eventually("the rules are back", MENDED, || {
                self.world.desk.connect(to, UNANSWERED).is_err()
            });
        }
    }

    /// Everything holds at this moment: Seawall protects, conversations last, what is
    /// allowed connects, what is forbidden does not.
    pub(crate) fn goes_on(&mut self, when: &str) {
        if self.strictness == Strictness::OnceRulesAreBack {
            self.rules_come_back();
        }
        let when = format!("{}, {when}", self.backend);
        let protected = until(MENDED, || {
            let answer = self.seawall.verb(&["status"]);
            (answer.code == Some(0) && answer.stdout.starts_with("PROTECTED")).then_some(())
        });
        self.findings.check(protected.is_some(), format!("{when}: it protects"));
        for (name, talk) in &mut self.talks {
            let took = talk.round_trip(STALL);
            self.findings.check(took.is_ok(), format!("{when}: {name} talks on: {took:?}"));
        }
        self.all_are_judged(&when);
    }

    /// Tries the paths to different addresses at once; those to the same share a port.
    fn all_are_judged(&mut self, when: &str) {
        let world = self.world;
        let found = std::thread::scope(|scope| {
            let begun = Family::BOTH.map(|family| {
                let [outbound, inbound, forwarded] = directions(world, family);
                [vec![inbound], vec![outbound, forwarded]].map(|paths| {
                    scope.spawn(move || {
                        let mut findings = Findings::new();
                        for (direction, path) in paths {
                            findings
                                .join(judged(&format!("{when}: {direction} {family:?}"), &path));
                        }
                        findings
                    })
                })
            });
            begun.into_iter().flatten().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for findings in found {
            match findings {
                Ok(findings) => self.findings.join(findings),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }

    /// On this path, too, what is allowed connects and what is forbidden does not.
    pub(crate) fn is_judged(&mut self, what: &str, path: &Path<'_>) {
        self.findings.join(judged(what, path));
    }

    /// Notes what a test found by itself.
    pub(crate) fn check(&mut self, holds: bool, what: &str) {
        self.findings.check(holds, format!("{}: {what}", self.backend));
    }

    /// Looks at everything once more, and at what the traffic saw in all that time.
    #[track_caller]
    pub(crate) fn settle(mut self) {
        self.goes_on("in the end");
        for (name, client) in self.load {
            let report = client.stop();
            self.findings.check(
                report.failed.total() == 0,
                format!("{}, {name}: no allowed connection failed: {report:?}", self.backend),
            );
        }
        for (name, client) in self.intruders {
            let report = client.stop();
            self.findings.check(
                report.succeeded == 0 || self.strictness == Strictness::OnceRulesAreBack,
                format!("{}, {name}: forbidden connections that passed: {report:?}", self.backend),
            );
        }
        self.findings.settle();
    }
}

/// Whether what is allowed connects on this path, and what is forbidden does not.
fn judged(what: &str, path: &Path<'_>) -> Findings {
    let mut findings = Findings::new();
    let open = path.send(Kind::Tcp, OPEN, PATIENCE).outcome;
    findings.check(open == Outcome::Connected, format!("{what}: allowed: {open:?}"));
    let closed = path.send(Kind::Tcp, FORBIDDEN, Patience(UNANSWERED)).outcome;
    findings.check(is_denial(closed), format!("{what}: forbidden: {closed:?}"));
    let mut ear = path.listen(Kind::Udp, OPEN);
    let sent = path.send(Kind::Udp, OPEN, Patience(SHORT));
    let heard = ear.hears(sent.token, MENDED);
    findings.check(heard, format!("{what}: an allowed datagram arrives"));
    let mut ear = path.listen(Kind::Udp, FORBIDDEN);
    let sent = path.send(Kind::Udp, FORBIDDEN, Patience(SHORT));
    findings.check(!ear.heard(sent.token), format!("{what}: a forbidden datagram"));
    findings
}

/// Time for a datagram to be denied.
const SHORT: Duration = Duration::from_millis(100);

fn at(path: &Path<'_>, port: u16) -> SocketAddr {
    SocketAddr::new(path.destination, port)
}

fn is_denial(outcome: Outcome) -> bool {
    outcome != Outcome::Connected
}
