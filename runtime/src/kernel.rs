//! Builds the tree, runs it, stops it.

mod check;
mod events;
mod health;
mod introspect;
mod plan;
mod supervisor;

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use ractor::ActorRef;

pub use self::introspect::Introspect;
use self::plan::{Child, Group, Jitter, Plan};
use self::supervisor::{Orders, Seat, Supervisor};
use crate::address::Address;
use crate::body::{Body, Notice};
use crate::component::{ActorBody, Component};
use crate::slot::{Member, Slot};
use crate::spec::{Intensity, Spec, Strategy};
use crate::sync::{Arc, Mutex, lock};
use crate::thread::{Thread, ThreadBody};
use crate::vitals::Vitals;
use crate::wake::Wake;

/// The group that all others are in.
pub const ROOT_GROUP: &str = "root";

/// Collects groups and components. Addresses exist before anything starts, so
/// components can be given each other's.
pub struct TreeBuilder {
    groups: Vec<(Option<&'static str>, Group)>,
    declared: Vec<Declared>,
    introspect: Introspect,
    on_fatal: OnFatal,
    problem: Option<String>,
}

struct Declared {
    member: Arc<dyn Member>,
    /// What wakes it, where it is a thread.
    wake: Option<Arc<dyn Wake>>,
    body: Option<Box<dyn Body>>,
}

/// A running tree.
pub struct Kernel {
    supervisor: ActorRef<Notice>,
    thread: std::thread::JoinHandle<()>,
    introspect: Introspect,
}

/// Why a tree can't be built or started.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Two components or groups of one name, an unknown group, a cycle of asks, an undeclared peer.
    #[error("the supervision tree is wrong: {0}")]
    Malformed(String),
    /// A component did not come up in time.
    #[error("component {name} did not start: {reason}")]
    Start {
        /// Which one.
        name: String,
        /// Why.
        reason: String,
    },
    /// The system refused a thread.
    #[error("can't start a thread")]
    Thread(#[source] std::io::Error),
}

/// What to do when the tree gives up; done once.
#[derive(Clone)]
struct OnFatal(Arc<Mutex<Option<FatalHandler>>>);

type FatalHandler = Box<dyn FnOnce(String) + Send>;

/// How long the supervisor itself may take beyond what its children may.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(1);

impl OnFatal {
    fn call(&self, reason: String) {
        let on_fatal = lock(&self.0).take();
        if let Some(on_fatal) = on_fatal {
            events::fatal(&reason);
            on_fatal(reason);
        }
    }

    fn disarm(&self) {
        lock(&self.0).take();
    }
}

impl TreeBuilder {
    /// An empty tree whose root group ([`ROOT_GROUP`]) restarts one for one.
    /// `on_fatal` is called (from the supervisor's thread, once) when the tree
    /// gives up: the root group's intensity is exceeded, or two threads leaked.
    /// It is expected to end the process.
    pub fn new(on_fatal: impl FnOnce(String) + Send + 'static) -> Self {
        let root = Group {
            name: ROOT_GROUP,
            parent: None,
            strategy: Strategy::OneForOne,
            intensity: Intensity::default(),
        };
        Self {
            groups: vec![(None, root)],
            declared: Vec::new(),
            introspect: Introspect::default(),
            on_fatal: OnFatal(Arc::new(Mutex::new(Some(Box::new(on_fatal))))),
            problem: None,
        }
    }

    /// Declares a group below `parent` (`None`: the root). A group that fails
    /// too often (its own intensity is exceeded by the failures of its
    /// children, or that of one of them) is restarted whole by its parent, and so on up.
    pub fn group(
        &mut self,
        name: &'static str,
        parent: Option<&'static str>,
        strategy: Strategy,
        intensity: Intensity,
    ) -> &mut Self {
        let parent = parent.unwrap_or(ROOT_GROUP);
        let position = self.groups.iter().position(|(_, group)| group.name == parent);
        if position.is_none() {
            self.note(format!("group {name} is in the unknown group {parent}"));
        }
        self.groups.push((Some(parent), Group { name, parent: position, strategy, intensity }));
        self
    }

    /// Declares a component and makes its address. Started in order of declaration.
    pub fn declare<M: Send + 'static>(&mut self, spec: Spec) -> Address<M> {
        self.add(spec, None)
    }

    /// As [`Self::declare`], for a thread, with what wakes it.
    pub fn declare_thread<M: Send + 'static>(
        &mut self,
        spec: Spec,
        wake: Arc<dyn Wake>,
    ) -> Address<M> {
        self.add(spec, Some(wake))
    }

    /// Says what runs behind a declared address.
    pub fn actor<C: Component>(
        &mut self,
        address: &Address<C::Message>,
        arguments: C::Arguments,
    ) -> &mut Self {
        let body = ActorBody::<C>::new(address.clone(), arguments);
        match self.find(address) {
            Some(Declared { body: place @ None, wake: None, .. }) => *place = Some(Box::new(body)),
            _ => self.note(format!("{} can't have that actor", address.slot.vitals.spec.name)),
        }
        self
    }

    /// Says which thread runs behind a declared address.
    pub fn thread<T: Thread>(
        &mut self,
        address: &Address<T::Message>,
        arguments: T::Arguments,
    ) -> &mut Self {
        match self.find(address) {
            Some(Declared { body: place @ None, wake: Some(wake), .. }) => {
                let body = ThreadBody::<T>::new(address.clone(), arguments, wake.clone());
                *place = Some(Box::new(body));
            }
            _ => self.note(format!("{} can't have that thread", address.slot.vitals.spec.name)),
        }
        self
    }

    /// The declared specs, in order: for tests and pictures of the tree.
    pub fn specs(&self) -> Vec<Spec> {
        self.declared.iter().map(|it| it.member.vitals().spec.clone()).collect()
    }

    /// See [`Introspect`].
    pub fn introspect(&self) -> Introspect {
        self.introspect.clone()
    }

    /// Checks the tree and starts it, in order; returns when every component
    /// runs. One that fails to start is tried again within its intensity.
    pub fn start(self) -> Result<Kernel, TreeError> {
        self.check().map_err(TreeError::Malformed)?;
        #[cfg(feature = "fault-injection")]
        self.introspect.prepare_faults().map_err(TreeError::Malformed)?;
        let Self { groups, declared, introspect, on_fatal, .. } = self;
        let groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
        let (mut seats, mut children) = (Vec::new(), Vec::new());
        for Declared { member, body, .. } in declared {
            let Some(body) = body else { continue };
            let Spec { group, intensity, backoff, .. } = member.vitals().spec;
            let group = groups.iter().position(|it| it.name == group).unwrap_or_default();
            children.push(Child { group, intensity, backoff });
            seats.push(Seat::new(member, body));
        }
        let plan = Plan::new(groups, children, Jitter::new(crate::clock::now_ns()), Instant::now());
        let (booted, boot) = sync_channel(1);
        let make = |origin| Orders { plan, seats, on_fatal, booted, origin };
        let (supervisor, thread) = start_supervisor(make)?;
        let gone = || TreeError::Start {
            name: "supervisor".to_owned(),
            reason: "it ended during the start".to_owned(),
        };
        boot.recv().map_err(|_| gone())??;
        Ok(Kernel { supervisor, thread, introspect })
    }

    fn add<M: Send + 'static>(&mut self, spec: Spec, wake: Option<Arc<dyn Wake>>) -> Address<M> {
        let slot = Arc::new(Slot::<M>::new(Arc::new(Vitals::new(spec))));
        self.introspect.add(slot.clone());
        self.declared.push(Declared { member: slot.clone(), wake, body: None });
        Address { slot }
    }

    fn find<M>(&mut self, address: &Address<M>) -> Option<&mut Declared> {
        let vitals = &address.slot.vitals;
        self.declared.iter_mut().find(|it| Arc::ptr_eq(it.member.vitals(), vitals))
    }

    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn check(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if let Some(empty) = self.declared.iter().find(|it| it.body.is_none()) {
            return Err(format!("nothing runs behind {}", empty.member.vitals().spec.name));
        }
        let groups: Vec<_> = self.groups.iter().map(|(_, group)| group.name).collect();
        check::check(&groups, &self.specs())
    }
}

impl Kernel {
    /// A handle for introspection that components may be given.
    pub fn introspect(&self) -> Introspect {
        self.introspect.clone()
    }

    /// Stops everything in reverse order of declaration, each within its
    /// deadline. Returns the names of those that had to be abandoned.
    pub fn stop(self, at_most: Duration) -> Vec<String> {
        let (done, stopped) = sync_channel(1);
        // Fails where the supervisor has given up: nothing runs any more.
        let _ = self.supervisor.cast(Notice::Stop { at_most, done });
        let abandoned = stopped.recv_timeout(at_most + SUPERVISOR_GRACE).unwrap_or_default();
        self.supervisor.stop(None);
        // A panic of the supervisor was reported when it happened.
        let _ = self.thread.join();
        abandoned
    }
}

/// Starts the supervisor on a thread and runtime of its own.
fn start_supervisor(
    orders: impl FnOnce(Instant) -> Orders,
) -> Result<(ActorRef<Notice>, std::thread::JoinHandle<()>), TreeError> {
    // Before the runtime's clock, by less than the millisecond that it rounds up to.
    let orders = orders(Instant::now());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(TreeError::Thread)?;
    let on_fatal = orders.on_fatal.clone();
    let (ready, supervisor) = sync_channel(1);
    let run = move || {
        runtime.block_on(async {
            let Ok((supervisor, ended)) = ractor::Actor::spawn(None, Supervisor, orders).await
            else {
                return;
            };
            // Fails where the starter has died.
            let _ = ready.send(supervisor);
            let _ = ended.await;
        });
        // Disarmed where it ended in order.
        on_fatal.call("the supervisor failed".to_owned());
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("sw-supervisor".to_owned()).spawn(run);
    let thread = thread.map_err(TreeError::Thread)?;
    let gone = |_| TreeError::Thread(std::io::Error::other("the supervisor did not start"));
    Ok((supervisor.recv().map_err(gone)?, thread))
}
