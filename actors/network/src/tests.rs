//! The component in a running tree, with a kernel of our own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seawall_messages::network::{Forget, Gateway, Interface, Mac, Message, Surroundings};
use seawall_messages::policy;
use seawall_platform::linux::network::{Heard, NetworkError};
use seawall_runtime::{
    Address, Component, Context, Deadlines, Failure, Kernel as Tree, Published, Spec, StartError,
    TreeBuilder,
};

use crate::watch::is_news;
use crate::{Arguments, Kernel, Network};

const DEADLINE: Duration = Duration::from_secs(20);
const MAC: Mac = Mac([2; 6]);

/// A kernel that says what it is told to say.
#[derive(Default)]
struct Told {
    here: Mutex<Option<Surroundings>>,
}

impl Kernel for Told {
    fn look(&self) -> Result<Surroundings, NetworkError> {
        let refused = || NetworkError { doing: "look", source: std::io::Error::other("refused") };
        self.here.lock().expect("no test panicked with it").clone().ok_or_else(refused)
    }
}

/// Stands in for `policy`: counts what it is told.
struct Policy(Arc<Mutex<usize>>);

impl Component for Policy {
    type Message = policy::Message;
    type Arguments = Arc<Mutex<usize>>;

    async fn start(_: Context<policy::Message>, told: Self::Arguments) -> Result<Self, StartError> {
        Ok(Self(told))
    }

    async fn handle(&mut self, message: policy::Message) -> Result<(), Failure> {
        if let policy::Message::NetworkChanged = message {
            *self.0.lock().expect("no test panicked with it") += 1;
        }
        Ok(())
    }
}

struct Running {
    kernel: Arc<Told>,
    tree: Tree,
    network: Address<Message>,
    published: Published<Surroundings>,
    told: Arc<Mutex<usize>>,
}

impl Running {
    fn start(here: Option<Surroundings>) -> Self {
        let kernel = Arc::new(Told { here: Mutex::new(here) });
        let (publisher, published) = Published::new(Surroundings::default());
        let told = Arc::default();
        let mut tree = TreeBuilder::new(|_| ());
        let network = tree.declare(spec("network", &["policy"]));
        let policy = tree.declare(spec("policy", &[]));
        let arguments = Arguments {
            kernel: kernel.clone(),
            publisher,
            published: published.clone(),
            policy: policy.clone(),
        };
        tree.actor::<Network>(&network, arguments);
        tree.actor::<Policy>(&policy, Arc::clone(&told));
        let tree = tree.start().expect("it starts");
        Self { kernel, tree, network, published, told }
    }

    fn say(&self, here: Option<Surroundings>, forget: Forget) {
        *self.kernel.here.lock().expect("no test panicked with it") = here;
        self.network.tell(Message::Changed { forget }).expect("it is told");
    }

    fn told(&self) -> usize {
        *self.told.lock().expect("no test panicked with it")
    }

    fn stop(self) {
        assert_eq!(self.tree.stop(DEADLINE), Vec::<String>::new());
    }
}

fn spec(name: &'static str, tells: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "root",
        intensity: Default::default(),
        backoff: Default::default(),
        mailbox: Default::default(),
        deadlines: Deadlines { start: DEADLINE, handle: DEADLINE, stop: DEADLINE },
        asks: &[],
        tells,
        while_down: "where the machine was last seen counts",
    }
}

fn at(last: u8, mac: Option<Mac>) -> Surroundings {
    let address = Some([10, 0, 0, last].into());
    let addresses = Vec::new();
    let interface =
        Interface { index: 2, name: Arc::from("eth0"), up: true, addresses, ssid: None };
    let gateway = Gateway { interface: 2, address, mac, ipv6: false, metric: 0 };
    Surroundings { interfaces: vec![interface], gateways: vec![gateway] }
}

/// Waits for a condition, at most as long as a test may take.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

const NOTHING: Forget = Forget::Interfaces(Vec::new());

#[test]
fn what_changes_is_published_and_told_and_what_does_not_is_not() {
    let running = Running::start(Some(at(1, Some(MAC))));
    assert_eq!(*running.published.load(), at(1, Some(MAC)), "before it is ready");
    wait_until("it is told once", || running.told() == 1);
    running.say(Some(at(1, None)), NOTHING);
    running.say(Some(at(2, None)), NOTHING);
    wait_until("it moved", || *running.published.load() == at(2, None));
    wait_until("it is told again", || running.told() == 2);
    running.say(Some(at(2, Some(MAC))), NOTHING);
    wait_until("who stands there is known", || *running.published.load() == at(2, Some(MAC)));
    running.say(Some(at(2, None)), Forget::Interfaces(vec![2]));
    wait_until("that is forgotten with the link", || *running.published.load() == at(2, None));
    let mut cafe = at(2, None);
    cafe.interfaces[0].ssid = "cafe".parse().ok();
    running.say(Some(cafe.clone()), NOTHING);
    wait_until("a wireless network is joined", || *running.published.load() == cafe);
    wait_until("that is told", || running.told() == 5);
    running.stop();
}

#[test]
fn without_an_answer_the_last_one_stays() {
    let running = Running::start(None);
    assert_eq!(*running.published.load(), Surroundings::default());
    running.say(Some(at(1, None)), NOTHING);
    wait_until("it is seen", || *running.published.load() == at(1, None));
    running.say(None, Forget::All);
    running.say(Some(at(2, None)), NOTHING);
    wait_until("it is seen again", || *running.published.load() == at(2, None));
    running.stop();
}

#[test]
fn neighbours_are_news_where_they_are_gateways() {
    let known = at(1, Some(MAC));
    let gateway = std::net::IpAddr::from([10, 0, 0, 1]);
    let heard = |interface, address, mac| Heard {
        neighbours: vec![(interface, address, mac)],
        ..Heard::default()
    };
    let cases = [
        (Heard::default(), false),
        (Heard { more: true, ..Heard::default() }, false),
        (Heard { changed: true, ..Heard::default() }, true),
        (Heard { missed: true, ..Heard::default() }, true),
        (Heard { lost: vec![9], ..Heard::default() }, true),
        (heard(2, gateway, MAC), false),
        (heard(2, gateway, Mac([3; 6])), true),
        (heard(3, gateway, Mac([3; 6])), false),
        (heard(2, [10, 0, 0, 9].into(), Mac([3; 6])), false),
    ];
    for (heard, expected) in cases {
        assert_eq!(is_news(&heard, &known), expected, "{heard:?}");
    }
}
