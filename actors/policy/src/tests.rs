//! The component in a running tree, with real files and a real store.

mod adoption;
mod choosing;
mod component;
mod ends;
mod killed;
mod storing;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seawall_messages::network::Surroundings;
use seawall_messages::policy::{Message, PolicyGeneration, PolicyRefusal, PolicyStatus};
use seawall_messages::process::{App, Process, ProcessKey};
use seawall_messages::rule::Run;
use seawall_messages::{Snapshot, datapath};
use seawall_runtime::{
    Address, Component, Context, Failure, Generation, Kernel, Lender, Published, Publisher, Reply,
    Spec, StartError, TreeBuilder,
};

use crate::adopt::{FoundSocket, Survey, SurveyError};
use crate::file::ServiceSettings;
use crate::running::{Running, RunningError, Wait, Wanted};
use crate::{Arguments, Policy, Store};

const DEADLINE: Duration = Duration::from_secs(20);

/// A machine: a folder with the file and the state, sockets, programs, and what is told to `datapath`.
struct Machine {
    folder: tempfile::TempDir,
    sockets: Arc<Sockets>,
    programs: Programs,
    told: Arc<Mutex<Vec<PolicyGeneration>>>,
}

#[derive(Default)]
struct Sockets {
    found: Mutex<Vec<FoundSocket>>,
    fails: AtomicBool,
}

/// What runs on it: process, and the file that it runs.
#[derive(Clone, Default)]
struct Programs(Arc<Mutex<Vec<(ProcessKey, String)>>>);

/// A worker on it, from its start to its stop.
struct Worker {
    kernel: Kernel,
    policy: Address<Message>,
    published: Published<Snapshot>,
    surroundings: Publisher<Surroundings>,
}

impl Survey for Sockets {
    fn sockets(&self) -> Result<Vec<FoundSocket>, SurveyError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(SurveyError("no sock_diag here".into()));
        }
        Ok(self.found.lock().expect("no test panicked with it").clone())
    }
}

impl Programs {
    fn now(&self) -> Vec<(ProcessKey, String)> {
        self.0.lock().expect("no test panicked with it").clone()
    }

    fn runs(&self, run: &Run) -> bool {
        let same = |key: &ProcessKey| (key.pid, key.started_ticks) == (run.pid, run.started_ticks);
        self.now().iter().any(|(key, _)| same(key))
    }
}

impl Running for Programs {
    fn goes_on(&self, run: &Run) -> bool {
        self.runs(run)
    }

    fn oldest(&self, app: &Wanted<'_>, _: &Snapshot) -> Result<Option<ProcessKey>, RunningError> {
        let is_it = |path: &str| (app.is_it)(&Process::made_up(App::unidentified(), path));
        let meant = self.now().into_iter().filter(|(_, path)| is_it(path)).map(|(key, _)| key);
        Ok(meant.min_by_key(|key| key.started_ticks))
    }

    fn one_ends(&self, runs: Vec<Run>) -> Wait {
        let programs = self.clone();
        Box::pin(async move {
            while runs.iter().all(|run| programs.runs(run)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

/// Stands in for the controller: notes what it is told.
struct Told(Arc<Mutex<Vec<PolicyGeneration>>>);

impl Component for Told {
    type Message = datapath::Message;
    type Arguments = Arc<Mutex<Vec<PolicyGeneration>>>;

    async fn start(
        _: Context<datapath::Message>,
        told: Self::Arguments,
    ) -> Result<Self, StartError> {
        Ok(Self(told))
    }

    async fn handle(&mut self, message: datapath::Message) -> Result<(), Failure> {
        if let datapath::Message::PolicyPublished { generation } = message {
            self.0.lock().expect("no test panicked with it").push(generation);
        }
        Ok(())
    }
}

impl Machine {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            sockets: Arc::default(),
            programs: Programs::default(),
            told: Arc::default(),
        }
    }

    fn with_file(text: &str) -> Self {
        let machine = Self::new();
        machine.write(text);
        machine
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("seawall.toml")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("the file is written");
    }

    fn try_start(&self) -> Result<Worker, String> {
        self.try_start_with(&self.file())
    }

    fn try_start_with(&self, file: &Path) -> Result<Worker, String> {
        let store = Store::open(&self.state()).map_err(|error| error.to_string())?;
        let (publisher, published) = Published::new(Snapshot::unloaded());
        let (surroundings_in, surroundings) = Published::new(Surroundings::default());
        let mut tree = TreeBuilder::new(|_| ());
        let policy = tree.declare(spec("policy", &["datapath"]));
        let datapath = tree.declare(spec("datapath", &[]));
        let arguments = Arguments {
            file: file.to_owned(),
            running: ServiceSettings::default(),
            store: Lender::new(store),
            publisher,
            published: published.clone(),
            surroundings,
            datapath: datapath.clone(),
            survey: self.sockets.clone(),
            programs: Arc::new(self.programs.clone()),
        };
        tree.actor::<Policy>(&policy, arguments);
        tree.actor::<Told>(&datapath, self.told.clone());
        let kernel = tree.start().map_err(|error| error.to_string())?;
        Ok(Worker { kernel, policy, published, surroundings: surroundings_in })
    }

    fn start(&self) -> Worker {
        self.try_start().expect("it starts")
    }

    fn told(&self) -> Vec<PolicyGeneration> {
        self.told.lock().expect("no test panicked with it").clone()
    }
}

impl Worker {
    fn status(&self) -> PolicyStatus {
        self.policy.ask_blocking(DEADLINE, |reply| Message::Status { reply }).expect("an answer")
    }

    fn reload(&self) -> Result<PolicyStatus, String> {
        self.policy.ask_blocking(DEADLINE, |reply| Message::Reload { reply }).expect("an answer")
    }

    fn remove(&self, id: u32) -> Result<bool, String> {
        self.policy
            .ask_blocking(DEADLINE, |reply| Message::RemoveAdopted { id, reply })
            .expect("an answer")
    }

    /// Asks something that may be refused.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(Reply<Result<T, PolicyRefusal>>) -> Message,
    ) -> Result<T, PolicyRefusal> {
        self.policy.ask_blocking(DEADLINE, question).expect("an answer")
    }

    /// The machine is elsewhere, as `network` would say.
    fn move_to(&self, surroundings: Surroundings) {
        assert!(self.surroundings.publish(Generation(1), surroundings));
        self.policy.tell(Message::NetworkChanged).expect("it is told");
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load()
    }

    fn stop(self) {
        assert_eq!(self.kernel.stop(DEADLINE), Vec::<String>::new());
    }
}

fn spec(name: &'static str, tells: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "root",
        intensity: seawall_runtime::Intensity { restarts: 2, ..Default::default() },
        backoff: Default::default(),
        mailbox: Default::default(),
        // A store on a busy test machine takes its time to open.
        deadlines: seawall_runtime::Deadlines { start: DEADLINE, handle: DEADLINE, stop: DEADLINE },
        asks: &[],
        tells,
        while_down: "the policy in force stays in force",
    }
}

/// Waits for a condition, at most as long as a test may take.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
