//! Loads the programs and attaches them, as many as this kernel takes.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use seawall_ebpf_abi::{Plain, names};
use seawall_messages::process::HookStatus;

use super::system::{self, attach_to_cgroup, failed};
use super::{KEPT_PREFIX, Notes, NotesError, cgroup, offsets, output};

/// The programs on sockets, as they were compiled. See `ebpf/README.md`.
static SOCKETS: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SEAWALL_EBPF_OBJECTS"), "/sockets.o"));

/// A program, where it is attached (linux/bpf.h, enum bpf_attach_type), and what it is for.
struct Hook {
    program: &'static str,
    attach_type: u32,
    serves: &'static str,
}

/// The hook at which a socket's end is told of.
pub(super) const TELLS_OF_CLOSED: &str = "sock_release";

const HOOKS: [Hook; 11] = [
    hook("sock_create", 2, "owners of raw sockets and of ping"),
    hook("connect4", 10, "owners of connected UDP sockets"),
    hook("connect6", 11, "owners of connected UDP sockets (IPv6)"),
    hook("sendmsg4", 14, "owners of UDP datagrams"),
    hook("sendmsg6", 15, "owners of UDP datagrams (IPv6)"),
    hook("post_bind4", 12, "owners of UDP services"),
    hook("post_bind6", 13, "owners of UDP services (IPv6)"),
    hook("tcp", 3, "owners of TCP connections and services"),
    hook(TELLS_OF_CLOSED, 34, "owners of sockets that closed at once"),
    hook("ingress", 0, "bytes received"),
    hook("egress", 1, "bytes sent, and owners in containers"),
];

/// Where bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountIn {
    /// In these programs, by socket.
    Programs,
    /// Elsewhere, or nowhere.
    Elsewhere,
}

/// Those that count bytes.
pub(super) const COUNTING_HOOKS: [&str; 2] = ["ingress", "egress"];

/// The one that does nothing else.
const ONLY_COUNTS: &str = "ingress";

/// Programs on packets that leave, one link a family.
pub(super) const OUTPUT_HOOKS: [(&str, u32); 2] = [("output4", 2), ("output6", 10)];

const OUTPUT_SERVES: &str = "owners of connected UDP, ping and raw packets";

const fn hook(program: &'static str, attach_type: u32, serves: &'static str) -> Hook {
    Hook { program, attach_type, serves }
}

/// Loads all and attaches all. Gives the notes, and the descriptors to keep:
/// without them, all is detached. Needs BPF, PERFMON and NET_ADMIN, and SYS_ADMIN where no mount
/// shows the control groups.
pub fn load(count_in: CountIn) -> Result<(Notes, BTreeMap<String, OwnedFd>), NotesError> {
    let offsets = offsets::of_this_kernel()?;
    let namespace = system::own_namespace_cookie()?;
    let counts_sockets = u64::from(count_in == CountIn::Programs);
    let object = |error: aya::EbpfError| NotesError::Object(describe(&error));
    let mut loaded = EbpfLoader::new()
        .btf(None)
        .override_global(names::OFFSETS, offsets.as_bytes(), true)
        .override_global(names::GUARDED, namespace.as_bytes(), true)
        .override_global(names::COUNTS_SOCKETS, counts_sockets.as_bytes(), true)
        .load(SOCKETS)
        .map_err(object)?;
    let root = cgroup::root().map_err(failed("open the root of the control groups"))?;
    let mut kept = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for hook in &HOOKS {
        if hook.program == ONLY_COUNTS && count_in == CountIn::Elsewhere {
            missing.insert(
                hook.program,
                "bytes are not counted by socket: SEAWALL_COUNTING".to_owned(),
            );
            continue;
        }
        match attach(&mut loaded, hook, root.as_fd()) {
            Ok(link) => drop(kept.insert(link_name(hook.program), link)),
            Err(problem) => drop(missing.insert(hook.program, problem)),
        }
    }
    let maps = output::SharedMaps {
        owners: map(&loaded, names::OWNERS)?,
        tuples: map(&loaded, names::TUPLES)?,
        events: map(&loaded, names::EVENTS)?,
        losses: map(&loaded, names::LOSSES)?,
    };
    match output::load(&maps, &offsets, namespace) {
        Ok(links) => kept.extend(links.into_iter().map(|(name, link)| (link_name(name), link))),
        Err(error) => {
            for (name, _) in OUTPUT_HOOKS {
                missing.insert(name, describe(&error));
            }
        }
    }
    let copy = |name: &str| map(&loaded, name)?.try_clone_to_owned().map_err(failed("keep a map"));
    for name in names::MAPS {
        kept.insert(format!("{KEPT_PREFIX}map/{name}"), copy(name)?);
    }
    let [a, b, c, d, e, f, g, h] = names::MAPS.map(copy);
    let own = [a?, b?, c?, d?, e?, f?, g?, h?];
    let hooks = hook_list(|name| missing.get(name).cloned());
    Ok((Notes::from_maps(own, hooks)?, kept))
}

/// The hooks, of which an earlier worker attached these.
pub(super) fn hooks_with(attached: &[String]) -> Vec<HookStatus> {
    hook_list(|name| {
        let is_there = attached.iter().any(|found| found == name);
        (!is_there).then(|| "it was not attached when the programs were loaded".to_owned())
    })
}

fn hook_list(problem: impl Fn(&str) -> Option<String>) -> Vec<HookStatus> {
    let of_cgroups = HOOKS.iter().map(|hook| (hook.program, hook.serves));
    let of_packets = OUTPUT_HOOKS.iter().map(|(name, _)| (*name, OUTPUT_SERVES));
    let status = |(name, serves): (&str, &str)| HookStatus {
        name: name.to_owned(),
        missing: problem(name),
        serves: serves.to_owned(),
    };
    of_cgroups.chain(of_packets).map(status).collect()
}

fn link_name(program: &str) -> String {
    format!("{KEPT_PREFIX}link/{program}")
}

fn attach(loaded: &mut Ebpf, hook: &Hook, root: BorrowedFd<'_>) -> Result<OwnedFd, String> {
    let program = loaded.program_mut(hook.program).ok_or("it is not in the object")?;
    let result = match program {
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        _ => return Err("it is of an unexpected kind".to_owned()),
    };
    result.map_err(|error| describe(&error))?;
    let descriptor = program.fd().map_err(|error| describe(&error))?;
    attach_to_cgroup(descriptor.as_fd(), root, hook.attach_type).map_err(|error| error.to_string())
}

fn map<'a>(loaded: &'a Ebpf, name: &str) -> Result<BorrowedFd<'a>, NotesError> {
    use aya::maps::Map;
    match loaded.map(name) {
        Some(
            Map::LruHashMap(data)
            | Map::RingBuf(data)
            | Map::PerCpuArray(data)
            | Map::Array(data)
            | Map::HashMap(data),
        ) => Ok(data.fd().as_fd()),
        _ => Err(NotesError::Object(format!("there is no map {name}"))),
    }
}

/// An error with its causes, on one line; of a verifier's log the last lines.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    const LONGEST: usize = 600;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let skipped = text.chars().count().saturating_sub(LONGEST);
    text.chars().skip(skipped).map(|c| if c == '\n' { ' ' } else { c }).collect()
}
