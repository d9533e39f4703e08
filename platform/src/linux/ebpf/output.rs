//! Loads the program on packets that leave: a kind that the library doesn't
//! know, so its instructions are taken from the object and loaded here.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::maps::MapData;
use aya_obj::Object;
use seawall_ebpf_abi::{Offsets, Plain, names};

use super::NotesError;
use super::load::{OUTPUT_HOOKS, describe};
use super::system::{attach_to_netfilter, failed, fill_and_freeze, load_netfilter_program};

static OUTPUT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SEAWALL_EBPF_OBJECTS"), "/output.o"));

/// NF_INET_LOCAL_OUT (linux/netfilter.h).
const LOCAL_OUT: u32 = 3;

/// Behind connection tracking (-200), before any rule of `mangle` (-150): linux/netfilter_ipv4.h.
const PRIORITY: i32 = -160;

/// Maps of the programs on sockets that this one writes, too.
pub(super) struct SharedMaps<'a> {
    pub(super) owners: BorrowedFd<'a>,
    pub(super) tuples: BorrowedFd<'a>,
}

/// Loads the program and attaches it for both families, in the network namespace of the calling thread.
pub(super) fn load(
    maps: &SharedMaps<'_>,
    offsets: &Offsets,
    namespace: u64,
) -> Result<Vec<(&'static str, OwnedFd)>, NotesError> {
    // The constants are the map's from here on: it goes when program and descriptor are gone.
    let (code, _constants) = relocate(maps, offsets, namespace)?;
    let program = load_netfilter_program(&code, "seawall_output")
        .map_err(failed("load a netfilter program (Linux 6.4 has them first)"))?;
    let attach = |(name, family)| {
        attach_to_netfilter(program.as_fd(), family, LOCAL_OUT, PRIORITY)
            .map(|link| (name, link))
            .map_err(failed("attach a netfilter program"))
    };
    OUTPUT_HOOKS.into_iter().map(attach).collect()
}

/// The instructions, with the maps that they work on.
fn relocate(
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

    let program = object.programs.get("output");
    let function = program.and_then(|program| object.functions.get(&program.function_key()));
    let function =
        function.ok_or_else(|| NotesError::Object("there is no program `output`".to_owned()))?;
    let code = function.instructions.iter().flat_map(|instruction| {
        let registers = instruction.dst_reg() | instruction.src_reg() << 4;
        let mut bytes = [instruction.code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&instruction.off.to_ne_bytes());
        bytes[4..8].copy_from_slice(&instruction.imm.to_ne_bytes());
        bytes
    });
    Ok((code.collect(), own))
}
