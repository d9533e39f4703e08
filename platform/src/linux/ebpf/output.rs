//! Loads the program on packets that leave: a kind that the library doesn't
//! know, so its instructions are taken from the object and loaded here. Where the kernel has no
//! such programs, another one does the same at the entry of one of its functions.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::maps::MapData;
use aya_obj::Object;
use seawall_ebpf_abi::{Offsets, Plain, names};

use super::load::{OUTPUT_HOOKS, describe};
use super::system::{
    RunFor, attach_to_function, attach_to_netfilter, failed, fill_and_freeze, load_program,
};
use super::{NotesError, offsets};

static OUTPUT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SEAWALL_EBPF_OBJECTS"), "/output.o"));

/// NF_INET_LOCAL_OUT (linux/netfilter.h).
const LOCAL_OUT: u32 = 3;

/// Behind connection tracking (-200), before any rule of `mangle` (-150): linux/netfilter_ipv4.h.
const PRIORITY: i32 = -160;

/// What keeps a program attached, by the hook's name.
type Links = Vec<(&'static str, OwnedFd)>;

/// Maps of the programs on sockets that this one writes, too.
pub(super) struct SharedMaps<'a> {
    pub(super) owners: BorrowedFd<'a>,
    pub(super) tuples: BorrowedFd<'a>,
    pub(super) events: BorrowedFd<'a>,
    pub(super) losses: BorrowedFd<'a>,
}

/// Runs all hooks of netfilter at one place; its first arguments are packet and state.
const RUNS_HOOKS: &str = "nf_hook_slow";

/// Loads a program for packets that leave and attaches it for both families: as a netfilter program,
/// in the network namespace of the calling thread, or where this kernel has none, at the entry of
/// the function that runs the hooks.
pub(super) fn load(
    maps: &SharedMaps<'_>,
    offsets: &Offsets,
    namespace: u64,
) -> Result<Links, NotesError> {
    as_netfilter_program(maps, offsets, namespace).or_else(|first| {
        at_entry(maps, offsets, namespace).map_err(|second| {
            NotesError::Object(format!("{}; {}", describe(&first), describe(&second)))
        })
    })
}

fn as_netfilter_program(
    maps: &SharedMaps<'_>,
    offsets: &Offsets,
    namespace: u64,
) -> Result<Links, NotesError> {
    // The constants are the map's from here on: it goes when program and descriptor are gone.
    let (code, _constants) = relocate("output", maps, offsets, namespace)?;
    let program = load_program(&code, "seawall_output", RunFor::Netfilter)
        .map_err(failed("load a netfilter program (Linux 6.4 has them first)"))?;
    let attach = |(name, family)| {
        attach_to_netfilter(program.as_fd(), family, LOCAL_OUT, PRIORITY)
            .map(|link| (name, link))
            .map_err(failed("attach a netfilter program"))
    };
    OUTPUT_HOOKS.into_iter().map(attach).collect()
}

fn at_entry(maps: &SharedMaps<'_>, offsets: &Offsets, namespace: u64) -> Result<Links, NotesError> {
    let function = offsets::function_of_this_kernel(RUNS_HOOKS)?;
    let (code, _constants) = relocate("output_entry", maps, offsets, namespace)?;
    let program = load_program(&code, "seawall_output", RunFor::CallsOf(function))
        .map_err(failed(format!("load a program for the entry of {RUNS_HOOKS}")))?;
    let link = attach_to_function(program.as_fd())
        .map_err(failed(format!("attach a program to the entry of {RUNS_HOOKS}")))?;
    // One link sees both families: it goes when both descriptors are gone.
    let share = |(name, _)| {
        link.try_clone().map(|link| (name, link)).map_err(failed("keep the link of a program"))
    };
    OUTPUT_HOOKS.into_iter().map(share).collect()
}

/// The instructions of a program, with the maps that they work on.
fn relocate(
    program: &str,
    maps: &SharedMaps<'_>,
    offsets: &Offsets,
    namespace: u64,
) -> Result<(Vec<u8>, Vec<MapData>), NotesError> {
    let object_error = |error: &dyn std::error::Error| NotesError::Object(describe(error));
    let mut object = Object::parse(OUTPUT).map_err(|error| object_error(&error))?;
    let globals = [
        (names::OFFSETS, (offsets.as_bytes(), true)),
        (names::GUARDED, (namespace.as_bytes(), true)),
    ];
    object.patch_map_data(globals.into()).map_err(|error| object_error(&error))?;

    let mut own = Vec::new();
    let mut relocations = Vec::new();
    for (name, map) in &object.maps {
        let descriptor = match name.as_str() {
            names::OWNERS => maps.owners.as_raw_fd(),
            names::TUPLES => maps.tuples.as_raw_fd(),
            names::EVENTS => maps.events.as_raw_fd(),
            names::LOSSES => maps.losses.as_raw_fd(),
            _ => {
                let data = MapData::create(map.clone(), name, None)
                    .map_err(|error| object_error(&error))?;
                let descriptor = data.fd().as_fd();
                if !map.data().is_empty() {
                    fill_and_freeze(descriptor, map.data()).map_err(failed("fill in constants"))?;
                }
                let descriptor = descriptor.as_raw_fd();
                own.push(data);
                descriptor
            }
        };
        relocations.push((name.clone(), descriptor, map.clone()));
    }
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let relocations = relocations.iter().map(|(name, fd, map)| (name.as_str(), *fd, map));
    object.relocate_maps(relocations, &sections).map_err(|error| object_error(&error))?;
    object.relocate_calls(&sections).map_err(|error| object_error(&error))?;

    let found = object.programs.get(program);
    let function = found.and_then(|found| object.functions.get(&found.function_key()));
    let function =
        function.ok_or_else(|| NotesError::Object(format!("there is no program `{program}`")))?;
    let code = function.instructions.iter().flat_map(|instruction| {
        let registers = instruction.dst_reg() | instruction.src_reg() << 4;
        let mut bytes = [instruction.code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&instruction.off.to_ne_bytes());
        bytes[4..8].copy_from_slice(&instruction.imm.to_ne_bytes());
        bytes
    });
    Ok((code.collect(), own))
}
