//! The shell: takes connections from the accept loops and has each served by a task.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::keeper::{KeeperFacts, Layout};
use seawall_messages::network::Surroundings;
use seawall_messages::{Snapshot, datapath, policy, process, prompt, verdict};
use seawall_runtime::{
    Address, Component, Context, Failure, Introspect, Lender, Published, StartError,
};
use tokio::sync::Semaphore;

use crate::events::{self, Door};
use crate::metrics::Metrics;
use crate::server::{self, Accepted};

/// Connections served at the same time, each a task of a few kilobytes.
const MAX_CONNECTIONS: usize = 64;

/// How often histograms are tidied: what they hold in between is bounded by
/// the connection rate.
const UPKEEP: Duration = Duration::from_secs(10);

/// What it listens on.
pub struct Listeners {
    /// For the command.
    pub command: UnixListener,
    /// For Prometheus.
    pub metrics: Option<std::net::TcpListener>,
    /// Why metrics are not served, though they should be.
    pub metrics_problem: Option<String>,
}

/// What answers are made from.
#[derive(Clone)]
pub struct Services {
    /// Who reads the policy file.
    pub policy: Address<policy::Message>,
    /// Who knows whose connections are.
    pub process: Address<process::Message>,
    /// Who asks the user.
    pub prompt: Address<prompt::Message>,
    /// Who decides.
    pub verdict: Address<verdict::Message>,
    /// Who knows connections.
    pub datapath: Address<datapath::Message>,
    /// The policy in force.
    pub snapshot: Published<Snapshot>,
    /// Where the machine is.
    pub surroundings: Published<Surroundings>,
    /// What is known of the keeper.
    pub keeper: Published<KeeperFacts>,
    /// The supervision tree.
    pub introspect: Introspect,
    /// Everything that is counted.
    pub metrics: Metrics,
    /// Where our queues are.
    pub layout: Layout,
    /// When this worker started.
    pub started: Instant,
    /// Version of this worker.
    pub version: &'static str,
}

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// Owns the listeners.
    pub listeners: Lender<Listeners>,
    /// What answers are made from.
    pub services: Services,
}

/// What the component is told by its own accept loops.
pub enum Message {
    /// Somebody connected.
    Accepted(Accepted),
}

/// The component `api`.
pub struct Api {
    server: server::Server,
    room: Arc<Semaphore>,
}

impl Component for Api {
    type Message = Message;
    type Arguments = Arguments;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError(error.to_string());
        let lease = arguments.listeners.lend(context.generation()).map_err(|e| failed(&e))?;
        let (command, metrics) = lease
            .with(|listeners| {
                let metrics = listeners.metrics.as_ref().map(std::net::TcpListener::try_clone);
                Ok::<_, std::io::Error>((listeners.command.try_clone()?, metrics.transpose()?))
            })
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        let problem =
            lease.with(|listeners| listeners.metrics_problem.clone()).map_err(|e| failed(&e))?;
        server::accept(command, metrics, &Arc::new(lease), context.address())
            .map_err(|error| failed(&error))?;
        let upkeep = arguments.services.metrics.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.tidy();
            }
        });
        Ok(Self {
            server: server::Server::new(arguments.services, problem),
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let Message::Accepted(accepted) = message;
        let door = match accepted {
            Accepted::Command(_) => Door::Command,
            Accepted::Metrics(_) => Door::Metrics,
        };
        events::connected(door);
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => self.server.serve(accepted, permit),
            Err(_) => events::refused(door),
        }
        Ok(())
    }
}
