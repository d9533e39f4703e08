//! Packets that leave sockets of other network namespaces, containers among them, and may be
//! forwarded by the guarded one.

use aya_ebpf::bindings::__sk_buff;
use seawall_ebpf_abi::{OwnerRecord, Tuple, hook};

use crate::maps::{OWNERS, TUPLES};
use crate::owner::{Socket, note_tuple};
use crate::traffic::{goes_on, tuple_of};

/// Notes whose packet leaves another network namespace. Whether that is known: of others, such as
/// services there, nobody will ever ask, and they aren't counted.
#[inline(always)]
pub fn note_leaving(skb: *mut __sk_buff, socket: Socket) -> bool {
    // A connection has its ends for good; whatever else may call somebody new with each packet.
    if goes_on(skb) {
        return false;
    }
    let Some(key) = tuple_of(skb, 0) else { return false };
    if let Some(known) = TUPLES.get_ptr(key) {
        // SAFETY: an entry that goes away meanwhile is noted once more.
        if unsafe { (*known).cookie } == socket.cookie {
            return true;
        }
    }
    let own = Tuple { namespace: socket.namespace, ..key };
    let noted = match OWNERS.get_ptr(socket.cookie) {
        Some(owner) => Some(owner),
        None => TUPLES.get_ptr(own),
    };
    let Some(owner) = noted else { return false };
    // SAFETY: as above.
    let owner = unsafe { *owner };
    note_tuple(&key, &OwnerRecord { hook: hook::EGRESS, ..owner });
    true
}
