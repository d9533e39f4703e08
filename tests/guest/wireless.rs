//! Wireless networks: known by their names as soon as they are joined, and until they are left. The
//! cards are the kernel's own, which hear each other (mac80211_hwsim), and come after Seawall.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::process::Running;
use lab::{Family, Host, Seawall, World, eventually};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use seawall_messages::network::{NetworkAnswer, Ssid};
use seawall_platform::linux::network::NetworkEvents;

const PATIENCE: Patience = Patience(Duration::from_secs(2));
/// What happens to the cards is known by then. It is looked every minute, too, which is much later.
const SOON: Duration = Duration::from_secs(3);
const UP: Duration = Duration::from_secs(30);
/// In the letters of another age, so that it is no UTF-8.
const CAFE: &[u8] = b"caf\xe9 am Eck";
/// What two stations call what they do without an access point.
const AD_HOC: &[u8] = b"home*";
const PORT: u16 = 7401;

/// A wireless card of the kernel's: its interface is moved to a host, whose namespace is its own.
struct Card {
    interface: String,
}

impl Card {
    /// The cards in the namespace of the whole machine.
    fn all() -> Vec<Self> {
        let listed = lab::run_ok(Command::new("iw").arg("dev"));
        let named = |line: &str| line.trim().strip_prefix("Interface ").map(str::to_owned);
        listed.lines().filter_map(named).map(|interface| Self { interface }).collect()
    }

    fn move_to(&self, host: &Host) {
        let name = format!("/sys/class/net/{}/phy80211/name", self.interface);
        let name = std::fs::read_to_string(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let host = host.namespace();
        lab::run_ok(Command::new("iw").args(["phy", name.trim(), "set", "netns", "name", host]));
    }

    /// `iw dev` with what it is to do, and a name that need not be text.
    fn iw(&self, host: &Host, before: &[&str], ssid: &[u8], behind: &[&str]) {
        let mut command = host.command("iw");
        command.args(["dev", &self.interface]).args(before);
        command.args((!ssid.is_empty()).then(|| OsStr::from_bytes(ssid))).args(behind);
        lab::run_ok(&mut command);
    }
}

/// An access point, without a password.
fn access_point(host: &Host, card: &Card, ssid: &[u8]) -> (Running, tempfile::NamedTempFile) {
    let hex: String = ssid.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let interface = &card.interface;
    write!(file, "interface={interface}\nssid2={hex}\nhw_mode=g\nchannel=1\n").expect("a file");
    let running = Running::start(host.command("hostapd").arg(file.path()));
    let enabled = running.line_where(UP, |line| line.contains("AP-ENABLED"));
    assert!(enabled.is_some(), "no access point: {}", running.stderr());
    (running, file)
}

fn network(seawall: &Seawall<'_>) -> NetworkAnswer {
    let answer = seawall.verb(&["network", "--json"]);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The names of the wireless networks that the machine is in, and the network whose settings count.
fn here(seawall: &Seawall<'_>) -> (Vec<Ssid>, Option<String>) {
    let NetworkAnswer { surroundings, networks } = network(seawall);
    let names = surroundings.interfaces.into_iter().filter_map(|interface| interface.ssid);
    let counts = networks.into_iter().find(|network| network.counts);
    (names.collect(), counts.map(|network| network.name.to_string()))
}

#[track_caller]
fn wait_until_in(seawall: &Seawall<'_>, ssid: &[u8], counts: Option<&str>) {
    let expected = (Ssid::new(ssid).into_iter().collect(), counts.map(str::to_owned));
    eventually(&format!("{expected:?} is where it is"), SOON, || here(seawall) == expected);
}

/// Waits for word of nl80211 alone.
#[track_caller]
fn hears(ear: &NetworkEvents, what: &str) {
    let [_, wireless] = ear.descriptors();
    let within = Timespec { tv_sec: 30, tv_nsec: 0 };
    let heard = poll(&mut [PollFd::new(&wireless, PollFlags::IN)], Some(&within));
    assert_eq!(heard, Ok(1), "{what}");
    ear.take().expect("it is taken");
}

#[test]
fn a_wireless_network_is_known_by_its_name_while_the_machine_is_in_it() {
    let world = World::new();
    let (desk, peer) = (&world.desk, &world.peer);
    let seawall = Seawall::on(desk).start();
    let ear = desk.inside(NetworkEvents::open).expect("an ear");
    assert_eq!(here(&seawall), (vec![], None));

    lab::run_ok(Command::new("modprobe").args(["mac80211_hwsim", "radios=2"]));
    hears(&ear, "the kernel learns of wireless networks");
    let cards = Card::all();
    let [card, others] = &*cards else { panic!("two cards were wanted: {}", cards.len()) };
    card.move_to(desk);
    others.move_to(peer);
    let _access_point = access_point(peer, others, CAFE);
    peer.ip(&format!("addr add 10.79.0.2/24 dev {}\n", others.interface));
    desk.ip(&format!(
        "link set {0} up\naddr add 10.79.0.1/24 dev {0}\nroute replace default via 10.79.0.2\n",
        card.interface
    ));
    ear.take().expect("it is taken");

    card.iw(desk, &["connect"], CAFE, &[]);
    hears(&ear, "a network is joined");
    wait_until_in(&seawall, CAFE, None);
    desk.run("ping", &["-c1", "-W5", "10.79.0.2"]);
    eventually("it is known who stands there", SOON, || {
        network(&seawall).surroundings.gateways.iter().any(|gateway| gateway.mac.is_some())
    });
    let shown = seawall.verb(&["network"]).stdout;
    assert!(shown.contains("caf\\xe9 am Eck"), "{shown}");

    // The lines that it proposes name it, and its settings hold on all interfaces.
    let there = |family| World::address(World::PEER, family);
    let inbound = Path::new(peer, there(Family::V4), desk, World::address(World::DESK, Family::V4));
    let _listener = inbound.listen(Kind::Tcp, PORT);
    let call = || inbound.send(Kind::Tcp, PORT, PATIENCE).outcome;
    assert_eq!(call(), Outcome::Connected);
    let (_, proposed) = shown.split_once("[[network]]").expect("a proposal");
    assert!(proposed.contains("ssid = 'caf\\xe9 am Eck'"), "{proposed}");
    let others_name = "[[network]]\nname = \"others\"\nmatch = { ssid = \"*\" }\n";
    let ad_hoc = "[[network]]\nname = \"home\"\nmatch = { ssid = \"home*\" }\n";
    seawall.write_policy(&format!(
        "{others_name}[[network]]{proposed}block_inbound = true\n{ad_hoc}block_inbound = true\n"
    ));
    wait_until_in(&seawall, CAFE, Some("here"));
    eventually("its settings hold", SOON, || call() == Outcome::Silence);

    card.iw(desk, &["disconnect"], b"", &[]);
    hears(&ear, "it is left");
    wait_until_in(&seawall, b"", None);
    eventually("its settings hold no more", SOON, || call() == Outcome::Connected);

    desk.ip(&format!("link set {} down\n", card.interface));
    card.iw(desk, &["set", "type", "ibss"], b"", &[]);
    desk.ip(&format!("link set {} up\n", card.interface));
    ear.take().expect("it is taken");
    card.iw(desk, &["ibss", "join"], AD_HOC, &["2412", "fixed-freq", "02:77:00:00:00:07"]);
    hears(&ear, "one without an access point is joined");
    wait_until_in(&seawall, AD_HOC, Some("home"));
    eventually("its settings hold", SOON, || call() == Outcome::Silence);
    card.iw(desk, &["ibss", "leave"], b"", &[]);
    wait_until_in(&seawall, b"", None);
    eventually("its settings hold no more", SOON, || call() == Outcome::Connected);
}
