//! The conversation with `process`: which program owns a connection, and how much it moves.

mod app;
mod usage;

use std::fmt;
use std::sync::Arc;

use seawall_runtime::Reply;
use serde::{Deserialize, Serialize};

use crate::explain::{Described, Whom};
use crate::flow::Flow;

pub use self::app::{App, AppKind};
pub use self::usage::{AppMoves, AppUse, FlowUse, Moves, Rates, SocketMoves, Traffic};

/// Names a process beyond the reuse of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Its id in the root pid namespace: of the process, not of a thread.
    pub pid: u32,
    /// When it started, in hundredths of a second since boot, as in field 22 of
    /// `/proc/PID/stat` (proc(5)).
    pub started_ticks: u64,
    /// Counts the programs that it has been: changes at each exec, which
    /// neither id nor start do. `None` where `/proc` told of the process, which doesn't say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exec_id: Option<u32>,
}

/// How the owner of a connection was found. Each is tried where the one before knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The kernel noted who connected a TCP socket.
    Connect,
    /// The kernel noted who sent a datagram.
    Send,
    /// The kernel noted whose socket a packet left.
    Output,
    /// The kernel noted whose packet left another network namespace: a container's.
    Egress,
    /// The kernel noted who listens, or is bound, at the called port.
    Listen,
    /// The kernel noted whose socket closed.
    Release,
    /// The socket tables (sock_diag) name a socket that the kernel noted the owner of.
    SocketTable,
    /// The socket tables name a socket, and `/proc` who has it open.
    OpenFiles,
    /// A forwarded connection: who has the address of its caller.
    Address,
    /// Nobody knows.
    Unidentified,
}

impl Method {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Send,
        Self::Output,
        Self::Egress,
        Self::Listen,
        Self::Release,
        Self::SocketTable,
        Self::OpenFiles,
        Self::Address,
        Self::Unidentified,
    ];

    /// The method as shown to people and used in JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Output => "output",
            Self::Egress => "egress",
            Self::Listen => "listen",
            Self::Release => "release",
            Self::SocketTable => "socket_table",
            Self::OpenFiles => "open_files",
            Self::Address => "address",
            Self::Unidentified => "unidentified",
        }
    }
}

/// Who opened a socket or used it last, as the kernel noted it before the packet left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The process.
    pub process: ProcessKey,
    /// The socket's cookie (SO_COOKIE); 0 where it has none.
    pub cookie: u64,
    /// User id of the process.
    pub uid: u32,
    /// How it was found.
    pub method: Method,
}

/// A process as the kernel and `/proc` describe it, with the app that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which one.
    pub key: ProcessKey,
    /// Its parent's id; 0 where it has none, or nobody knows.
    pub parent_pid: u32,
    /// User id: the effective one.
    pub uid: u32,
    /// The file that it runs, as a rule means it: a path of the host. A file
    /// of a container begins with the container (`docker:NAME:/usr/bin/curl`), so that it is
    /// never taken for a host's. Empty for the kernel's own threads.
    pub path: Arc<str>,
    /// Whether the file is gone or was replaced since it was started.
    pub deleted: bool,
    /// Program and arguments, as far as they could be read.
    pub command_line: Vec<String>,
    /// Path of the parent's file; empty where it is not known.
    pub parent_path: Arc<str>,
    /// The programs that started it, the nearest first; at most [`MOST_ANCESTORS`], of which none
    /// has its own. Only where the policy may look at them.
    #[serde(skip)]
    pub ancestors: Vec<Arc<Process>>,
    /// Control group below the root of its hierarchy, such as `/system.slice/ssh.service`; empty where it is not known.
    pub cgroup: Arc<str>,
    /// SHA-256 of the file, in hexadecimal; only where a rule asks for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Arc<str>>,
    /// What people call it.
    pub app: App,
}

impl Process {
    /// One of which no more is known than its app, and its path where that isn't empty.
    pub fn made_up(app: App, path: &str) -> Self {
        Self {
            key: ProcessKey { pid: 0, started_ticks: 0, exec_id: None },
            parent_pid: 0,
            uid: 0,
            path: Arc::from(path),
            deleted: false,
            command_line: Vec::new(),
            parent_path: Arc::from(""),
            ancestors: Vec::new(),
            cgroup: Arc::from(""),
            sha256: None,
            app,
        }
    }
}

/// Most programs that are looked through for one that something is said of.
pub const MOST_ANCESTORS: usize = 8;

/// The answer to "whose connection is this?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// How it was found.
    pub method: Method,
    /// The process. `None` where nobody knows; with a method other than
    /// `unidentified`, somebody's who is gone before anything was known but the id: never to
    /// be taken for nobody's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<Arc<Process>>,
}

impl Attribution {
    /// Nobody knows.
    pub fn unidentified() -> Self {
        Self { method: Method::Unidentified, process: None }
    }

    /// Whether it is somebody's of whom nothing is known.
    pub fn is_withheld(&self) -> bool {
        self.process.is_none() && self.method != Method::Unidentified
    }

    /// What the connection counts for.
    pub fn app(&self) -> App {
        self.process.as_ref().map_or_else(App::unidentified, |process| process.app.clone())
    }
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.started_ticks)
    }
}

/// One way of finding owners, for `seawall status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// Its name.
    pub name: String,
    /// Why it isn't there; `None` where it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
    /// What goes without it.
    pub serves: String,
}

/// A question about one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The connection.
    pub flow: Flow,
    /// What the kernel noted, where the asker looked already.
    pub owner: Option<Owner>,
    /// User id of the socket, where the packet told it.
    pub uid: Option<u32>,
}

/// What `process` is asked and told.
#[derive(Debug)]
pub enum Message {
    /// From `verdict`, for a connection whose app matters. Asking again is safe.
    Identify {
        /// The connection.
        question: Question,
        /// Its owner.
        reply: Reply<Attribution>,
    },
    /// From `verdict`, for live connections after a policy change; at most
    /// [`MAX_BATCH`](crate::verdict::MAX_BATCH). Asking again is safe.
    IdentifyAll {
        /// The connections.
        questions: Vec<Question>,
        /// An owner for each, in the same order.
        reply: Reply<Vec<Attribution>>,
    },
    /// From `datapath`: connections decided of late, so that their owner is noted while it is known. Telemetry: may be lost.
    Decided(Vec<Question>),
    /// From `api`. Asking again is safe.
    Uses {
        /// The connections.
        flows: Vec<Flow>,
        /// What is known of each, in the same order.
        reply: Reply<Vec<FlowUse>>,
    },
    /// From `api`, for who follows along. Traffic is looked at if the last look is a
    /// while ago. Asking again is safe.
    Moves {
        /// Connections whose owner is asked for.
        flows: Vec<Flow>,
        /// The number of the answer before, or 0.
        since: u64,
        /// What is known of each connection, in the same order; and what moved since.
        reply: Reply<(Vec<FlowUse>, Moves)>,
    },
    /// From `api`. Asking again is safe.
    Apps {
        /// The connections that are open.
        open: Vec<Flow>,
        /// Apps on the network, busiest first.
        reply: Reply<Vec<AppUse>>,
    },
    /// From `api`. Asking again is safe.
    Hooks {
        /// How owners are found here.
        reply: Reply<Vec<HookStatus>>,
    },
    /// From `verdict`, for an explanation: what is known of somebody, or follows
    /// from what was said of them. Asking again is safe.
    Describe {
        /// Whom.
        whom: Whom,
        /// The process, or why there is none.
        reply: Reply<Result<Described, String>>,
    },
    /// From its own watcher: the kernel has something to tell.
    EventsWait,
    /// From its own clock: time to look at traffic.
    LookAgain,
}

/// Tells who owns a connection by what the kernel noted, or by what was found of its process before. A look costs
/// microseconds and waits for nobody, so it is taken where the packet is.
pub trait Owners: Send + Sync {
    /// Whose this flow is; `None` where that isn't known here. `uid`: the user that the kernel says sent the packet.
    fn owner(&self, flow: &Flow, uid: Option<u32>) -> Option<Owner>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Arc<Process> {
        let text = || Arc::from("");
        Arc::new(Process {
            key: ProcessKey { pid: 7, started_ticks: 1, exec_id: None },
            parent_pid: 0,
            uid: 0,
            path: text(),
            deleted: false,
            command_line: Vec::new(),
            parent_path: text(),
            ancestors: Vec::new(),
            cgroup: text(),
            sha256: None,
            app: App { id: text(), kind: AppKind::Path, name: text(), icon: None },
        })
    }

    #[test]
    fn somebodys_of_whom_nothing_is_known_is_withheld() {
        for method in Method::ALL {
            let is_noted = method != Method::Unidentified;
            assert_eq!(Attribution { method, process: None }.is_withheld(), is_noted, "{method:?}");
            let known = Attribution { method, process: Some(process()) };
            assert!(!known.is_withheld(), "{method:?}");
        }
        assert!(!Attribution::unidentified().is_withheld());
    }

    #[test]
    fn what_nobody_is_known_to_own_counts_as_unidentified() {
        let withheld = Attribution { method: Method::Send, process: None };
        assert_eq!(withheld.app(), App::unidentified());
        let known = Attribution { method: Method::Send, process: Some(process()) };
        assert_eq!(known.app().kind, AppKind::Path);
    }
}
