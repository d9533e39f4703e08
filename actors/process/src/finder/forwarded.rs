//! Whose a forwarded connection is, where the kernel noted nothing: by the
//! address that calls. In another network namespace that is the socket's
//! owner, or the container as a whole; behind a tap, the virtual machine.
//!
//! Who may send under others' addresses passes for them here, as a container with
//! raw sockets does on most bridges. Notes of the kernel aren't fooled so.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_messages::process::{App, AppKind, Attribution, Method, Process, Question};
use seawall_messages::{Direction, Flow, Snapshot, Transport};
use seawall_platform::linux::neighbours::interface_towards;
use seawall_platform::linux::processes::{self, NetworkNamespace};

use super::{Finder, Found};
use crate::events;

/// A look at all namespaces holds for so many times what it took, also for addresses that nobody
/// has, and at least and at most so long: a container may call right after it was started.
const LOOK_HOLDS: u32 = 20;
const HOLDS_AT_LEAST: Duration = Duration::from_millis(50);
const HOLDS_AT_MOST: Duration = Duration::from_secs(1);
/// Addresses whose taps are remembered for that time.
const MOST_ADDRESSES: usize = 1_024;

/// Whose addresses are whose, as of late.
#[derive(Default)]
pub(super) struct Neighbourhood {
    namespaces: Vec<NetworkNamespace>,
    /// When it is looked again.
    until: Option<Instant>,
    /// Processes that have the tap which leads to an address.
    taps: HashMap<IpAddr, Vec<u32>>,
}

impl Neighbourhood {
    fn refresh(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        self.taps.clear();
        self.namespaces = processes::network_namespaces()
            .inspect_err(events::processes_failed)
            .unwrap_or_default();
        let holds = now.elapsed().saturating_mul(LOOK_HOLDS);
        self.until = Some(now + holds.clamp(HOLDS_AT_LEAST, HOLDS_AT_MOST));
    }

    /// The one namespace that has the address, with a process that is in it now.
    fn namespace_of(&mut self, address: IpAddr, now: Instant) -> Option<(NetworkNamespace, u32)> {
        let namespace = self.namespace_seen(address)?;
        if let Some(witness) = witness_of(&namespace) {
            return Some((namespace, witness));
        }
        // Those who were in it are gone.
        self.until = None;
        self.refresh(now);
        let namespace = self.namespace_seen(address)?;
        let witness = witness_of(&namespace)?;
        Some((namespace, witness))
    }

    fn namespace_seen(&self, address: IpAddr) -> Option<NetworkNamespace> {
        let mut with_it = self.namespaces.iter().filter(|of| of.addresses.contains(&address));
        let first = with_it.next()?;
        with_it.next().is_none().then(|| first.clone())
    }

    fn tap_owners(&mut self, address: IpAddr) -> Vec<u32> {
        if let Some(known) = self.taps.get(&address) {
            return known.clone();
        }
        let interface = interface_towards(address).inspect_err(events::neighbours_failed);
        let owners = match interface.ok().flatten() {
            Some(name) => processes::owners_of_tap(&name)
                .inspect_err(events::processes_failed)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        if self.taps.len() < MOST_ADDRESSES {
            self.taps.insert(address, owners.clone());
        }
        owners
    }
}

impl Finder {
    /// Who has the address that a forwarded connection comes from.
    pub(super) fn by_address(&mut self, question: &Question, snapshot: &Snapshot) -> Option<Found> {
        let flow = &question.flow;
        if flow.direction != Direction::Forwarded {
            return None;
        }
        let now = Instant::now();
        self.neighbourhood.refresh(now);
        let (method, process) = match self.neighbourhood.namespace_of(flow.initiator, now) {
            Some((namespace, witness)) => self.in_namespace(&namespace, witness, flow, snapshot)?,
            None => (Method::Address, self.behind_tap(flow.initiator, snapshot)?),
        };
        Some(Found { attribution: Attribution { method, process: Some(process) }, cookie: None })
    }

    fn in_namespace(
        &mut self,
        namespace: &NetworkNamespace,
        witness: u32,
        flow: &Flow,
        snapshot: &Snapshot,
    ) -> Option<(Method, Arc<Process>)> {
        if let Some(process) = self.by_foreign_socket(witness, flow, snapshot) {
            return Some((Method::OpenFiles, process));
        }
        let members = namespace.members.iter();
        let members: Vec<_> =
            members.filter_map(|pid| self.roster.of_pid(*pid, snapshot)).collect();
        let whole = if namespace.has_more { None } else { container_of(&members) };
        whole.map(|container| (Method::Address, Arc::new(container)))
    }

    fn by_foreign_socket(
        &mut self,
        witness: u32,
        flow: &Flow,
        snapshot: &Snapshot,
    ) -> Option<Arc<Process>> {
        let Transport::Ports { initiator, responder } = flow.transport else { return None };
        let own = SocketAddr::new(flow.initiator, initiator);
        let other = SocketAddr::new(flow.responder, responder);
        let socket = processes::socket_seen_by(witness, flow.protocol, own, other)?;
        self.by_open_files(&socket, (own, other), snapshot)
    }

    /// The one program that answers behind a tap.
    fn behind_tap(&mut self, address: IpAddr, snapshot: &Snapshot) -> Option<Arc<Process>> {
        let owners = self.neighbourhood.tap_owners(address);
        let mut owners = owners.iter().filter_map(|pid| self.roster.of_pid(*pid, snapshot));
        let first = owners.next()?;
        owners.all(|other| other.path == first.path && other.app == first.app).then_some(first)
    }
}

fn witness_of(namespace: &NetworkNamespace) -> Option<u32> {
    let is_there = |pid: &u32| processes::network_namespace_of(*pid) == Some(namespace.inode);
    namespace.members.iter().copied().find(is_there)
}

/// The container that all of these are in, as if it were one program: its first process with
/// the container's path (`docker:web:`) and app, and no file. `None` where they aren't in one.
fn container_of(members: &[Arc<Process>]) -> Option<Process> {
    let first = members.first()?;
    let prefix = container_prefix(first)?;
    if !members.iter().all(|member| container_prefix(member) == Some(prefix)) {
        return None;
    }
    let place = prefix.trim_end_matches(':');
    Some(Process {
        path: Arc::from(prefix),
        command_line: Vec::new(),
        sha256: None,
        app: App {
            id: Arc::from(format!("container:{}", place.replacen(':', "/", 1))),
            kind: AppKind::Container,
            name: Arc::from(format!("Container {}", place.replacen(':', " ", 1))),
            icon: None,
        },
        ..Process::clone(first)
    })
}

/// `docker:web:` of `docker:web:/usr/bin/curl`.
fn container_prefix(process: &Process) -> Option<&str> {
    let is_contained = process.app.kind == AppKind::Container;
    let end = process.path.find(":/").filter(|_| is_contained)?;
    process.path.get(..=end)
}

#[cfg(test)]
mod tests {
    use seawall_messages::process::ProcessKey;

    use super::*;

    fn process(path: &str, kind: AppKind) -> Arc<Process> {
        let app = App { id: Arc::from("x"), kind, name: Arc::from("x"), icon: None };
        Arc::new(Process {
            key: ProcessKey { pid: 7, started_ticks: 1, exec_id: None },
            parent_pid: 1,
            uid: 0,
            path: Arc::from(path),
            deleted: false,
            command_line: vec!["x".to_owned()],
            parent_path: Arc::from(""),
            ancestors: Vec::new(),
            cgroup: Arc::from("/docker/x"),
            sha256: None,
            app,
        })
    }

    #[test]
    fn a_container_is_named_only_if_all_are_in_it() {
        let inside = |path| process(path, AppKind::Container);
        let cases = [
            (
                vec![inside("docker:web:/bin/sh"), inside("docker:web:/usr/bin/curl")],
                Some(("docker:web:", "container:docker/web", "Container docker web")),
            ),
            (
                vec![inside("podman@1000:db:/bin/sh")],
                Some(("podman@1000:db:", "container:podman@1000/db", "Container podman@1000 db")),
            ),
            (
                vec![inside("unknown:/bin/sh")],
                Some(("unknown:", "container:unknown", "Container unknown")),
            ),
            (vec![inside("docker:web:/bin/sh"), inside("docker:db:/bin/sh")], None),
            (vec![inside("docker:web:/bin/sh"), process("/bin/sh", AppKind::Path)], None),
            (vec![process("/bin/sh", AppKind::Path)], None),
            (vec![inside("docker:web:memfd:x")], None),
            (vec![], None),
        ];
        for (members, expected) in cases {
            let found = container_of(&members);
            let shown = found.as_ref().map(|of| (&*of.path, &*of.app.id, &*of.app.name));
            assert_eq!(shown, expected, "{members:?}");
            assert!(found.is_none_or(|of| of.command_line.is_empty()));
        }
    }
}
