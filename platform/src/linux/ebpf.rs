//! Notes that programs in the kernel take: who owns which socket, before a
//! packet of it can be judged, and how much it moves (`ebpf/` holds the programs).
//!
//! Loaded once, by the first worker; maps and links are descriptors that
//! outlive it. Whatever hook a kernel doesn't have is named, with what goes without it: then
//! the socket tables are asked instead.

mod btf;
mod calls;
mod cgroup;
mod events;
mod load;
mod lookup;
mod offsets;
mod output;
mod system;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use seawall_ebpf_abi::{
    Listener, OwnerRecord, ProcessId, ProcessRecord, Traffic, Tuple, loss, names,
};
use seawall_messages::process::HookStatus;

use self::calls::Calls;
use self::system::Map;

pub use self::events::{Event, Events};
pub use self::load::{CountIn, load};
pub use self::lookup::{is_of, owner_of, traffic_of};
pub use seawall_ebpf_abi as abi;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The kernel doesn't describe itself, or not as it has to.
    #[error("the kernel's description of itself (BTF) is of no use: {0}")]
    Btf(String),
    /// The object can't be loaded.
    #[error("can't load the programs: {0}")]
    Object(String),
    /// The kernel refused something.
    #[error("can't {doing}")]
    System {
        /// What was attempted.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// The maps, to look things up. Cheap to clone, for any thread.
#[derive(Debug)]
pub struct Notes {
    owners: Map<u64, OwnerRecord>,
    tuples: Map<Tuple, OwnerRecord>,
    listeners: Map<Listener, OwnerRecord>,
    processes: Map<ProcessId, ProcessRecord>,
    traffic: Map<u64, Traffic>,
    losses: Map<u32, u64>,
    events: OwnedFd,
    calls: Calls,
    namespace: u64,
    hooks: Vec<HookStatus>,
}

/// What the descriptors of maps and links are called when they are kept.
/// Carries what the object was made from: those of another are of no use.
pub const KEPT_PREFIX: &str = concat!("ebpf/", env!("SEAWALL_EBPF_ID"), "/");

/// What those of any object begin with.
pub const ANY_KEPT_PREFIX: &str = "ebpf/";

impl Notes {
    /// Takes up the maps and links of an earlier worker. `None` where they
    /// aren't all there; what is there is then left.
    pub fn take_up(kept: &mut BTreeMap<String, OwnedFd>) -> Option<Result<Self, NotesError>> {
        let name_of = |map: &str| format!("{KEPT_PREFIX}map/{map}");
        if !names::MAPS.iter().all(|map| kept.contains_key(&name_of(map))) {
            return None;
        }
        let maps = names::MAPS.map(|map| kept.remove(&name_of(map)));
        let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g), Some(h)] = maps else {
            return None;
        };
        let maps = [a, b, c, d, e, f, g, h];
        let links = format!("{KEPT_PREFIX}link/");
        let attached: Vec<_> =
            kept.keys().filter_map(|name| name.strip_prefix(&links)).map(str::to_owned).collect();
        let hooks = load::hooks_with(&attached);
        Some(Self::from_maps(maps, hooks))
    }

    fn from_maps(
        maps: [OwnedFd; names::MAPS.len()],
        hooks: Vec<HookStatus>,
    ) -> Result<Self, NotesError> {
        let [owners, tuples, listeners, processes, traffic, losses, events, calls] = maps;
        Ok(Self {
            owners: Map::new(owners),
            tuples: Map::new(tuples),
            listeners: Map::new(listeners),
            processes: Map::new(processes),
            traffic: Map::new(traffic),
            losses: Map::new(losses),
            events,
            calls: Calls::open(calls).map_err(system::failed("map the latest calls"))?,
            namespace: system::own_namespace_cookie()?,
            hooks,
        })
    }

    /// Which hooks are there, and what goes without the others.
    pub fn hooks(&self) -> &[HookStatus] {
        &self.hooks
    }

    /// Whether bytes are counted both ways, socket by socket.
    pub fn counts_traffic(&self) -> bool {
        let counts = |hook: &HookStatus| load::COUNTING_HOOKS.contains(&hook.name.as_str());
        self.hooks.iter().all(|hook| hook.missing.is_none() || !counts(hook))
    }

    /// Whether it is told when a datagram socket closes.
    pub fn tells_of_closed(&self) -> bool {
        let tells = |hook: &HookStatus| hook.name == load::TELLS_OF_CLOSED;
        self.hooks.iter().any(|hook| tells(hook) && hook.missing.is_none())
    }

    /// A process that used the network; `None` if it is not remembered any more, or being noted this
    /// very moment.
    pub fn process(&self, process: &ProcessId) -> Option<Box<ProcessRecord>> {
        let found = self.processes.get(process).ok().flatten();
        found.filter(|record| record.process == *process).map(Box::new)
    }

    /// Forgets a process that is gone, so that there is room for others.
    pub fn forget_process(&self, process: &ProcessId) -> Result<(), NotesError> {
        self.processes.remove(process).map_err(system::failed("forget a process"))
    }

    /// The owner of a socket, by its cookie.
    pub fn socket(&self, cookie: u64) -> Option<OwnerRecord> {
        self.owners.get(&cookie).ok().flatten()
    }

    /// This very process, as the programs note it. It is made to use the
    /// network for that, without a packet; `None` where the programs miss it.
    pub fn own_record(&self) -> Option<Box<ProcessRecord>> {
        let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = socket.local_addr().ok()?.port();
        let listener = Listener {
            address: std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets(),
            namespace: self.namespace,
            port,
            protocol: 17,
            padding: [0; 5],
        };
        let owner = self.listeners.get(&listener).ok().flatten()?;
        self.process(&owner.process)
    }

    /// What a socket moved.
    pub fn traffic(&self, cookie: u64) -> Option<Traffic> {
        self.traffic.get(&cookie).ok().flatten()
    }

    /// What all sockets moved, by their cookies.
    pub fn all_traffic(&self) -> Result<Vec<(u64, Traffic)>, NotesError> {
        self.traffic.all().map_err(system::failed("read what sockets moved"))
    }

    /// How much was lost of each kind, in the order of [`abi::loss`].
    pub fn losses(&self) -> [u64; loss::COUNT as usize] {
        let mut counts = [0; loss::COUNT as usize];
        for (kind, count) in (0_u32..).zip(&mut counts) {
            *count = self.losses.sum_over_processors(kind).unwrap_or(0);
        }
        counts
    }

    /// The events that nobody took yet. One taker at a time.
    pub fn events(&self) -> Result<Events, NotesError> {
        Events::open(&self.events)
    }
}
