//! What the programs in the kernel and user space say to each other: keys and
//! values of maps, events, offsets, names. Plain data of fixed layout, without padding, so
//! that its bytes can be compared and copied.
#![no_std]

mod bytes;
pub mod names;

pub use self::bytes::Plain;

/// Longest path that is noted, in bytes. A longer one is noted as cut.
pub const PATH_BYTES: usize = 512;
/// How much of a process's arguments is noted.
pub const ARGUMENTS_BYTES: usize = 256;
/// Longest working directory that is noted, in bytes.
pub const DIRECTORY_BYTES: usize = 128;
/// Bytes of a thread's name (TASK_COMM_LEN, linux/sched.h).
pub const COMM_BYTES: usize = 16;

/// A process, beyond the reuse of its id: [`ProcessRecord`]s are found by it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// When its first thread started, in nanoseconds since boot (`task_struct.start_boottime`).
    pub started_ns: u64,
    /// Its id in the root pid namespace (`task_struct.tgid`).
    pub pid: u32,
    /// Which program it is: changes at each exec (`task_struct.self_exec_id`).
    pub exec_id: u32,
}

/// Who owns a socket: found by its cookie, beside every tuple, and for every listener.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerRecord {
    /// The process that opened the socket, or used it last.
    pub process: ProcessId,
    /// The socket's cookie.
    pub cookie: u64,
    /// Effective user id of the process.
    pub uid: u32,
    /// Which hook noted it: one of [`hook`].
    pub hook: u32,
}

/// Which hook noted an owner.
pub mod hook {
    /// A socket was made.
    pub const CREATE: u32 = 1;
    /// TCP connects.
    pub const CONNECT: u32 = 2;
    /// A datagram is sent from a socket that is not connected.
    pub const SEND: u32 = 3;
    /// A packet leaves a local socket, before any rule sees it.
    pub const OUTPUT: u32 = 4;
    /// A packet leaves a local socket, on its way to the interface.
    pub const EGRESS: u32 = 5;
    /// A socket listens or is bound.
    pub const LISTEN: u32 = 6;
    /// A socket was accepted.
    pub const ACCEPT: u32 = 7;
    /// A socket closes.
    pub const RELEASE: u32 = 8;
}

/// A packet's or a socket's ends, the sender's first. IPv4 addresses are
/// mapped (RFC 4291, section 2.5.5.2), so that sockets of both families give the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Sender's address, as bytes of the packet.
    pub source: [u8; 16],
    /// Receiver's address.
    pub destination: [u8; 16],
    /// Cookie of the network namespace of the machine's own sockets' tuples; 0 in those of
    /// others, whose packets are met as forwarded ones.
    pub namespace: u64,
    /// Sender's port in host byte order, or the identifier of an ICMP echo.
    pub source_port: u16,
    /// Receiver's port in host byte order; 0 for what has no ports.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Whose socket it is: [`side::CALLER`] or [`side::CALLED`]. A machine that talks to
    /// itself has both.
    pub side: u8,
    /// Zero.
    pub padding: [u8; 2],
}

/// Which end of a tuple a socket is.
pub mod side {
    /// The source.
    pub const CALLER: u8 = 0;
    /// The destination.
    pub const CALLED: u8 = 1;
}

/// A socket that waits for others: key of its owner.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Its address; all zeros for any, of either family.
    pub address: [u8; 16],
    /// Cookie of its network namespace.
    pub namespace: u64,
    /// Its port in host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 5],
}

/// What a socket moved. Bytes are those of IP packets, headers included: of a packet
/// that is segmented later, those of all its segments.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the socket.
    pub sent_bytes: u64,
    /// To it.
    pub received_bytes: u64,
    /// Packets on the wire from it.
    pub sent_packets: u64,
    /// Packets on the wire to it.
    pub received_packets: u64,
    /// 1 where the socket is of the guarded network namespace, else 0.
    pub guarded: u64,
}

/// A process as it was when it first used the network as this program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// Which one.
    pub process: ProcessId,
    /// Its control group's id (`cgroup_id`: the inode of its folder).
    pub cgroup: u64,
    /// Inode of the file that it runs.
    pub inode: u64,
    /// Names the directory that is its root: the same for two processes whose root is the same.
    pub root: u64,
    /// Device of that file, as the kernel keeps it: 12 bits major, 20 bits minor.
    pub device: u32,
    /// Inode of its mount namespace.
    pub mount_namespace: u32,
    /// Inode of its user namespace.
    pub user_namespace: u32,
    /// Effective user id.
    pub uid: u32,
    /// Its parent's id.
    pub parent_pid: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Bytes used of `path`.
    pub path_length: u16,
    /// Bytes used of `directory`.
    pub directory_length: u16,
    /// Bytes used of `arguments`.
    pub arguments_length: u16,
    /// Zero.
    pub padding: [u8; 2],
    /// Name of its first thread, ended by a zero byte.
    pub comm: [u8; COMM_BYTES],
    /// Its working directory, as names from the last one up to the root of its mount namespace,
    /// each ended by a zero byte.
    pub directory: [u8; DIRECTORY_BYTES],
    /// Path of its file, likewise.
    pub path: [u8; PATH_BYTES],
    /// Its arguments, each ended by a zero byte.
    pub arguments: [u8; ARGUMENTS_BYTES],
}

/// Bits of [`ProcessRecord::flags`].
pub mod flag {
    /// The file has no name any more: it was removed or replaced.
    pub const DELETED: u32 = 1;
    /// The path is longer than there is room for, or too deep.
    pub const PATH_CUT: u32 = 2;
    /// The file could not be looked at.
    pub const NO_PATH: u32 = 4;
    /// A thread of the kernel.
    pub const KERNEL: u32 = 8;
    /// The working directory is cut.
    pub const DIRECTORY_CUT: u32 = 16;
}

/// What the ring buffer carries: one of these, after which the kind says what follows.
pub mod event {
    /// A [`ProcessRecord`](super::ProcessRecord): a process is on the network that was not before.
    pub const PROCESS: u32 = 1;
    /// A [`Closed`](super::Closed): a socket closed.
    pub const CLOSED: u32 = 2;
    /// A [`Taken`](super::Taken): another process uses ends that were a socket's.
    pub const TAKEN: u32 = 3;
}

/// A socket closed. With its last owner, and its ends where it was connected.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Its owner.
    pub owner: OwnerRecord,
    /// Its ends, its own first.
    pub tuple: Tuple,
    /// What it moved.
    pub traffic: Traffic,
}

/// Another process sends from ends that were noted as a socket's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Who sends now.
    pub owner: OwnerRecord,
    /// The ends, the sender's first.
    pub tuple: Tuple,
    /// Cookie of the socket that had them before.
    pub former: u64,
}

/// The latest TCP connection that a socket of the guarded network namespace opened, of those whose tuple has this
/// place ([`Call::place_of`]): a copy of its note, which user space reads in shared memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Grows by one before anything of it is written, and after that: an odd number is one that is being written.
    pub sequence: u64,
    /// Its owner.
    pub owner: OwnerRecord,
    /// Its ends, the caller's first.
    pub tuple: Tuple,
    /// Zero: each has cache lines of its own.
    pub padding: [u64; 5],
}

impl Call {
    /// How many places there are.
    pub const PLACES: u32 = 2_048;

    /// Where a tuple's connection stands.
    #[inline(always)]
    pub fn place_of(tuple: &Tuple) -> u32 {
        const SPREADS: u64 = 0x9e37_79b9_7f4a_7c15;
        let [a, b] = halves(tuple.source);
        let [c, d] = halves(tuple.destination);
        let ports = (tuple.source_port as u64) << 16 | tuple.destination_port as u64;
        let mut mixed = ports;
        for word in [a, b, c, d] {
            mixed = (mixed ^ word).wrapping_mul(SPREADS).rotate_left(29);
        }
        (mixed.wrapping_mul(SPREADS) >> 32) as u32 & (Self::PLACES - 1)
    }
}

#[inline(always)]
fn halves(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// What the head of every event is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHead {
    /// One of [`event`].
    pub kind: u32,
    /// Zero.
    pub padding: u32,
}

/// What is counted by the programs; index of the array of losses.
pub mod loss {
    /// An event found no room in the ring buffer.
    pub const RING: u32 = 0;
    /// An owner could not be noted by its cookie.
    pub const OWNERS: u32 = 1;
    /// An owner could not be noted by its tuple.
    pub const TUPLES: u32 = 2;
    /// A process could not be noted.
    pub const PROCESSES: u32 = 3;
    /// A listener could not be noted.
    pub const LISTENERS: u32 = 4;
    /// Traffic could not be counted.
    pub const TRAFFIC: u32 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
}

/// Where this kernel keeps what the programs look at, in bytes from the start
/// of each structure. Filled in by the loader from the kernel's own description (BTF).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.start_boottime`
    pub task_start_boottime: u32,
    /// `task_struct.self_exec_id`
    pub task_self_exec_id: u32,
    /// `task_struct.real_parent`
    pub task_real_parent: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `task_struct.fs`
    pub task_fs: u32,
    /// `task_struct.nsproxy`
    pub task_nsproxy: u32,
    /// `task_struct.comm`
    pub task_comm: u32,
    /// `nsproxy.mnt_ns`
    pub nsproxy_mnt_ns: u32,
    /// `mnt_namespace.ns.inum`
    pub mnt_namespace_inum: u32,
    /// `mm_struct.exe_file`
    pub mm_exe_file: u32,
    /// `mm_struct.arg_start`
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`
    pub mm_arg_end: u32,
    /// `file.f_path`
    pub file_path: u32,
    /// `path.mnt`
    pub path_mnt: u32,
    /// `path.dentry`
    pub path_dentry: u32,
    /// `fs_struct.pwd`
    pub fs_pwd: u32,
    /// `fs_struct.root`
    pub fs_root: u32,
    /// `task_struct.cred`
    pub task_cred: u32,
    /// `cred.user_ns`
    pub cred_user_ns: u32,
    /// `user_namespace.ns.inum`
    pub user_namespace_inum: u32,
    /// `cred.euid`
    pub cred_euid: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`
    pub css_set_default: u32,
    /// `cgroup.kn`
    pub cgroup_node: u32,
    /// `kernfs_node.id`
    pub node_id: u32,
    /// `sock_common.skc_net.net`
    pub sock_namespace: u32,
    /// `net.net_cookie`
    pub namespace_cookie: u32,
    /// `dentry.d_parent`
    pub dentry_parent: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `dentry.d_inode`
    pub dentry_inode: u32,
    /// `dentry.d_hash.pprev`
    pub dentry_hash_pprev: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `inode.i_sb`
    pub inode_super: u32,
    /// `super_block.s_dev`
    pub super_device: u32,
    /// `vfsmount.mnt_root`
    pub vfsmount_root: u32,
    /// `mount.mnt`
    pub mount_mnt: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_mountpoint: u32,
    /// `sock_common.skc_family`
    pub sock_family: u32,
    /// `sock_common.skc_num`
    pub sock_local_port: u32,
    /// `sock_common.skc_dport`
    pub sock_remote_port: u32,
    /// `sock_common.skc_rcv_saddr`
    pub sock_local_v4: u32,
    /// `sock_common.skc_daddr`
    pub sock_remote_v4: u32,
    /// `sock_common.skc_v6_rcv_saddr`
    pub sock_local_v6: u32,
    /// `sock_common.skc_v6_daddr`
    pub sock_remote_v6: u32,
    /// `sock_common.skc_cookie`
    pub sock_cookie: u32,
    /// `sock.sk_protocol`
    pub sock_protocol: u32,
    /// `sock.sk_type`
    pub sock_type: u32,
    /// `sk_buff.sk`
    pub skb_sock: u32,
    /// `sk_buff.head`
    pub skb_head: u32,
    /// `sk_buff.network_header`
    pub skb_network_header: u32,
    /// `sock.sk_socket`
    pub sock_socket: u32,
    /// `socket.file`
    pub socket_file: u32,
    /// `nf_hook_state.hook`
    pub hook_state_hook: u32,
    /// `nf_hook_state.pf`
    pub hook_state_family: u32,
}
