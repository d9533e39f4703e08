//! The few bpf(2) calls that are made for each question, and those that the library has no face for.
#![allow(unsafe_code, reason = "bpf(2) has no safe face")]

use std::io::{Error, ErrorKind, Result};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use seawall_ebpf_abi::Plain;

use super::NotesError;

/// Commands of bpf(2) (linux/bpf.h, enum bpf_cmd).
const MAP_LOOKUP: libc::c_int = 1;
const MAP_UPDATE: libc::c_int = 2;
const MAP_DELETE: libc::c_int = 3;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const MAP_FREEZE: libc::c_int = 22;
const LINK_CREATE: libc::c_int = 28;

/// BPF_PROG_TYPE_NETFILTER and BPF_NETFILTER.
const NETFILTER_PROGRAM: u32 = 32;
const NETFILTER_ATTACH: u32 = 45;

/// BPF_PROG_TYPE_TRACING and BPF_TRACE_FENTRY.
const TRACING_PROGRAM: u32 = 26;
const ENTRY_ATTACH: u32 = 24;

/// SO_NETNS_COOKIE (asm-generic/socket.h).
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Entries in one walk through a map: as many as the largest has, and some that change meanwhile.
const MOST_ENTRIES: usize = 131_072;

/// A key that the kernel and we keep in the same bytes.
pub(super) trait Bytes: Copy {
    /// As bytes.
    fn bytes(&self) -> &[u8];
    /// From bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl<T: Plain> Bytes for T {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        T::from_bytes(bytes)
    }
}

/// A map of these keys and values.
#[derive(Debug)]
pub(super) struct Map<K, V> {
    fd: OwnedFd,
    kinds: PhantomData<fn(K) -> V>,
}

/// `union bpf_attr` for elements of maps.
#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl<K: Bytes, V: Bytes> Map<K, V> {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, kinds: PhantomData }
    }

    pub(super) fn get(&self, key: &K) -> Result<Option<V>> {
        let mut value = vec![0_u8; size_of::<V>()];
        self.get_into(key, &mut value).map(|found| found.then(|| V::read(&value)).flatten())
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, key: &K) -> Result<()> {
        let element = Element {
            map: self.fd.as_raw_fd() as u32,
            key: key.bytes().as_ptr() as u64,
            ..Element::default()
        };
        match call(MAP_DELETE, &element) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The sum of a number that each processor keeps for itself.
    pub(super) fn sum_over_processors(&self, key: K) -> Result<u64> {
        // Each value takes a multiple of eight bytes, one for each possible processor.
        const MOST_PROCESSORS: usize = 8192;
        let mut values = vec![0_u8; MOST_PROCESSORS * size_of::<u64>()];
        self.get_into(&key, &mut values)?;
        let numbers = values.chunks_exact(size_of::<u64>()).filter_map(u64::from_bytes);
        Ok(numbers.fold(0, u64::wrapping_add))
    }

    fn get_into(&self, key: &K, value: &mut [u8]) -> Result<bool> {
        let element = Element {
            map: self.fd.as_raw_fd() as u32,
            key: key.bytes().as_ptr() as u64,
            value: value.as_mut_ptr() as u64,
            ..Element::default()
        };
        match call(MAP_LOOKUP, &element) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All entries. One that comes or goes meanwhile may be missing, or there twice.
    pub(super) fn all(&self) -> Result<Vec<(K, V)>> {
        let mut entries = Vec::new();
        let mut next = vec![0_u8; size_of::<K>()];
        let mut key: Option<Vec<u8>> = None;
        for _ in 0..MOST_ENTRIES {
            let element = Element {
                map: self.fd.as_raw_fd() as u32,
                key: key.as_ref().map_or(0, |key| key.as_ptr() as u64),
                value: next.as_mut_ptr() as u64,
                ..Element::default()
            };
            match call(MAP_GET_NEXT_KEY, &element) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
            if let Some(found) = K::read(&next)
                && let Some(value) = self.get(&found)?
            {
                entries.push((found, value));
            }
            key = Some(next.clone());
        }
        Ok(entries)
    }
}

/// Writes the one value of an array, and forbids to write it again.
pub(super) fn fill_and_freeze(map: BorrowedFd<'_>, value: &[u8]) -> Result<()> {
    let key = 0_u32;
    let element = Element {
        map: map.as_raw_fd() as u32,
        key: key.as_bytes().as_ptr() as u64,
        value: value.as_ptr() as u64,
        ..Element::default()
    };
    call(MAP_UPDATE, &element)?;
    call(MAP_FREEZE, &Element { map: map.as_raw_fd() as u32, ..Element::default() })?;
    Ok(())
}

/// `union bpf_attr` for links.
#[repr(C)]
#[derive(Default)]
struct LinkAttributes {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    family: u32,
    hook: u32,
    priority: i32,
    netfilter_flags: u32,
}

/// Attaches a program to a control group. Gone when the descriptor and all its copies are.
pub(super) fn attach_to_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> Result<OwnedFd> {
    let attributes = LinkAttributes {
        program: program.as_raw_fd() as u32,
        target: cgroup.as_raw_fd() as u32,
        attach_type,
        ..LinkAttributes::default()
    };
    call(LINK_CREATE, &attributes).and_then(owned)
}

/// Attaches a netfilter program to a hook of the network namespace of the calling thread.
pub(super) fn attach_to_netfilter(
    program: BorrowedFd<'_>,
    family: u32,
    hook: u32,
    priority: i32,
) -> Result<OwnedFd> {
    let attributes = LinkAttributes {
        program: program.as_raw_fd() as u32,
        attach_type: NETFILTER_ATTACH,
        family,
        hook,
        priority,
        ..LinkAttributes::default()
    };
    call(LINK_CREATE, &attributes).and_then(owned)
}

/// Attaches a program to the function that it was loaded for.
pub(super) fn attach_to_function(program: BorrowedFd<'_>) -> Result<OwnedFd> {
    /// `union bpf_attr` for BPF_RAW_TRACEPOINT_OPEN; the function has no name here.
    #[repr(C)]
    struct Attributes {
        name: u64,
        program: u32,
        padding: u32,
    }
    let attributes = Attributes { name: 0, program: program.as_raw_fd() as u32, padding: 0 };
    call(RAW_TRACEPOINT_OPEN, &attributes).and_then(owned)
}

/// `union bpf_attr` for programs, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct ProgramAttributes {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_record_bytes: u32,
    functions: u64,
    function_count: u32,
    line_record_bytes: u32,
    lines: u64,
    line_count: u32,
    attach_to_type: u32,
}

/// What a program is run for.
#[derive(Clone, Copy)]
pub(super) enum RunFor {
    /// Packets at a hook of netfilter.
    Netfilter,
    /// Each call of a function of the kernel, by the number of its type.
    CallsOf(u32),
}

/// Loads a program. `code` is its instructions, eight bytes each.
pub(super) fn load_program(code: &[u8], name: &str, run_for: RunFor) -> Result<OwnedFd> {
    let (kind, attach_type, attach_to_type) = match run_for {
        RunFor::Netfilter => (NETFILTER_PROGRAM, NETFILTER_ATTACH, 0),
        RunFor::CallsOf(function) => (TRACING_PROGRAM, ENTRY_ATTACH, function),
    };
    let mut attributes = ProgramAttributes {
        kind,
        instructions: (code.len() / 8) as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        attach_type,
        attach_to_type,
        ..ProgramAttributes::default()
    };
    // The last byte stays zero.
    for (field, byte) in attributes.name.iter_mut().take(15).zip(name.bytes()) {
        *field = byte;
    }
    call(PROG_LOAD, &attributes).and_then(owned)
}

/// The cookie of the network namespace of the calling thread.
pub(super) fn own_namespace_cookie() -> std::result::Result<u64, NotesError> {
    let cookie = || -> Result<u64> {
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )?;
        let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
        // SAFETY: both pointers are to values that outlive the call, and the
        // length is that of the first.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        if failed == 0 { Ok(cookie) } else { Err(Error::last_os_error()) }
    };
    cookie().map_err(failed("tell this network namespace from others"))
}

pub(super) fn failed(doing: impl Into<String>) -> impl FnOnce(Error) -> NotesError {
    let doing = doing.into();
    move |source| NotesError::System { doing, source }
}

/// bpf(2). `T` is the part of `union bpf_attr` that the command looks at.
fn call<T>(command: libc::c_int, attributes: &T) -> Result<i32> {
    // SAFETY: `attributes` is as long as is said and outlives the call; the
    // pointers in it, set by the functions above, are to memory that does so, too, of
    // the sizes that the map was made with.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            core::ptr::from_ref(attributes),
            size_of::<T>() as libc::c_uint,
        )
    };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result as i32) }
}

fn owned(descriptor: i32) -> Result<OwnedFd> {
    // SAFETY: the kernel just gave it to us (close-on-exec, as all of bpf(2)'s).
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
