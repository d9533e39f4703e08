//! Programs on what sockets do, at the root of the control groups: they see
//! every process of the machine, whatever its namespaces.
#![no_std]
#![no_main]

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB,
};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_ringbuf_output};
use aya_ebpf::macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, sock_ops};
use aya_ebpf::programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext};
use seawall_ebpf::kernel::{counts_sockets, guarded_namespace, read};
use seawall_ebpf::leaving::note_leaving;
use seawall_ebpf::maps::{EVENTS, LISTENERS, OWNERS, TRAFFIC, TUPLES, lost};
use seawall_ebpf::owner::{
    Socket, is_kernels_own, namespace_of, note_call, note_listener, note_socket, note_taken,
    note_tuple, owned_by,
};
use seawall_ebpf::process::{Caller, FORCE_WAKEUP, NO_WAKEUP};
use seawall_ebpf::socket::{AF_INET, TCP, UDP, ends, socket_of_packet};
use seawall_ebpf::traffic::{Counted, Way, begin_counting, count, goes_on};
use seawall_ebpf::tuple::{address_of, mapped, mapped_or_any, tuple};
use seawall_ebpf_abi::{
    Closed, EventHead, Listener, OwnerRecord, Traffic, Tuple, event, hook, loss, side,
};

/// Every program lets everything pass.
const PASS: i32 = 1;
/// SOCK_RAW (linux/net.h).
const SOCK_RAW: u32 = 3;
/// SOCK_STREAM.
const SOCK_STREAM: u32 = 1;

/// The socket of a context whose first field, in the kernel, is its `struct sock`.
#[inline(always)]
fn socket_of_call(context: &impl EbpfContext) -> Socket {
    Socket::of(context.as_ptr(), read(context.as_ptr() as u64))
}

/// The socket of a context that is a `struct sock` in the kernel.
#[inline(always)]
fn socket_of(context: &SockContext) -> Socket {
    Socket::of(context.as_ptr(), context.as_ptr() as u64)
}

/// Sockets that nothing else tells of: raw ones, and those of ICMP.
#[cgroup_sock(sock_create)]
fn sock_create(context: SockContext) -> i32 {
    // SAFETY: fields of the context.
    let (kind, protocol) = unsafe { ((*context.sock).type_, (*context.sock).protocol) };
    let told_of_later = protocol == TCP || protocol == UDP || protocol == 0;
    if kind == SOCK_RAW || !told_of_later {
        note_socket(&Caller::current(), socket_of(&context), hook::CREATE);
    }
    PASS
}

/// A datagram socket is connected. TCP tells of that itself, with its port.
#[cgroup_sock_addr(connect4)]
fn connect4(context: SockAddrContext) -> i32 {
    connect(&context)
}

/// As [`connect4`].
#[cgroup_sock_addr(connect6)]
fn connect6(context: SockAddrContext) -> i32 {
    connect(&context)
}

#[inline(always)]
fn connect(context: &SockAddrContext) -> i32 {
    // SAFETY: a field of the context.
    if unsafe { (*context.sock_addr).type_ } != SOCK_STREAM {
        note_socket(&Caller::current(), socket_of_call(context), hook::CONNECT);
    }
    PASS
}

/// A datagram leaves for an address that it names itself.
#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(context: SockAddrContext) -> i32 {
    let address = context.sock_addr;
    // SAFETY: fields of the context.
    let (to, from, port) =
        unsafe { ((*address).user_ip4, (*address).msg_src_ip4, (*address).user_port) };
    let source = mapped_or_any(from.to_ne_bytes());
    send(&context, source, mapped(to.to_ne_bytes()), port)
}

/// As [`sendmsg4`].
#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(context: SockAddrContext) -> i32 {
    let address = context.sock_addr;
    // SAFETY: fields of the context, each read as one word, as the verifier asks for.
    let (to, from, port) = unsafe {
        (
            address_of([
                (*address).user_ip6[0],
                (*address).user_ip6[1],
                (*address).user_ip6[2],
                (*address).user_ip6[3],
            ]),
            address_of([
                (*address).msg_src_ip6[0],
                (*address).msg_src_ip6[1],
                (*address).msg_src_ip6[2],
                (*address).msg_src_ip6[3],
            ]),
            (*address).user_port,
        )
    };
    send(&context, from, to, port)
}

#[inline(always)]
fn send(context: &SockAddrContext, source: [u8; 16], to: [u8; 16], port: u32) -> i32 {
    let address = context.sock_addr;
    // SAFETY: fields of the context; its socket is never null here.
    let (protocol, source_port, sock_v4) = unsafe {
        let sock = (*address).__bindgen_anon_1.sk;
        if sock.is_null() {
            return PASS;
        }
        ((*address).protocol, (*sock).src_port, (*sock).src_ip4)
    };
    if protocol != UDP {
        return PASS;
    }
    let source = if source == [0; 16] { mapped_or_any(sock_v4.to_ne_bytes()) } else { source };
    let socket = socket_of_call(context);
    let key = tuple(
        socket.namespace,
        UDP as u8,
        (source, source_port as u16),
        (to, u16::from_be(port as u16)),
    );
    let caller = Caller::current();
    let mut former = OwnerRecord::default();
    if let Some(known) = TUPLES.get_ptr(key) {
        // SAFETY: an entry that goes away meanwhile is read as another's, and noted once more.
        former = unsafe { *known };
        if former.cookie == socket.cookie && former.process == caller.id {
            return PASS;
        }
    }
    note_socket(&caller, socket, hook::SEND);
    note_taken(&key, &owned_by(&caller, socket, hook::SEND), &former);
    PASS
}

/// A datagram socket is bound to a port of its choice: it may wait for others.
#[cgroup_sock(post_bind4)]
fn post_bind4(context: SockContext) -> i32 {
    // SAFETY: a field of the context.
    let address = unsafe { (*context.sock).src_ip4 };
    bound(&context, mapped_or_any(address.to_ne_bytes()))
}

/// As [`post_bind4`].
#[cgroup_sock(post_bind6)]
fn post_bind6(context: SockContext) -> i32 {
    // SAFETY: fields of the context, each read as one word.
    let address = unsafe {
        address_of([
            (*context.sock).src_ip6[0],
            (*context.sock).src_ip6[1],
            (*context.sock).src_ip6[2],
            (*context.sock).src_ip6[3],
        ])
    };
    bound(&context, address)
}

#[inline(always)]
fn bound(context: &SockContext, address: [u8; 16]) -> i32 {
    // SAFETY: fields of the context.
    let (kind, protocol, port) =
        unsafe { ((*context.sock).type_, (*context.sock).protocol, (*context.sock).src_port) };
    if kind == SOCK_STREAM && protocol == TCP {
        return PASS;
    }
    let socket = socket_of(context);
    // Whoever sets up a tunnel binds its socket, and sends nothing from it.
    if socket.namespace != guarded_namespace() || is_kernels_own(context.as_ptr() as u64) {
        return PASS;
    }
    let caller = Caller::current();
    note_socket(&caller, socket, hook::LISTEN);
    let listener = listener(address, socket.namespace, port as u16, protocol);
    caller.note();
    note_listener(&listener, &owned_by(&caller, socket, hook::LISTEN));
    PASS
}

#[inline(always)]
fn listener(address: [u8; 16], namespace: u64, port: u16, protocol: u32) -> Listener {
    Listener { address, namespace, port, protocol: protocol as u8, padding: [0; 5] }
}

/// What TCP does: connect (in the caller's own time), listen, accept.
#[sock_ops]
fn tcp(context: SockOpsContext) -> u32 {
    match context.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => connects(&context),
        BPF_SOCK_OPS_TCP_LISTEN_CB => listens(&context),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => accepts(&context),
        _ => {}
    }
    PASS as u32
}

/// The socket's own address and port.
#[inline(always)]
fn local(context: &SockOpsContext) -> ([u8; 16], u16) {
    let address = if context.family() == AF_INET {
        mapped_or_any(context.local_ip4().to_ne_bytes())
    } else {
        // SAFETY: fields of the context, each read as one word.
        let words = unsafe { &(*context.ops).local_ip6 };
        address_of([words[0], words[1], words[2], words[3]])
    };
    (address, context.local_port() as u16)
}

/// The peer's address and port.
#[inline(always)]
fn remote(context: &SockOpsContext) -> ([u8; 16], u16) {
    let address = if context.family() == AF_INET {
        mapped_or_any(context.remote_ip4().to_ne_bytes())
    } else {
        // SAFETY: fields of the context, each read as one word.
        let words = unsafe { &(*context.ops).remote_ip6 };
        address_of([words[0], words[1], words[2], words[3]])
    };
    (address, u32::from_be(context.remote_port()) as u16)
}

#[inline(always)]
fn connects(context: &SockOpsContext) {
    let socket = socket_of_call(context);
    let caller = Caller::current();
    caller.note();
    let key = tuple(socket.namespace, TCP as u8, local(context), remote(context));
    let owner = owned_by(&caller, socket, hook::CONNECT);
    // Nobody meets the calls of other network namespaces as its own.
    match socket.namespace == guarded_namespace() {
        true => note_call(&key, &owner),
        false => note_tuple(&key, &owner),
    }
}

#[inline(always)]
fn listens(context: &SockOpsContext) {
    let socket = socket_of_call(context);
    if socket.namespace != guarded_namespace() {
        return;
    }
    let caller = Caller::current();
    note_socket(&caller, socket, hook::LISTEN);
    let (address, port) = local(context);
    let listener = listener(address, socket.namespace, port, TCP);
    note_listener(&listener, &owned_by(&caller, socket, hook::LISTEN));
}

/// Who runs right now is anybody: the owner is the listener's.
#[inline(always)]
fn accepts(context: &SockOpsContext) {
    let socket = socket_of_call(context);
    // Nobody asks who is called in another namespace.
    if socket.namespace != guarded_namespace() {
        return;
    }
    let (address, port) = local(context);
    let mut listener = listener(address, socket.namespace, port, TCP);
    let mut found = LISTENERS.get_ptr(listener);
    if found.is_none() {
        listener.address = [0; 16];
        found = LISTENERS.get_ptr(listener);
    }
    let Some(found) = found else { return };
    // SAFETY: an entry that goes away meanwhile is one of another listener of this machine.
    let owner = unsafe { *found };
    let owner = OwnerRecord { cookie: socket.cookie, hook: hook::ACCEPT, ..owner };
    let key = Tuple {
        side: side::CALLED,
        ..tuple(socket.namespace, TCP as u8, remote(context), (address, port))
    };
    note_tuple(&key, &owner);
}

/// A socket closes: the last moment at which its ends are known.
#[cgroup_sock(sock_release)]
fn sock_release(context: SockContext) -> i32 {
    // SAFETY: fields of the context.
    let (kind, protocol) = unsafe { ((*context.sock).type_, (*context.sock).protocol) };
    if kind == SOCK_STREAM && protocol == TCP {
        // Its owner is known since it connected: only what it moved is to be told.
        if !counts_sockets() {
            return PASS;
        }
        // One that moved nothing was denied: that is remembered, too. In other namespaces what
        // was denied on its way had left already.
        let socket = socket_of(&context);
        let if_silent = socket.namespace == guarded_namespace();
        tell_closed(socket, &Tuple::default(), &OwnerRecord::default(), if_silent, NO_WAKEUP);
        return PASS;
    }
    let socket = socket_of(&context);
    let key = ends(context.as_ptr() as u64, socket.namespace, protocol as u8);
    let owner = match OWNERS.get_ptr(socket.cookie) {
        // SAFETY: an entry that goes away meanwhile is read as another socket's, and told apart below.
        Some(owner) => unsafe { *owner },
        None => OwnerRecord::default(),
    };
    let is_owned = owner.cookie == socket.cookie && socket.cookie != 0;
    if is_owned && key.destination_port != 0 && TUPLES.get_ptr(key).is_none() {
        note_tuple(&key, &OwnerRecord { hook: hook::RELEASE, ..owner });
    }
    // What is joined to a tuple must part from it before another program takes it, also where all datagrams were
    // denied, or were sent before there were notes.
    let if_silent = is_owned || socket.namespace == guarded_namespace();
    tell_closed(socket, &key, &owner, if_silent, FORCE_WAKEUP);
    PASS
}

/// What an event of a closed socket looks like.
#[repr(C)]
struct ClosedEvent {
    head: EventHead,
    closed: Closed,
}

/// Tells user space; of a socket that moved nothing only if that is worth it.
#[inline(always)]
fn tell_closed(socket: Socket, key: &Tuple, owner: &OwnerRecord, if_silent: bool, flags: u64) {
    let traffic = match TRAFFIC.get_ptr(socket.cookie) {
        // SAFETY: an entry that goes away meanwhile is a wrong count for one socket, at worst.
        Some(traffic) => unsafe { *traffic },
        None if if_silent => Traffic::default(),
        None => return,
    };
    let told = ClosedEvent {
        head: EventHead { kind: event::CLOSED, padding: 0 },
        closed: Closed {
            owner: OwnerRecord { cookie: socket.cookie, ..*owner },
            tuple: *key,
            traffic,
        },
    };
    // SAFETY: initialised, without padding.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            core::ptr::from_ref(&told).cast_mut().cast(),
            size_of::<ClosedEvent>() as u64,
            flags,
        )
    };
    if sent != 0 {
        lost(loss::RING);
    }
}

/// Packets to sockets.
#[cgroup_skb]
fn ingress(context: SkBuffContext) -> i32 {
    // SAFETY: the helper takes the context of this kind of program.
    let cookie = unsafe { bpf_get_socket_cookie(context.as_ptr()) };
    let skb = context.skb.skb;
    if cookie == 0 || count(skb, cookie, Way::Received) != Counted::No {
        return PASS;
    }
    if namespace_of(socket_of_packet(context.as_ptr() as u64)) == guarded_namespace() {
        begin_counting(skb, cookie, Way::Received, true);
    }
    PASS
}

/// Packets from sockets; for those of other network namespaces also whose
/// they are: here they are met before the guarded one forwards them.
#[cgroup_skb]
fn egress(context: SkBuffContext) -> i32 {
    let skb = context.skb.skb;
    // Whose it is was noted with the connection's first packet, if at all.
    if !counts_sockets() && goes_on(skb) {
        return PASS;
    }
    // SAFETY: the helper takes the context of this kind of program.
    let cookie = unsafe { bpf_get_socket_cookie(context.as_ptr()) };
    if cookie == 0 {
        return PASS;
    }
    let counted = count(skb, cookie, Way::Sent);
    if counted == Counted::Guarded {
        return PASS;
    }
    let namespace = namespace_of(socket_of_packet(context.as_ptr() as u64));
    let is_guarded = namespace == guarded_namespace();
    let is_asked_about = is_guarded || note_leaving(skb, Socket { cookie, namespace });
    if is_asked_about && counted == Counted::No {
        begin_counting(skb, cookie, Way::Sent, is_guarded);
    }
    PASS
}

/// Helpers that only GPL programs may call are used (bpf-helpers(7)).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
