//! The component in a supervision tree, beside a stand-in for `datapath`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seawall_messages::policy::{
    self, AppFilter, AppPolicy, Fingerprint, PolicyGeneration, SeenApp,
};
use seawall_messages::process::{
    AppUse, Attribution, FlowUse, HookStatus, Message, Method, Question,
};
use seawall_messages::{Direction, Flow, Protocol, Snapshot, datapath};
use seawall_platform::linux::ebpf::Notes;
use seawall_platform::linux::sockets::ClosedSockets;
use seawall_runtime::{
    Address, Component, Context, Deadlines, Failure, Generation, Kernel, Lender, Published,
    Publisher, Spec, StartError, TreeBuilder,
};

use super::{Arguments, Counting, Finding, Ledger, Processes, Regulars, TableOwners};

const DEADLINE: Duration = Duration::from_secs(20);

/// Flows of sockets that closed, as `datapath` was told of them.
type Told = Arc<Mutex<Vec<Flow>>>;

/// Apps that `policy` was told of.
type Seen = Arc<Mutex<Vec<SeenApp>>>;

/// The component, from its start to its stop.
pub(crate) struct Running {
    kernel: Kernel,
    process: Address<Message>,
    publisher: Publisher<Snapshot>,
    /// What it publishes, as those look into it who meet packets.
    pub(crate) owners: TableOwners,
    told: Told,
    seen: Seen,
}

/// Stands in for `policy`: notes what it is told.
struct Learns(Seen);

impl Component for Learns {
    type Message = policy::Message;
    type Arguments = Seen;

    async fn start(_: Context<policy::Message>, seen: Seen) -> Result<Self, StartError> {
        Ok(Self(seen))
    }

    async fn handle(&mut self, message: policy::Message) -> Result<(), Failure> {
        let policy::Message::AppsSeen(apps) = message else { panic!("{message:?}") };
        self.0.lock().expect("no test panicked with it").extend(apps);
        Ok(())
    }
}

/// Stands in for `datapath`: notes what it is told.
struct Listens(Told);

impl Component for Listens {
    type Message = datapath::Message;
    type Arguments = Told;

    async fn start(_: Context<datapath::Message>, told: Told) -> Result<Self, StartError> {
        Ok(Self(told))
    }

    async fn handle(&mut self, message: datapath::Message) -> Result<(), Failure> {
        let datapath::Message::SocketsClosed(flows) = message else { panic!("{message:?}") };
        self.0.lock().expect("no test panicked with it").extend(flows);
        Ok(())
    }
}

impl Running {
    /// Starts it in the network namespace of the calling thread, with what the kernel
    /// notes, or the reason why it notes nothing.
    pub(crate) fn start(notes: Result<&Arc<Notes>, &str>) -> Self {
        let hears = notes.is_err().then(|| ClosedSockets::open().expect("a netlink socket"));
        Self::start_hearing(notes, hears)
    }

    /// As [`Running::start`], with this word of sockets that close.
    pub(crate) fn start_hearing(
        notes: Result<&Arc<Notes>, &str>,
        closed: Option<ClosedSockets>,
    ) -> Self {
        let (publisher, policy) = Published::new(Snapshot::unloaded());
        let (regulars_in, regulars) = Published::new(Regulars::default());
        let (told, seen) = (Told::default(), Seen::default());
        let mut tree = TreeBuilder::new(|reason| panic!("{reason}"));
        let process = tree.declare(spec("process", &["datapath", "policy"]));
        let datapath = tree.declare(spec("datapath", &[]));
        let policies = tree.declare(spec("policy", &[]));
        let events = |notes: &Arc<Notes>| Lender::new(notes.events().expect("a ring buffer"));
        let arguments = Arguments {
            notes: notes.ok().cloned(),
            events: notes.ok().map(events),
            closed: closed.map(Lender::new),
            ledger: Lender::new(Ledger::default()),
            finding: Finding::All,
            counting: Counting::Sockets,
            problem: notes.err().map(str::to_owned),
            policy,
            regulars: regulars_in,
            datapath: datapath.clone(),
            policies: policies.clone(),
        };
        tree.actor::<Processes>(&process, arguments);
        tree.actor::<Listens>(&datapath, told.clone());
        tree.actor::<Learns>(&policies, seen.clone());
        let kernel = tree.start().expect("the tree starts");
        let owners = TableOwners::new(regulars);
        Self { kernel, process, publisher, owners, told, seen }
    }

    /// Puts a policy in force in which one app, that this fingerprint means, has rules of its own.
    pub(crate) fn ask_for(&self, fingerprint: Fingerprint) {
        let app = AppPolicy { name: Arc::from("app"), fingerprint, filter: AppFilter::default() };
        let generation = PolicyGeneration(1);
        let snapshot = Snapshot { generation, apps: vec![app], ..Snapshot::unloaded() };
        assert!(self.publisher.publish(Generation(1), snapshot));
    }

    pub(crate) fn identify(&self, question: Question) -> Attribution {
        self.process
            .ask_blocking(DEADLINE, |reply| Message::Identify { question, reply })
            .expect("an answer")
    }

    pub(crate) fn identify_all(&self, questions: Vec<Question>) -> Vec<Attribution> {
        self.process
            .ask_blocking(DEADLINE, |reply| Message::IdentifyAll { questions, reply })
            .expect("an answer")
    }

    /// Tells it of decided connections, and waits until it has heard.
    pub(crate) fn decided(&self, questions: Vec<Question>) {
        self.process.tell(Message::Decided(questions)).expect("room for a message");
        self.hooks();
    }

    pub(crate) fn uses(&self, flow: Flow) -> FlowUse {
        let uses = self
            .process
            .ask_blocking(DEADLINE, |reply| Message::Uses { flows: vec![flow], reply })
            .expect("an answer");
        assert_eq!(uses.len(), 1);
        uses.into_iter().next().expect("one")
    }

    pub(crate) fn apps(&self, open: Vec<Flow>) -> Vec<AppUse> {
        self.process
            .ask_blocking(DEADLINE, |reply| Message::Apps { open, reply })
            .expect("an answer")
    }

    pub(crate) fn hooks(&self) -> Vec<HookStatus> {
        self.process.ask_blocking(DEADLINE, |reply| Message::Hooks { reply }).expect("an answer")
    }

    /// What `datapath` was told of, in order.
    pub(crate) fn told(&self) -> Vec<Flow> {
        self.told.lock().expect("no test panicked with it").clone()
    }

    /// Apps that `policy` was told of, in order.
    pub(crate) fn seen(&self) -> Vec<SeenApp> {
        self.seen.lock().expect("no test panicked with it").clone()
    }

    /// Has it look at what there is now.
    pub(crate) fn look(&self) {
        self.process.tell(Message::LookAgain).expect("room for a message");
    }

    pub(crate) fn stop(self) {
        assert_eq!(self.process.generation(), Generation(1), "it never failed");
        assert_eq!(self.kernel.stop(DEADLINE), Vec::<String>::new());
    }
}

fn spec(name: &'static str, tells: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "root",
        intensity: Default::default(),
        backoff: Default::default(),
        mailbox: Default::default(),
        // A busy test machine takes its time to read `/proc`.
        deadlines: Deadlines { start: DEADLINE, handle: DEADLINE, stop: DEADLINE },
        asks: &[],
        tells,
        while_down: "connections whose app matters wait",
    }
}

pub(crate) fn outbound(protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Flow {
    Flow::between(Direction::Outbound, protocol, from, to)
}

/// A question by an asker who knows nothing of the owner.
pub(crate) fn about(flow: Flow) -> Question {
    Question { flow, owner: None, uid: None }
}

/// Path of the running test.
pub(crate) fn own_path() -> String {
    let path = std::env::current_exe().expect("a running program has a file");
    path.to_str().expect("a plain name").to_owned()
}

/// It is this process's, and was found that way.
#[track_caller]
pub(crate) fn assert_own(found: &Attribution, method: Method) {
    let process = found.process.as_ref().unwrap_or_else(|| panic!("nobody's: {found:?}"));
    assert_eq!(found.method, method);
    assert_eq!((process.key.pid, &*process.path), (std::process::id(), own_path().as_str()));
    assert_eq!(*process.app.id, format!("path:{}", own_path()));
    assert!(!process.deleted);
}

/// Waits for a condition, at most as long as a test may take.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
